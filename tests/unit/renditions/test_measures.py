from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.simulators.calls import MS, Phone, Sent, added, babble, capture, rtp
from vault.renditions.legs import legs_of
from vault.renditions.measures import gaps, skew_ppm
from vault.renditions.mixdown import timeline_of
from vault.renditions.packets import CaptureReader, StreamPackets


def read(packets: Sequence[Sent]) -> StreamPackets:
    reader = CaptureReader()
    reader.feed(capture(packets, added(0, "agent")))
    (stream,) = reader.finish()
    return stream


def skew(packets: Sequence[Sent]) -> int | None:
    stream = read(packets)
    ((run, *_), *_) = legs_of(stream.packets)
    return skew_ppm(stream.packets, run)


def drifting(packets: Sequence[Sent], ppm: int, jitter_ms: float = 0) -> list[Sent]:
    """Return *packets* of a sender whose clock runs *ppm* too fast."""
    random = np.random.default_rng(7)
    start_ns = packets[0].at_ns
    return [
        replace(
            one,
            at_ns=start_ns
            + round((one.at_ns - start_ns) / (1 + ppm / 1e6))
            + int(random.random() * jitter_ms * MS),
        )
        for one in packets
    ]


@pytest.mark.parametrize("ppm", [-500, -50, 0, 50, 500])
@pytest.mark.parametrize("jitter_ms", [0, 5])
def test_a_clock_that_is_off_is_measured_through_jitter(
    ppm: int, jitter_ms: float
) -> None:
    packets = Phone().say(babble(120))

    found = skew(drifting(packets, ppm, jitter_ms))

    assert found == pytest.approx(ppm, abs=15 if jitter_ms else 2)


def test_loss_and_disorder_do_not_disturb_it() -> None:
    packets = drifting(Phone().say(babble(60)), 200, 30)

    found = skew([one for n, one in enumerate(packets) if n % 7 != 3])

    assert found == pytest.approx(200, abs=60)


def test_of_a_few_seconds_no_clock_is_judged() -> None:
    assert skew(Phone().say(babble(5))) is None


@pytest.mark.parametrize("step", [2**31, -(2**31), 2**30, -80_000])
def test_timestamps_that_jump_are_no_clock(step: int) -> None:
    phone = Phone()
    packets = phone.say(babble(20))
    phone.timestamp += step

    found = skew([*packets, *phone.say(babble(20), at_s=20)])

    assert found is None


def test_a_frozen_timestamp_is_no_clock() -> None:
    packets = [
        replace(one, octets=rtp(n, 5, bytes(160)))
        for n, one in enumerate(Phone().say(babble(20)))
    ]

    assert skew(packets) is None


def test_gaps_are_where_no_packet_lies() -> None:
    packets = Phone().say(babble(4))
    timeline = timeline_of([read(packets[:50] + packets[100:])])

    found = gaps(timeline.channels[0].tracks[0])

    assert {
        "count": 1,
        "total_ms": 1000,
        "longest_ms": 1000,
        "spans_ms": [[1000, 1000]],
    } == found
    assert gaps(None)["count"] == 0
