import dataclasses
import json
import zlib
from pathlib import Path

import pytest

from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.ids import UserId, new_recording_id
from vault.recorder.resume import resumed, state_of
from vault.recorder.session import Session
from vault.spool.files import MANIFEST, SessionFolder


def test_a_session_is_read_as_it_was_written(session: Session) -> None:
    found = resumed(state_of(session), session.folder)

    assert found is not None
    for name in (
        *("order", "device", "dek", "facts", "place", "origin", "address"),
        *("started_ns", "began_s", "streams", "paused", "announced", "ending"),
        *("number", "version", "signalling", "document_octets", "resume_at_s"),
    ):
        assert getattr(found, name) == getattr(session, name), name
    assert found.answer() == session.answer()
    assert [s.order() for s in found.streams.values()] == [
        s.order() for s in session.streams.values()
    ]


def test_what_has_changed_since_it_was_kept_is_kept_anew(session: Session) -> None:
    state_of(session)
    stream = session.streams[0]
    session.settle(
        dataclasses.replace(session.facts, caller="+49301"),
        dataclasses.replace(session.place, agent_id=UserId("anna")),
    )
    session.paused, session.signalling = True, b"dialog"
    stream.offered = dataclasses.replace(stream.offered, label="other")
    stream.authentic = 7
    found = resumed(state_of(session), session.folder)

    assert found is not None
    for name in ("order", "facts", "place", "paused", "signalling", "streams"):
        assert getattr(found, name) == getattr(session, name), name
    assert ("other", 7) == (
        found.streams[0].offered.label,
        found.streams[0].authentic,
    )


def test_the_disk_says_which_revision_of_the_metadata_is_the_newest(
    session: Session,
) -> None:
    state = state_of(session)
    session.folder.write_once("session/0001", b"sealed")
    session.folder.write_once("session/0002", b"sealed")
    found = resumed(state, session.folder)

    assert found is not None
    assert found.revision == 2


def test_a_session_with_a_manifest_is_over(session: Session) -> None:
    session.folder.write_once(MANIFEST, b"signed")

    assert resumed(state_of(session), session.folder) is None


def test_the_state_of_another_call_is_refused(session: Session) -> None:
    other = dataclasses.replace(session.order, recording_id=new_recording_id())
    state = state_of(dataclasses.replace(session, order=other))

    with pytest.raises(InvalidInputError):
        resumed(state, session.folder)


def test_a_session_without_a_folder_is_not_found(
    session: Session, tmp_path: Path
) -> None:
    folder = SessionFolder(tmp_path / "gone", session.recording_id)

    with pytest.raises(NotFoundError):
        resumed(state_of(session), folder)


@pytest.mark.parametrize(
    "state",
    [
        b"",
        b"{}",
        zlib.compress(b"[]"),
        zlib.compress(b"7"),
        zlib.compress(json.dumps({"v": 1}).encode()),
        zlib.compress(json.dumps({"v": 2}).encode()),
    ],
)
def test_anything_else_is_refused(session: Session, state: bytes) -> None:
    with pytest.raises(InvalidInputError):
        resumed(state, session.folder)


def test_a_state_of_many_long_lines_is_small(session: Session) -> None:
    assert len(state_of(session)) < 4096
