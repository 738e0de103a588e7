from typing import Any

import pytest

from vault.core import canonical
from vault.core.errors import SealBrokenError
from vault.core.flow import Direction
from vault.core.ids import new_recording_id
from vault.sealing.metadata import (
    ParticipantMetadata,
    SessionMetadata,
    StreamMetadata,
)

METADATA = SessionMetadata(
    recording_id=new_recording_id(),
    started="2026-11-23T06:16:09Z",
    pbx_id="a84b4c76e66710",
    direction=Direction.INBOUND,
    caller="+4930123456",
    callee="+4940654321",
    agent="Jürgen",
    workgroup="support",
    workgroup_known=False,
    attributes={"ticket": "T-1"},
    streams=(StreamMetadata(label="agent", codec="PCMU", suite="none"),),
    peer="192.0.2.1",
    participants=(
        ParticipantMetadata(
            id="zSfPoSvdSDCmU3A3TRDxAw==",
            aor="sip:jürgen@pbx.example",
            name="Jürgen Groß",
            streams=("96",),
            joined="2026-11-23T06:16:10Z",
            left="2026-11-23T06:20:00.5Z",
            agent="juergen",
        ),
        ParticipantMetadata(id="2"),
    ),
)

FIRST = (
    b'{"agent":"eve","attributes":{},"callee":"+2","caller":"+1","device":"pbx",'
    b'"device_id":"","direction":"inbound","ended":null,"pbx_id":"a",'
    b'"peer":"192.0.2.1","recording_id":"3f0c1a52-9d3e-4c5b-8a57-0f6f2f6f2f6f",'
    b'"started":"2026-11-23T06:16:09Z","streams":[],"v":1,"workgroup":"support",'
    b'"workgroup_id":"","workgroup_known":true}'
)
"As version 1 was written."


def test_reading_and_writing_are_inverses() -> None:
    assert SessionMetadata.parse(bytes(METADATA)) == METADATA


def test_what_the_first_version_wrote_is_read_and_knows_no_participants() -> None:
    found = SessionMetadata.parse(FIRST)

    assert (1, "eve", ()) == (found.v, found.agent, found.participants)
    assert FIRST == bytes(found)


@pytest.mark.parametrize("version", [0, 3])
def test_other_versions_are_refused(version: int) -> None:
    members = {**canonical.parse(bytes(METADATA)), "v": version}

    with pytest.raises(SealBrokenError):
        SessionMetadata.parse(canonical.dumps(members))


def test_participants_in_the_first_version_are_refused() -> None:
    members = {**canonical.parse(FIRST), "participants": []}

    with pytest.raises(SealBrokenError):
        SessionMetadata.parse(canonical.dumps(members))


def test_a_repr_names_nobody() -> None:
    shown = repr(METADATA)

    assert METADATA.recording_id in shown
    assert "4930" not in shown
    assert "rgen" not in shown
    assert "pbx.example" not in repr(METADATA.participants)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 1},
        {"participants": [{"id": "1"}]},
        {"participants": [{"id": 1}]},
        {"direction": "up"},
        {"ended": 1},
        {"attributes": {"a": 1}},
        {"workgroup_known": "no"},
        {"streams": [{"label": "agent"}]},
        {"more": ""},
    ],
)
def test_what_we_did_not_write_is_refused(change: dict[str, Any]) -> None:
    members = {**canonical.parse(bytes(METADATA)), **change}

    with pytest.raises(SealBrokenError):
        SessionMetadata.parse(canonical.dumps(members))
