from vault.catalog.values import RecordingRow
from vault.core.flow import Direction, RecordingState, StreamStatus
from vault.core.ids import RecordingId, WorkgroupId
from vault.sealing.metadata import SessionMetadata, StreamMetadata
from vault.web.items import Lane, RecordingItem

ID = RecordingId("3f0c1a52-9d3e-4c5b-8a57-0f6f2f6f2f6f")


def row(state: RecordingState = RecordingState.READY, *labels: str) -> RecordingRow:
    return RecordingRow(
        seq=1,
        id=ID,
        state=state,
        reason=None,
        held=False,
        device_id=None,
        workgroup_id=WorkgroupId("w"),
        agent_id=None,
        day="2026-11-23",
        kid=None,
        size_bytes=1,
        duration_ms=1500,
        manifest_sha256=None,
        how=None,
        streams=tuple(
            StreamStatus(label=label, codec="PCMU", suite="X") for label in labels
        ),
        has_screen=False,
        wanted=(),
        worker=None,
        attempts=0,
    )


def metadata(direction: Direction, agent: str = "") -> SessionMetadata:
    return SessionMetadata(
        recording_id=ID,
        started="2026-11-23T06:16:09Z",
        direction=direction,
        caller="+1",
        callee="+2",
        agent=agent,
    )


def test_what_is_not_known_is_absent_and_not_null() -> None:
    item = RecordingItem.of(row(), None, workgroup=None)

    assert item.full() == {
        "id": ID,
        "state": "ready",
        "reason": None,
        "held": False,
        "day": "2026-11-23",
        "duration_s": 1.5,
        "has_screen": False,
        "size_bytes": 1,
        "streams": [],
    }


def test_the_customer_is_who_called_in_or_was_called() -> None:
    inbound = RecordingItem.of(
        row(RecordingState.READY, "agent", "customer"),
        metadata(Direction.INBOUND, "ada"),
        workgroup=None,
    )
    outbound = RecordingItem.of(
        row(RecordingState.READY, "agent", "customer"),
        metadata(Direction.OUTBOUND),
        workgroup=None,
    )

    assert inbound.lanes == (
        Lane(label="agent", name="ada"),
        Lane(label="customer", name="+1"),
    )
    assert outbound.lanes == (
        Lane(label="agent", name="+1"),
        Lane(label="customer", name="+2"),
    )


def test_streams_have_the_names_that_the_pbx_gave_them() -> None:
    said = SessionMetadata(
        recording_id=ID,
        started="2026-11-23T06:16:09Z",
        streams=tuple(
            StreamMetadata(label=label, codec="PCMU", suite="X")
            for label in ("customer", "", "agent", "supervisor")
        ),
    )
    kept = row(RecordingState.READY, "customer", "stream2", "agent", "stream4")

    item = RecordingItem.of(kept, said, workgroup=None)
    unread = RecordingItem.of(kept, None, workgroup=None)

    assert [one.label for one in item.streams] == [
        "customer", "stream2", "agent", "supervisor",
    ]  # fmt: skip
    assert unread.streams == kept.streams


def test_the_lanes_are_in_the_order_of_the_channels() -> None:
    item = RecordingItem.of(
        row(RecordingState.READY, "customer", "supervisor", "agent"),
        None,
        workgroup=None,
    )

    assert [lane.label for lane in item.lanes] == ["agent", "customer"]


def test_a_call_without_streams_still_has_a_lane() -> None:
    assert len(RecordingItem.of(row(), None, workgroup=None).lanes) == 1
