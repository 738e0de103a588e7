"""Every fault that a network or a sender can have, heard sample by sample."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.simulators.calls import (
    MS,
    RATE,
    START_NS,
    Phone,
    Sent,
    added,
    babble,
    capture,
    heard,
    rtp,
)
from vault.renditions.mixdown import Timeline, timeline_of
from vault.renditions.packets import CaptureReader

PACKET = 160


def timeline(packets: Sequence[Sent], *labels: str) -> Timeline:
    events = [added(n, label) for n, label in enumerate(labels or ("agent",))]
    reader = CaptureReader()
    reader.feed(capture(packets, *events))
    return timeline_of(reader.finish())


def listened(packets: Sequence[Sent], *labels: str) -> np.ndarray:
    return np.concatenate(list(timeline(packets, *labels).blocks()), axis=1)


def silenced(samples: np.ndarray, *spans: tuple[int, int]) -> np.ndarray:
    samples = samples.copy()
    for start, stop in spans:
        samples[start:stop] = 0
    return samples


def delayed(packets: Sequence[Sent], by_ns: Callable[[int], int]) -> list[Sent]:
    return [
        replace(each, at_ns=each.at_ns + by_ns(n)) for n, each in enumerate(packets)
    ]


class TestNothingShifts:
    def test_when_packets_are_lost(self) -> None:
        octets = babble(4)
        packets = Phone().say(octets)
        kept = packets[:10] + packets[11:50] + packets[70:]

        samples = listened(kept)

        assert np.array_equal(
            [silenced(heard(octets), (1600, 1760), (8000, 11200))], samples
        )

    def test_when_a_third_is_lost(self) -> None:
        octets = babble(6)
        packets = Phone().say(octets)
        lost = set(np.random.default_rng(3).choice(298, 90, replace=False) + 1)
        kept = [each for n, each in enumerate(packets) if n not in lost]

        samples = listened(kept)

        spans = [(n * PACKET, (n + 1) * PACKET) for n in lost]
        assert np.array_equal([silenced(heard(octets), *spans)], samples)

    @pytest.mark.parametrize("jitter_ms", [10, 60, 200])
    def test_under_jitter(self, jitter_ms: int) -> None:
        octets = babble(6)
        wait = np.random.default_rng(5).integers(0, jitter_ms, 300)
        packets = delayed(Phone().say(octets), lambda n: int(wait[n]) * MS)

        samples = listened(packets)

        assert np.array_equal([heard(octets)], samples)

    def test_when_packets_overtake_each_other_by_fifty(self) -> None:
        octets = babble(6)
        packets = delayed(Phone().say(octets), lambda n: 1000 * MS if n % 7 == 3 else 0)

        samples = listened(packets)

        assert np.array_equal([heard(octets)], samples)

    def test_when_each_packet_comes_twice(self) -> None:
        octets = babble(2)
        packets = Phone().say(octets)

        samples = listened(packets + delayed(packets, lambda _: 30 * MS))

        assert np.array_equal([heard(octets)], samples)

    @pytest.mark.parametrize("stall_s", [0.5, 3, 12])
    def test_when_the_network_stalls_and_then_delivers_all_at_once(
        self, stall_s: float
    ) -> None:
        octets = babble(30)
        packets = Phone().say(octets)
        end_ns = START_NS + round((5 + stall_s) * 1e9)
        late = [
            replace(each, at_ns=max(each.at_ns, end_ns + n * 20_000))
            if START_NS + 5_000 * MS < each.at_ns < end_ns
            else each
            for n, each in enumerate(packets)
        ]

        samples = listened(late)

        assert np.array_equal([heard(octets)], samples)

    def test_when_the_sender_is_silent_and_its_clock_runs_on(self) -> None:
        phone, octets = Phone(), babble(4)
        packets = phone.say(octets[:16000])
        phone.pause(20)
        packets += phone.say(octets[16000:], at_s=22)

        samples = listened(packets)[0]

        assert np.array_equal(heard(octets[:16000]), samples[:16000])
        assert not samples[16000 : 22 * RATE].any()
        assert np.array_equal(heard(octets[16000:]), samples[22 * RATE :])


class TestTheSenderChanges:
    def test_its_clock_stops_on_hold(self) -> None:
        """The timestamp goes on where it was, a minute later by arrival."""
        phone, octets = Phone(), babble(4)
        packets = phone.say(octets[:16000])
        packets += phone.say(octets[16000:], at_s=62)

        samples = listened(packets)[0]

        assert len(samples) == 64 * RATE
        assert np.array_equal(heard(octets[16000:]), samples[62 * RATE :])

    @pytest.mark.parametrize("jump", [2**31, -(2**31) + 7, 12345678, -54321, 5 * RATE])
    def test_its_timestamp_jumps(self, jump: int) -> None:
        phone, octets = Phone(), babble(4)
        packets = phone.say(octets[:16000])
        phone.timestamp += jump
        packets += phone.say(octets[16000:], at_s=2)

        samples = listened(packets)

        assert np.array_equal([heard(octets)], samples)

    def test_one_packet_has_a_stray_timestamp(self) -> None:
        octets = babble(4)
        packets = Phone().say(octets)
        stray = rtp(65_500 + 50, 99, packets[50].octets[12:])
        packets[50] = replace(packets[50], octets=stray)

        samples = listened(packets)

        assert np.array_equal([heard(octets)], samples)

    def test_its_timestamp_is_frozen(self) -> None:
        octets = babble(4)
        packets = [
            replace(each, octets=rtp(n, 77, each.octets[12:]))
            for n, each in enumerate(Phone().say(octets))
        ]

        samples = listened(packets)

        assert np.array_equal([heard(octets)], samples)

    def test_its_sequence_numbers_restart(self) -> None:
        phone, octets = Phone(), babble(4)
        packets = phone.say(octets[:16000])
        phone.seq, phone.timestamp = 17, 4_000_000
        packets += phone.say(octets[16000:], at_s=2)

        samples = listened(packets)

        assert np.array_equal([heard(octets)], samples)

    def test_its_ssrc_changes(self) -> None:
        octets = babble(4)
        packets = Phone(ssrc=1).say(octets[:16000])
        packets += Phone(ssrc=2, seq=9, timestamp=5).say(octets[16000:], at_s=2)

        whole = timeline(packets)

        assert np.array_equal([heard(octets)], np.concatenate(list(whole.blocks()), 1))
        assert len(whole.channels[0].tracks[0].legs) == 1

    def test_its_packets_change_size(self) -> None:
        phone, octets = Phone(), babble(4)
        packets = phone.say(octets[:16000])
        phone.ptime_ms = 50
        packets += phone.say(octets[16000:], at_s=2)

        samples = listened(packets)

        assert np.array_equal([heard(octets)], samples)

    @pytest.mark.parametrize("ppm", [-500, 500])
    def test_its_clock_is_wrong_for_an_hour(self, ppm: int) -> None:
        """Only arrival is stretched: what was heard when stays within 110 ms."""
        count = 3600 * 50 // 10
        octets = np.full(PACKET, 0x80, np.uint8).tobytes()
        packets = [
            Sent(
                START_NS + round(n * 200 * MS * (1 + ppm / 1e6)),
                0,
                rtp(n, n * 1600, octets),
            )
            for n in range(count)
        ]

        whole = timeline(packets)

        wall_ms = 3_600_000 * (1 + ppm / 1e6) - 180
        assert abs(whole.duration_ms - wall_ms) <= 110


class TestTwoVoices:
    def test_start_when_they_did(self) -> None:
        first, second = babble(3, seed=1), babble(1, seed=2)
        packets = Phone(stream=0).say(first)
        packets += Phone(stream=1).say(second, at_s=1.5)

        samples = listened(packets, "agent", "customer")

        assert np.array_equal(heard(first), samples[0])
        assert not samples[1, :12000].any()
        assert np.array_equal(heard(second), samples[1, 12000:20000])

    def test_on_one_port_are_two_legs_and_both_heard(self) -> None:
        first, second = babble(3, seed=1), babble(3, seed=2)
        packets = Phone(ssrc=1).say(first) + Phone(ssrc=2).say(second)

        whole = timeline(packets)
        samples = np.concatenate(list(whole.blocks()), axis=1)[0]

        both = heard(first).astype(np.int32) + heard(second)
        assert len(whole.channels[0].tracks[0].legs) == 2
        assert np.array_equal(both.clip(-32768, 32767), samples)

    @pytest.mark.parametrize(
        ("labels", "left"),
        [
            (("agent", "customer"), 0),
            (("customer", "agent"), 1),
            (("stream1", "stream2"), 0),
            (("customer", "stream2"), 1),
        ],
    )
    def test_are_told_apart_by_label(self, labels: tuple[str, str], left: int) -> None:
        voices = [babble(1, seed=1), babble(1, seed=2)]
        packets = Phone(stream=0).say(voices[0]) + Phone(stream=1).say(voices[1])

        samples = listened(packets, *labels)

        assert np.array_equal(heard(voices[left]), samples[0])
        assert np.array_equal(heard(voices[1 - left]), samples[1])

    def test_and_a_third_share_the_right(self) -> None:
        voices = [babble(1, seed=n) for n in range(3)]
        packets = [
            each
            for n, voice in enumerate(voices)
            for each in Phone(stream=n, ssrc=n).say(voice)
        ]

        samples = listened(packets, "agent", "customer", "stream3")

        right = heard(voices[1]).astype(np.int32) + heard(voices[2])
        assert np.array_equal(right.clip(-32768, 32767), samples[1])

    def test_one_silent_line_still_makes_stereo(self) -> None:
        samples = listened(Phone().say(babble(1)), "agent", "customer")

        assert samples.shape == (2, 8000)
        assert not samples[1].any()


def test_a_clock_that_jumps_by_years_makes_no_endless_silence() -> None:
    packets = Phone().say(babble(2))
    later = delayed(packets[50:], lambda _: 10**9 * 86_400 * 900)

    whole = timeline(packets[:50] + later)

    assert whole.samples == 50 * PACKET


def test_without_packets_there_is_no_time() -> None:
    assert timeline([]).samples == 0
