"""A database that was restored from a backup, and the log that goes on from it."""

import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from tests.simulators.trail import ORIGIN, START_NS, Trail, entry, signer
from tests.simulators.verifiers import VERIFIED, Script, callvault
from vault.audit import mark as marks
from vault.audit.checkpoint import Checkpoint
from vault.audit.entry import compose
from vault.audit.export import export_jsonl
from vault.audit.log import AuditLog
from vault.audit.mark import NOTHING_YET, Mark
from vault.audit.reading import TrailReader
from vault.audit.succession import (
    Loss,
    newest_mark,
    origin_in_force,
    succession,
)
from vault.audit.texts import seal_text
from vault.core.errors import ConflictError, InvalidInputError, TrailBrokenError
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import new_id
from vault.core.secrets import SecretBytes
from vault.database.engine import open_engine

NEXT = f"{ORIGIN}/2"
OPERATOR = Caller(actor=Actor(kind=ActorKind.OPERATOR, id="0"))
script = Script()


class Restored:
    """A trail with a backup of five entries, of which nine were signed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.mark = folder / "log-mark.json"
        self.early, self.late = (
            (folder / name).read_text() for name in ("early", "late")
        )
        self.engine: Engine = self._opened()

    @staticmethod
    def make(folder: Path) -> None:
        """Lay everything into *folder*, the backup restored already."""
        engine = open_engine(f"sqlite:///{folder}", schema="audit")
        trail = Trail(engine=engine, folder=folder)
        trail.grow(4)
        (folder / "early").write_text(trail.reader.checkpoint(3))
        trail.log.close()
        engine.dispose()  # the last connection folds the WAL into the file
        shutil.copy(folder / "audit.sqlite", folder / "backup")
        trail.log.open()
        trail.grow(4)
        (folder / "late").write_text(trail.reader.checkpoint())
        trail.log.close()
        engine.dispose()
        shutil.copy(folder / "backup", folder / "audit.sqlite")

    def _opened(self) -> Engine:
        return open_engine(f"sqlite:///{self.folder}", schema="audit")

    def restore(self) -> None:
        self.lose()
        shutil.copy(self.folder / "backup", self.folder / "audit.sqlite")
        self.engine = self._opened()

    def lose(self) -> None:
        self.engine.dispose()
        for file in self.folder.glob("audit.sqlite*"):
            file.unlink()

    def writer(self, origin: str, anchored: str | None = None) -> AuditLog:
        return AuditLog(
            self.engine,
            signer=signer(name=origin),
            origin=origin,
            mark_path=self.mark,
            anchored=anchored,
            clock=lambda: START_NS,
        )

    def succeed(self, anchored: str | None = None) -> Loss:
        with succession(
            self.engine,
            lambda origin: signer(name=origin),
            mark_path=self.mark,
            anchored=anchored,
        ) as found:
            draft, id = found.loss.draft(OPERATOR, "disk died"), new_id()
            kept = seal_text(
                draft.text["reason"],
                key=SecretBytes(bytes(32)),
                entry_id=id,
                field="reason",
            )
            made = compose(
                draft,
                id=id,
                time="2026-11-23T00:00:00.000000000Z",
                via="cli",
                text_hmacs={"reason": kept.hmac},
            )
            found.commit(bytes(made), {"reason": kept})
            return found.loss

    def go_on(self, origin: str, count: int) -> None:
        with self.writer(origin).open() as log:
            for _ in range(count):
                log.append([entry(log.size)])

    def export(self) -> bytes:
        out = io.BytesIO()
        export_jsonl(TrailReader(self.engine), out)
        return out.getvalue()

    def entries(self) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.export().splitlines()]
        return [line["entry"] for line in lines if "entry" in line]

    def verdicts(self, origin: str, previous: str | None = None) -> set[str]:
        vkey, octets = str(signer(name=origin).verifier), self.export()
        return {callvault(octets, vkey, previous), script(octets, vkey, previous)}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    Restored.make(folder)
    return folder


@pytest.fixture
def restored(template: Path, tmp_path: Path) -> Iterator[Restored]:
    made = Restored(shutil.copytree(template, tmp_path / "log"))
    yield made
    made.engine.dispose()


def test_the_refusal_names_the_way_out(restored: Restored) -> None:
    with pytest.raises(TrailBrokenError, match=r"5 entries, and 9 .* audit succeed"):
        restored.writer(ORIGIN).open()


def test_the_successor_begins_with_what_was_restored_and_says_what_is_lost(
    restored: Restored,
) -> None:
    loss = restored.succeed()
    restored.go_on(NEXT, 2)
    said = restored.entries()[5]

    assert (NEXT, range(5, 9)) == (loss.successor, loss.lost)
    assert "audit.log.succeeded" == said["action"]
    assert {
        "predecessor": ORIGIN,
        "restored_root": loss.restored.root.hex(),
        "restored_size": 5,
        "signed_root": loss.signed.root.hex(),
        "signed_size": 9,
    } == said["detail"]
    assert {VERIFIED} == restored.verdicts(NEXT)


def test_the_old_writer_and_the_old_key_are_of_no_use_afterwards(
    restored: Restored,
) -> None:
    restored.succeed()
    with pytest.raises(TrailBrokenError, match=r"not signed by|not of this log"):
        restored.writer(ORIGIN).open()

    assert {"entry 0"} == restored.verdicts(ORIGIN)


def test_an_earlier_checkpoint_that_is_not_larger_is_proved(restored: Restored) -> None:
    restored.succeed()
    restored.go_on(NEXT, 6)

    assert {VERIFIED} == restored.verdicts(NEXT, restored.early)


@pytest.mark.parametrize("more", [0, 3, 4, 9])
def test_what_a_larger_one_stood_for_is_said_to_be_gone(
    restored: Restored, more: int
) -> None:
    restored.succeed()
    restored.go_on(NEXT, more)
    octets, vkey = restored.export(), str(signer(name=NEXT).verifier)
    run = script.module.Export(script.module.Key(vkey, script.check), restored.late)

    assert {"entry 5"} == restored.verdicts(NEXT, restored.late)
    with pytest.raises(script.module.Broken, match=r"entries 5 to 8, .* are gone"):
        run.read(io.BytesIO(octets))


def test_the_old_mark_is_kept_and_the_new_one_follows(restored: Restored) -> None:
    old = restored.mark.read_bytes()
    restored.succeed()
    now = marks.read(restored.mark)

    assert old == (restored.folder / "log-mark.1.json").read_bytes()
    assert now is not None
    assert (6, NEXT) == (now.size, origin_in_force(now, ORIGIN))


def test_a_log_that_lost_nothing_has_no_successor(restored: Restored) -> None:
    restored.succeed()
    with pytest.raises(ConflictError, match="nothing is lost"):
        restored.succeed()


def test_the_second_restore_has_the_third_log(restored: Restored) -> None:
    restored.succeed()
    restored.go_on(NEXT, 3)
    second = TrailReader(restored.engine).checkpoint()
    restored.restore()
    loss = restored.succeed()
    restored.go_on(f"{ORIGIN}/3", 8)

    assert (NEXT, 9, 5) == (loss.signed.origin, loss.signed.size, loss.restored.size)
    for previous, verdict in (
        (restored.early, VERIFIED),
        (restored.late, "entry 5"),
        (second, "entry 5"),
    ):
        assert {verdict} == restored.verdicts(f"{ORIGIN}/3", previous)


def test_a_database_that_was_lost_altogether_has_a_successor(
    restored: Restored,
) -> None:
    restored.lose()
    restored.engine = restored._opened()
    loss = restored.succeed()
    restored.go_on(NEXT, 1)

    assert range(9) == loss.lost
    assert {VERIFIED} == restored.verdicts(NEXT)
    assert {"entry 0"} == restored.verdicts(NEXT, restored.late)


@pytest.mark.parametrize("when", ["kept", "committed"])
def test_one_that_was_killed_is_ended_by_the_next(
    restored: Restored, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = marks.write, {"kept": 0, "committed": 1}[when]

    def dies(path: Path, mark: Mark) -> None:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        write(path, mark)

    with monkeypatch.context() as patch:
        patch.setattr(marks, "write", dies)
        with pytest.raises(KeyboardInterrupt):
            restored.succeed()
    if when == "kept":
        restored.succeed()
    else:
        with pytest.raises(ConflictError, match="its mark is written now"):
            restored.succeed()
    restored.go_on(NEXT, 2)

    assert 8 == len(restored.entries())
    assert {VERIFIED} == restored.verdicts(NEXT)


def _without_rails(engine: Engine, change: str) -> None:
    with engine.begin() as connection:
        names = connection.execute(
            text("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ).scalars()
        for name in list(names):
            connection.execute(text(f"DROP TRIGGER {name}"))
        connection.execute(text(change))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE log_head SET size = 4",
        "UPDATE log_node SET hash = zeroblob(32) WHERE level = 2",
        "DELETE FROM log_entry WHERE position = 4",
        "DELETE FROM log_checkpoint WHERE size = 5",
        "UPDATE log_checkpoint SET note = 'x' WHERE size = 5",
    ],
)
def test_what_was_altered_has_no_successor(restored: Restored, change: str) -> None:
    _without_rails(restored.engine, change)
    with pytest.raises(TrailBrokenError):
        restored.succeed()


def test_a_successor_that_went_on_without_its_mark_is_not_taken(
    restored: Restored,
) -> None:
    old = restored.mark.read_bytes()
    restored.succeed()
    restored.go_on(NEXT, 2)
    restored.mark.write_bytes(old)
    with pytest.raises(TrailBrokenError, match="went on without a mark"):
        restored.succeed()


def test_without_any_memory_there_is_nothing_to_go_by(restored: Restored) -> None:
    restored.mark.unlink()
    with pytest.raises(InvalidInputError, match="name a checkpoint"):
        restored.succeed()

    assert range(5, 9) == restored.succeed(restored.late).lost


def test_an_officers_newer_checkpoint_counts_more_than_a_restored_mark(
    restored: Restored,
) -> None:
    """The whole machine was restored: its mark is as old as its database."""
    marks.write(restored.mark, NOTHING_YET)

    assert range(5, 9) == restored.succeed(restored.late).lost


class TestStandBy:
    def test_it_begins_by_a_published_checkpoint(self, restored: Restored) -> None:
        restored.mark.unlink()
        with restored.writer(ORIGIN, restored.early).open() as log:
            assert 5 == log.size
        mark = marks.read(restored.mark)

        assert mark is not None
        assert 5 == mark.size

    def test_it_is_refused_when_it_is_behind_one(self, restored: Restored) -> None:
        restored.mark.unlink()
        with pytest.raises(TrailBrokenError, match="9 were signed"):
            restored.writer(ORIGIN, restored.late).open()

    def test_the_later_of_both_memories_counts(self, restored: Restored) -> None:
        own = marks.read(restored.mark)
        assert own is not None
        later = signer(name=NEXT).sign_checkpoint(restored.succeed().restored)
        given = (None, restored.early, restored.late)

        assert [own] * 3 == [newest_mark(own, one) for one in given]
        assert newest_mark(None, None) is None
        assert newest_mark(NOTHING_YET, restored.early) != NOTHING_YET
        with pytest.raises(TrailBrokenError):
            newest_mark(own, later.replace("\u2014", "-"))

    def test_a_mark_of_another_line_is_not_the_one_in_force(self) -> None:
        note = signer(name="else/2").sign_checkpoint(_checkpoint("else/2"))
        mark = Mark.of(_checkpoint("else/2"), note)

        assert ORIGIN == origin_in_force(mark, ORIGIN)
        assert ORIGIN == origin_in_force(None, ORIGIN)
        assert ORIGIN == origin_in_force(NOTHING_YET, ORIGIN)


def _checkpoint(origin: str) -> Checkpoint:
    return Checkpoint(origin=origin, size=3, root=bytes(32))
