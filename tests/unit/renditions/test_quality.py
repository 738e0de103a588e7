import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.simulators.calls import (
    MS,
    START_NS,
    Phone,
    Sent,
    added,
    babble,
    capture,
    counted,
    record,
    rtp,
)
from vault.core import canonical
from vault.core.clock import rfc3339
from vault.core.flow import HowEnded
from vault.core.ids import new_recording_id
from vault.core.media import PayloadFormat
from vault.renditions.mixdown import timeline_of
from vault.renditions.packets import CaptureReader
from vault.renditions.peaks import PeaksWriter
from vault.renditions.quality import certificate, summary
from vault.sealing.manifest import Manifest, SsrcCount, StreamCount
from vault.tap.capture import Kind


def certified(
    packets: Sequence[Sent], streams: tuple[StreamCount, ...] = (), *events: bytes
) -> dict:
    reader = CaptureReader()
    start = [added(0, "agent"), added(1, "screen", media="video", payloads=(H264,))]
    reader.feed(capture(packets, *start, *events))
    reader.end_part("capture/0001")
    reader.feed(start[1])
    reader.end_part("capture/0002.cut")
    read = reader.finish()
    timeline = timeline_of(read)
    peaks = PeaksWriter(labels=[each.label for each in timeline.channels])
    for block in timeline.blocks():
        peaks.write(block)
    id = new_recording_id()
    manifest = Manifest(
        recording_id=id,
        tap="tap-1",
        started=rfc3339(START_NS),
        ended=rfc3339(START_NS),
        how=HowEnded.BYE,
        objects=(),
        streams=streams,
    )
    return canonical.parse(
        certificate(
            id,
            manifest=manifest,
            streams=read,
            timeline=timeline,
            peaks=peaks,
            cut_bytes=3,
            parts=reader.parts,
        )
    )


H264 = PayloadFormat(payload_type=96, encoding="H264", clock_rate_hz=90_000)


def test_a_clean_call_has_nothing_to_report() -> None:
    (stream, _) = certified(Phone().say(babble(2)))["streams"]

    assert stream["gaps"] == {
        "count": 0,
        "longest_ms": 0,
        "spans_ms": [],
        "total_ms": 0,
    }
    assert {"received": 100, "expected": 100, "lost": 0, "duplicated": 0} == {
        name: stream[name] for name in ("received", "expected", "lost", "duplicated")
    }


def test_loss_is_counted_and_found_in_time() -> None:
    packets = Phone().say(babble(4))

    (stream, _) = certified(packets[:50] + packets[75:150] + packets[151:])["streams"]

    assert stream["lost"] == 26
    assert stream["gaps"] == {
        "count": 2,
        "longest_ms": 500,
        "spans_ms": [[1000, 500], [3000, 20]],
        "total_ms": 520,
    }


def test_what_the_tap_counted_is_in_it() -> None:
    found = certified(
        Phone().say(babble(1)),
        (counted(received=70, authentic=50),),
    )

    assert found["streams"][0]["rejected"] == {"unauthenticated": 20}
    assert (found["how"], found["cut_bytes"]) == ("bye", 3)


def test_the_summary_takes_losses_from_the_capture_and_the_rest_from_the_tap() -> None:
    packets = Phone().say(babble(2))
    reader = CaptureReader()
    reader.feed(capture(packets[:20] + packets[30:], added(0, "+49 89 1234")))
    read = reader.finish()

    (status,) = summary(read, [counted(received=95, authentic=90)], timeline_of(read))

    assert (status.label, status.codec) == ("agent", "PCMU")
    assert (status.packets_received, status.packets_authentic) == (95, 90)
    assert status.packets_lost == 10


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ({101: "telephone-event", 8: "PCMA"}, "PCMA"),
        ({13: "CN", 9: "G722"}, "G722"),
        ({101: "telephone-event"}, "telephone-event"),
        ({}, "unknown"),
    ],
)
def test_a_line_that_stayed_silent_would_have_carried_speech(
    offered: dict[int, str], expected: str
) -> None:
    reader = CaptureReader()
    reader.feed(capture([], added(0, "agent")))
    read = reader.finish()
    payloads = {
        number: PayloadFormat(payload_type=number, encoding=name, clock_rate_hz=8000)
        for number, name in offered.items()
    }
    silent = replace(counted(), payloads=payloads)

    (status,) = summary(read, [silent], timeline_of(read))

    assert expected == status.codec


def test_what_was_discarded_in_a_pause_is_no_loss_of_the_network() -> None:
    """The tap saw 200 of 203 packets; the capture lacks 50 more."""
    packets = Phone().say(babble(4))
    seen = replace(
        counted(received=200, authentic=200),
        ssrcs=(SsrcCount(ssrc=0xA1, first=65_500, last=65_702, packets=200),),
    )

    (stream, _) = certified(packets[:50] + packets[103:], (seen,))["streams"]

    assert (stream["lost"], stream["not_captured"]) == (3, 50)
    assert stream["ssrcs"][0]["missing"] == 53


def test_a_tap_that_died_left_no_counters_and_the_capture_has_to_do() -> None:
    reader = CaptureReader()
    reader.feed(capture(Phone().say(babble(1)), added(0, "agent")))
    read = reader.finish()

    (status,) = summary(read, [], timeline_of(read))

    assert (status.packets_received, status.packets_authentic) == (50, 50)
    assert status.suite == "AES_CM_128_HMAC_SHA1_80"


def test_silence_is_told_per_channel() -> None:
    (channel,) = certified(Phone().say(np.full(16_000, 0xFF, np.uint8)))["channels"]

    assert channel == {"label": "agent", "silence_ms": 2000, "muted_ms": 0}


def test_parts_are_named_with_what_arrived_in_them() -> None:
    packets = Phone().say(babble(1))

    parts = certified(packets)["parts"]

    assert parts == [
        {
            "name": "capture/0001",
            "first": rfc3339(packets[0].at_ns),
            "last": rfc3339(packets[-1].at_ns),
        },
        {"name": "capture/0002.cut", "first": None, "last": None},
    ]


def test_events_of_a_stream_are_counted_also_those_of_a_later_version() -> None:
    moved = record(Kind.EVENT, 0, b'{"event":"source","v":1}', at_ns=START_NS)
    later = record(Kind.EVENT, 0, b'{"event":"weather","v":1}', at_ns=START_NS)
    call = record(Kind.EVENT, 255, b'{"event":"pause","v":1}', at_ns=START_NS)

    agent, screen = certified(Phone().say(babble(1)), (), moved, later, moved, call)[
        "streams"
    ]

    assert agent["events"] == {"source": 2, "weather": 1}
    assert screen["events"] == {}


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        ("AEAD_AES_256_GCM", "srtp"),
        ("AES_CM_128_HMAC_SHA1_32", "srtp-short-tag"),
        ("PLAIN_RTP", "none"),
        ("ROT13", "unknown"),
        ("", "unknown"),
    ],
)
def test_what_protected_a_stream_is_said(suite: str, expected: str) -> None:
    changed = json.loads(added(0, "agent")[20:]) | {
        "suite": suite,
        "event": "stream-changed",
    }
    event = record(Kind.EVENT, 0, canonical.dumps(changed), at_ns=START_NS)

    (stream, _) = certified(Phone().say(babble(1)), (), event)["streams"]

    assert (suite, expected) == (stream["suite"], stream["protection"])


def test_a_screen_is_counted_by_its_own_clock() -> None:
    frames = [
        Sent(START_NS + n * 40 * MS, 1, rtp(n, n * 3600, bytes(900), payload_type=96))
        for n in range(100)
        if n != 50
    ]

    (agent, screen) = certified([*Phone().say(babble(1)), *frames])["streams"]

    assert (agent["received"], agent["lost"]) == (50, 0)
    assert ("video", "H264", 99, 1, 0, 99) == (
        screen["media"],
        screen["codec"],
        screen["received"],
        screen["lost"],
        screen["jitter_max_us"],
        screen["unsupported"]["H264"],
    )


def test_what_a_late_key_opened_is_no_longer_undecryptable() -> None:
    packets = Phone().say(babble(2))
    reader = CaptureReader()
    reader.feed(capture(packets, added(0, "agent")))
    read = [replace(one, recovered=60) for one in reader.finish()]
    counted_by_tap = replace(
        counted(received=100, authentic=40, kept=60),
        rejected={"unauthenticated": 50, "too-old": 15, "replayed": 3},
    )

    (status,) = summary(read, [counted_by_tap], timeline_of(read))

    assert (status.packets_authentic, status.packets_undecryptable) == (100, 0)
    assert {"too-old": 5, "replayed": 3} == status.packets_rejected
