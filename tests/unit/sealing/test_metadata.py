from typing import Any

import pytest

from vault.core import canonical
from vault.core.errors import SealBrokenError
from vault.core.flow import Direction
from vault.core.ids import new_recording_id
from vault.sealing.metadata import SessionMetadata, StreamMetadata

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
)


def test_reading_and_writing_are_inverses() -> None:
    assert SessionMetadata.parse(bytes(METADATA)) == METADATA


def test_a_repr_names_nobody() -> None:
    shown = repr(METADATA)

    assert METADATA.recording_id in shown
    assert "4930" not in shown
    assert "rgen" not in shown


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
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
