"""No log, no play: warden and log in trouble, while calls go on being recorded."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.simulators.installation import Call, Process, until
from tests.simulators.site import Heard, Site, problem

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-troubled")]


@pytest.fixture
def heard(troubled: Site) -> Heard:
    """A call that could be played, were it not for the trouble."""
    return troubled.heard(seconds=1.0)


@contextmanager
def _call_in_progress(site: Site) -> Iterator[Call]:
    """A call that began before the block and ends after it."""
    call = site.pbx.begin(seconds=5.0, workgroup="Claims")
    try:
        with site.pbx.speaking(call):
            until(lambda: _received(site, call) > 20, "media flows")
            yield call
    finally:
        site.pbx.end(call)


def _received(site: Site, call: Call) -> int:
    streams = site.pbx.status(call)["streams"]
    return sum(stream["packets_received"] for stream in streams)


def _assert_refused(site: Site, heard: Heard) -> None:
    """Ask for media in every way; not one octet of it may come."""
    for part, headers in (
        ("audio", {}),
        ("audio", {"Range": "bytes=0-1"}),
        ("peaks", {}),
        ("capture", {}),
    ):
        # It says so in seconds: nobody waits for a warden that will not answer.
        answer = site.sam.get(
            f"/recordings/{heard.id}/{part}", headers=headers, timeout=10
        )
        assert answer.status_code == 503, answer.text[:200]
        assert problem(answer)["type"] in {
            "/problems/audit-unavailable",
            "/problems/unavailable",
        }
        assert "retry-after" in answer.headers
        assert b"fLaC" not in answer.content


def _assert_plays_again(site: Site, heard: Heard) -> None:
    path = f"/recordings/{heard.id}/audio"

    def plays() -> bool:
        try:
            answer = site.sam.get(path)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200 and answer.content[:4] == b"fLaC"

    until(plays, "the recording plays again")
    until(site.vault.is_ready, "readyz is content")


def _assert_whole(site: Site, call: Call) -> None:
    heard = site.wait(call)
    assert heard.state == ("ready", None)
    assert call.packets == heard.total("packets_authentic")
    assert heard.total("packets_lost") == 0


@contextmanager
def _stopped(process: Process) -> Iterator[None]:
    process.stop()
    try:
        yield
    finally:
        process.go_on()


@contextmanager
def _locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as db:
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


def test_a_stopped_warden_means_no_octet_and_no_lost_packet(
    troubled: Site, heard: Heard
) -> None:
    warden = troubled.vault.process("warden")
    with _call_in_progress(troubled) as call, _stopped(warden):
        _assert_refused(troubled, heard)
        ready = troubled.vault.is_ready()

    assert not ready
    _assert_plays_again(troubled, heard)
    _assert_whole(troubled, call)


def test_a_killed_warden_means_no_octet_until_serve_has_another(
    troubled: Site, heard: Heard
) -> None:
    warden, serve = troubled.vault.process("warden"), troubled.vault.parent()
    # Serve is stopped: it would have another one in a second or two.
    with _call_in_progress(troubled) as call, _stopped(serve):
        warden.kill()
        _assert_refused(troubled, heard)

    _assert_plays_again(troubled, heard)
    assert warden.pid != troubled.vault.process("warden").pid
    _assert_whole(troubled, call)


def test_a_log_that_cannot_be_written_means_no_octet(
    troubled: Site, heard: Heard
) -> None:
    audit = troubled.vault.folder / "audit" / "audit.sqlite"
    with _call_in_progress(troubled) as call, _locked(audit):
        _assert_refused(troubled, heard)
        ready = troubled.vault.is_ready()

    assert not ready
    _assert_plays_again(troubled, heard)
    _assert_whole(troubled, call)


def test_a_key_that_web_holds_already_is_of_no_use_without_a_log(
    troubled: Site, heard: Heard
) -> None:
    path = f"/recordings/{heard.id}/audio"
    assert troubled.sam.get(path).status_code == 200

    with _locked(troubled.vault.folder / "audit" / "audit.sqlite"):
        # Within the two seconds for which the last append vouches.
        until(lambda: not troubled.vault.is_ready(), "readyz says so")
        _assert_refused(troubled, heard)

    _assert_plays_again(troubled, heard)


def test_a_catalog_that_is_locked_stops_no_call(troubled: Site, heard: Heard) -> None:
    with _locked(troubled.vault.folder / "catalog" / "catalog.sqlite"):
        call = troubled.pbx.place(seconds=1.5, workgroup="Claims")

    _assert_whole(troubled, call)


def test_a_store_that_is_away_stops_no_call(troubled: Site) -> None:
    media = troubled.vault.folder / "objects" / "media"
    aside = media.with_name("media-aside")
    media.rename(aside)
    try:
        call = troubled.pbx.place(seconds=1.5, workgroup="Claims")
        waiting = troubled.vault.json("spool", "status")
    finally:
        aside.rename(media)

    assert call.id in {one["id"] for one in waiting}
    _assert_whole(troubled, call)
    assert call.id not in {one["id"] for one in troubled.vault.json("spool", "status")}


def test_the_trail_is_sound_after_all_of_it(troubled: Site) -> None:
    vault = troubled.vault
    file = vault.place / "after.jsonl"
    vault.said("audit", "export", "--output", file)
    key = vault.said("audit", "key").strip()

    assert vault.said("audit", "verify", file, "--key", key).startswith("OK")
