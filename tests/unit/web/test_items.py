from dataclasses import replace

import pytest

from vault.access.workgroups import Workgroup
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
        class_name=None,
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


@pytest.mark.parametrize(
    ("suites", "said", "expected"),
    [
        (["AEAD_AES_256_GCM", "AES_CM_128_HMAC_SHA1_80"], [], "strong"),
        (["AEAD_AES_256_GCM", "AES_256_CM_HMAC_SHA1_32"], [], "short-tag"),
        (["PLAIN_RTP", "AES_256_CM_HMAC_SHA1_32"], [], "none"),
        # A re-key ended in AEAD; the metadata remembers how it began.
        (["AEAD_AES_256_GCM"], ["PLAIN_RTP"], "none"),
        ([], ["AES_CM_128_HMAC_SHA1_32"], "short-tag"),
        (["X"], [], None),
        ([], [], None),
    ],
)
def test_the_worst_stream_says_how_a_call_was_protected(
    suites: list[str], said: list[str], expected: str | None
) -> None:
    streams = [StreamStatus(label="s", codec="PCMU", suite=one) for one in suites]
    sealed = replace(
        metadata(Direction.INBOUND),
        streams=tuple(
            StreamMetadata(label="s", codec="PCMU", suite=one) for one in said
        ),
    )
    item = RecordingItem.of(
        replace(row(), streams=tuple(streams)), sealed, workgroup=None
    )

    assert expected == item.protection
    assert expected == item.brief().get("protection")


def test_every_stream_says_its_own_protection() -> None:
    kept = replace(
        row(),
        streams=tuple(
            StreamStatus(label=suite, codec="PCMU", suite=suite)
            for suite in (
                "AEAD_AES_128_GCM",
                "AES_CM_128_HMAC_SHA1_32",
                "PLAIN_RTP",
                "X",
            )
        ),
    )
    item = RecordingItem.of(kept, None, workgroup=None)

    assert item.full()["streams"] == [
        {**stream, **({"protection": said} if said else {})}
        for stream, said in zip(
            [
                {
                    "label": one.label,
                    "media": "audio",
                    "codec": "PCMU",
                    "suite": one.suite,
                    "packets_received": 0,
                    "packets_authentic": 0,
                    "packets_lost": 0,
                    "packets_undecryptable": 0,
                    "packets_rejected": {},
                    "rtcp_packets": 0,
                }
                for one in kept.streams
            ],
            ["strong", "short-tag", "none", None],
            strict=True,
        )
    ]


def test_the_lanes_are_in_the_order_of_the_channels() -> None:
    item = RecordingItem.of(
        row(RecordingState.READY, "customer", "supervisor", "agent"),
        None,
        workgroup=None,
    )

    assert [lane.label for lane in item.lanes] == ["agent", "customer"]


def test_a_screen_is_no_lane_whatever_its_name() -> None:
    call = row(RecordingState.READY, "agent", "customer", "desk")
    *voices, screen = call.streams
    call = replace(call, streams=(*voices, replace(screen, media="video")))

    assert ["agent", "customer"] == [
        lane.label for lane in RecordingItem.of(call, None, workgroup=None).lanes
    ]


def test_a_call_without_streams_still_has_a_lane() -> None:
    assert len(RecordingItem.of(row(), None, workgroup=None).lanes) == 1


def test_the_class_is_its_own_or_that_of_its_workgroup() -> None:
    plain = Workgroup(id=WorkgroupId("w"), name="Desk")
    board = Workgroup(id=WorkgroupId("w"), name="Board", class_name="secret")
    own = replace(row(), class_name="medical")

    assert [None, "secret", "medical"] == [
        RecordingItem.of(one, None, workgroup=group).brief().get("class")
        for one, group in ((row(), plain), (row(), board), (own, board))
    ]
