from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators import tsa as authority
from vault.auditor.anchors import Anchors, Kept
from vault.auditor.asking import Asking
from vault.auditor.stamping import Stamping
from vault.auditor.timestamps import TimeStamps, question_about
from vault.core.errors import (
    ConfigurationError,
    NotFoundError,
    TrailBrokenError,
    UnavailableError,
)
from vault.objects.locking import FolderThatNeverLocks, put_small

NOTE = b"vault.example/audit\n7\nroot\n\nsigned\n"
KEY = Anchors("vault.example/audit").time_stamp(7)


@pytest.fixture(scope="module")
def tsa(tmp_path_factory: pytest.TempPathFactory) -> Iterator[authority.Tsa]:
    with authority.running(tmp_path_factory.mktemp("tsa")) as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> FolderThatNeverLocks:
    return FolderThatNeverLocks(tmp_path / "store")


def stamping(tsa: authority.Tsa, store: FolderThatNeverLocks) -> Stamping:
    kept = Kept(origin="vault.example/audit", size=7, octets=NOTE)
    return Stamping(
        url=tsa.url,
        asking=Asking(ca_file=None),
        stamps=TimeStamps(tsa.roots),
        newest=lambda: kept,
        read=store.read,
        keep=lambda key, octets: put_small(store, key, octets),
    )


def test_a_checkpoint_is_stamped_once_and_openssl_agrees(
    tsa: authority.Tsa, store: FolderThatNeverLocks
) -> None:
    tsa.lie, tsa.asked = "", 0
    duty = stamping(tsa, store)
    duty.run()
    duty.run()
    response = store.read(KEY)

    assert 1 == tsa.asked
    assert tsa.verifies(response, NOTE)
    assert not tsa.verifies(response, NOTE + b"x")
    assert (7, True) == (
        duty.facts()["stamped_size"],
        bool(TimeStamps(tsa.roots).check(response, NOTE)),
    )


def test_a_stamp_of_before_a_restart_is_found_and_a_wrong_one_is_an_alarm(
    tsa: authority.Tsa, store: FolderThatNeverLocks
) -> None:
    tsa.lie, tsa.asked = "", 0
    stamping(tsa, store).run()
    again = stamping(tsa, store)
    again.run()

    assert (1, 7) == (tsa.asked, again.facts()["stamped_size"])

    store.replace(KEY, b"something else")
    with pytest.raises(TrailBrokenError):
        stamping(tsa, store).run()


@pytest.mark.parametrize(
    ("lie", "error"),
    [
        ("error", UnavailableError),
        ("other", TrailBrokenError),
        ("text", TrailBrokenError),
    ],
)
def test_what_does_not_hold_is_not_kept(
    tsa: authority.Tsa,
    store: FolderThatNeverLocks,
    lie: str,
    error: type[Exception],
) -> None:
    tsa.lie = lie

    with pytest.raises(error):
        stamping(tsa, store).run()
    with pytest.raises(NotFoundError):
        store.read(KEY)


def test_a_time_stamp_of_other_octets_roots_or_questions_does_not_hold(
    tsa: authority.Tsa, tmp_path: Path
) -> None:
    question = question_about(NOTE)
    response = tsa.answer(question.as_bytes())
    with authority.running(tmp_path / "other") as other:
        wrong = (
            lambda: TimeStamps(tsa.roots).check(response, b"other"),
            lambda: TimeStamps(other.roots).check(response, NOTE),
            lambda: TimeStamps(tsa.roots).check(
                response, NOTE, asked=question_about(NOTE)
            ),
            lambda: TimeStamps(tsa.roots).check(response[:-9], NOTE),
            lambda: TimeStamps(tsa.roots).check(bytes(70_000), NOTE),
        )

        for check in wrong:
            with pytest.raises(TrailBrokenError):
                check()


def test_a_root_that_is_there_twice_counts_once(
    tsa: authority.Tsa, tmp_path: Path
) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_bytes(tsa.roots.read_bytes() * 2)
    response = tsa.answer(question_about(NOTE).as_bytes())

    assert TimeStamps(roots).check(response, NOTE)


def test_roots_that_are_none_are_refused(tmp_path: Path) -> None:
    (tmp_path / "roots.pem").write_text("nothing")

    for name in ("roots.pem", "missing.pem"):
        with pytest.raises(ConfigurationError, match="audit_timestamp_ca"):
            TimeStamps(tmp_path / name)
