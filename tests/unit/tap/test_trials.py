"""Rollover counters that nobody tells us: late joins, gaps, re-keys, restarts."""

import os
import random
from collections.abc import Callable

import pytest

from tests.simulators.tap_line import Line, fresh_key
from vault.core.media import SrtpSuite
from vault.tap.capture import Kind
from vault.tap.orders import StreamChange
from vault.tap.srtp import OutboundSession

SUITES = (
    SrtpSuite.AES_CM_128_HMAC_SHA1_80,
    SrtpSuite.AES_256_CM_HMAC_SHA1_80,
    SrtpSuite.AEAD_AES_256_GCM,
)
ROLLOVER = 1 << 16


def rejected(line: Line) -> dict[str, int]:
    return {str(reason): n for reason, n in line.stream.count.rejected.items()}


def span(line: Line) -> tuple[int, int, int]:
    (one,) = line.stream.count.ssrcs.spans()
    return one.first, one.last, one.packets


def rekey(line: Line) -> OutboundSession:
    """Give the stream a new key; return its sender."""
    key = fresh_key(line.order.suite)
    line.sweep.change_stream(line.call, StreamChange(index=0, key=key))
    return OutboundSession(line.order.suite, key)


@pytest.mark.parametrize("suite", SUITES)
class TestALateJoin:
    @pytest.mark.parametrize(
        "first",
        [
            pytest.param(ROLLOVER, id="M5-first-packet-65535-lost"),
            pytest.param(ROLLOVER + 30_000, id="M6-rollover-1"),
            pytest.param(2 * ROLLOVER + 65_530, id="M6-rollover-2"),
            pytest.param(100 * ROLLOVER + 7, id="M6-rollover-100"),
        ],
    )
    def test_loses_no_packet_at_whatever_rollover(
        self, lines: Callable[..., Line], suite: SrtpSuite, first: int
    ) -> None:
        line = lines(suite)
        line.lead(first)
        sent = line.send_index(*range(first, first + 10))
        line.tick()
        for start in range(first + 10, first + 50, 10):
            sent += line.send_index(*range(start, start + 10))
            line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert line.octets(Kind.UNDECRYPTABLE) == []
        assert rejected(line) == {}
        assert span(line) == (first, first + 49, 50)


class TestALateJoinFarOut:
    def test_is_found_within_a_second(self, lines: Callable[..., Line]) -> None:
        line = lines()
        first = 900 * ROLLOVER + 5
        line.lead(first)
        sent = []
        for start in range(first, first + 50, 10):
            sent += line.send_index(*range(start, start + 10))
            line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert span(line) == (first, first + 49, 50)

    def test_reordered_at_the_join_loses_nothing(
        self, lines: Callable[..., Line]
    ) -> None:
        line = lines()
        line.lead(3 * ROLLOVER)
        packets = [*range(3 * ROLLOVER, 3 * ROLLOVER + 40)]
        random.Random(5).shuffle(packets)
        sent = line.send_index(*packets[:20])
        line.tick()
        sent += line.send_index(*packets[20:])
        line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert span(line)[2] == 40

    def test_with_forged_packets_in_between_keeps_those_verbatim(
        self, lines: Callable[..., Line]
    ) -> None:
        line = lines()
        line.lead(ROLLOVER)
        sent, forged = [], []
        for index in range(ROLLOVER, ROLLOVER + 30):
            sent += line.send_index(index)
            if index % 3 == 0:
                forged.append(b"\x80\x00" + os.urandom(2) + bytes(7) + b"\x07" * 30)
                line.send(forged[-1])
        for _ in range(8):
            line.tick(0.4)

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert sorted(line.octets(Kind.UNDECRYPTABLE)) == sorted(forged)
        assert rejected(line) == {"unauthenticated": len(forged)}

    def test_under_a_short_tag_is_never_guessed(
        self, lines: Callable[..., Line]
    ) -> None:
        """A thousand guesses would find a forgery a thousand times as often."""
        line = lines(SrtpSuite.AES_CM_128_HMAC_SHA1_32)
        line.lead(ROLLOVER)
        line.send_index(*range(ROLLOVER, ROLLOVER + 20))
        line.tick()
        line.tick(5.0)

        line.close()

        assert line.octets(Kind.RTP) == []
        assert len(line.octets(Kind.UNDECRYPTABLE)) == 20
        assert rejected(line) == {"unauthenticated": 20}

    def test_in_a_pause_is_followed_and_not_captured(
        self, lines: Callable[..., Line]
    ) -> None:
        line = lines()
        line.lead(ROLLOVER)
        line.sweep.pause(line.call, paused=True)
        line.send_index(*range(ROLLOVER, ROLLOVER + 10))
        line.tick()
        line.sweep.pause(line.call, paused=False)
        sent = line.send_index(ROLLOVER + 10)
        line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert line.stream.count.not_captured == 10

    def test_that_began_before_a_pause_captures_what_came_before_it(
        self, lines: Callable[..., Line]
    ) -> None:
        line = lines()
        line.lead(ROLLOVER)
        before = line.send_index(ROLLOVER, ROLLOVER + 1)
        line.sweep.pause(line.call, paused=True)
        line.send_index(ROLLOVER + 2, ROLLOVER + 3)
        line.tick()

        line.close()

        assert line.octets(Kind.RTP) == before
        assert line.stream.count.not_captured == 2


@pytest.mark.parametrize("suite", SUITES)
class TestAGap:
    @pytest.mark.parametrize(
        "packets",
        [
            pytest.param(n, id=f"M8-{n}")
            for n in (32_766, 32_767, 32_768, 40_000, 65_530, 65_535, 65_536, 200_000)
        ],
    )
    def test_of_any_size_is_a_gap_and_no_end(
        self, lines: Callable[..., Line], suite: SrtpSuite, packets: int
    ) -> None:
        line = lines(suite)
        sent = line.send_index(*range(100, 120))
        line.tick()
        after = 120 + packets
        line.lead(after)
        sent += line.send_index(*range(after, after + 20))
        line.tick(600.0)
        sent += line.send_index(*range(after + 20, after + 30))
        line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert span(line) == (100, after + 29, 50)
        assert rejected(line) == {}


@pytest.mark.parametrize("suite", SUITES)
class TestARekeyOfOneSsrc:
    @pytest.mark.parametrize("rollover", [0, 1, 3])
    @pytest.mark.parametrize(
        "keeps",
        [pytest.param(True, id="M16-kept"), pytest.param(False, id="M16-reset")],
    )
    def test_loses_no_packet_whether_the_counter_is_kept_or_not(
        self, lines: Callable[..., Line], suite: SrtpSuite, rollover: int, keeps: bool
    ) -> None:
        line = lines(suite)
        first = rollover * ROLLOVER + 10
        line.lead(first)
        sent = line.send_index(*range(first, first + 10))
        line.tick()
        sender = rekey(line)
        start = first + 12 if keeps else 22
        line.lead(start, session=sender)
        sent += line.send_index(*range(start, start + 5), session=sender)
        # Stragglers under the old key, up to 2 s late.
        sent += line.send_index(first + 10, first + 11)
        sent += line.send_index(*range(start + 5, start + 10), session=sender)
        line.tick(0.2)
        sent += line.send_index(*range(start + 10, start + 20), session=sender)
        line.tick(0.2)

        line.close()

        assert sorted(line.octets(Kind.RTP)) == sorted(sent)
        assert rejected(line) == {}
        assert span(line) == (first, first + 31, 32)

    def test_that_media_overtook_loses_none_of_it(
        self, lines: Callable[..., Line], suite: SrtpSuite
    ) -> None:
        line = lines(suite)
        sent = line.send_index(1, 2)
        line.tick()
        key = fresh_key(suite)
        early = OutboundSession(suite, key)
        sent += line.send_index(3, 4, session=early)
        line.tick(0.2)
        line.sweep.change_stream(line.call, StreamChange(index=0, key=key))
        sent += line.send_index(5, session=early)
        line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert rejected(line) == {}


class TestAnOldPacketSentAgain:
    @pytest.mark.parametrize(
        "far",
        [
            pytest.param(n, id=f"M9-{n}-later")
            for n in (100, 40_000, ROLLOVER + 40_000, 3 * ROLLOVER)
        ],
    )
    def test_leads_no_session_back(self, lines: Callable[..., Line], far: int) -> None:
        line = lines()
        recorded = line.record_index(*range(10, 20))
        for packet in recorded:
            line.send(packet)
        line.tick()
        line.lead(far)
        sent = line.send_index(*range(far, far + 10))
        line.tick(600.0)
        for _ in range(5):
            for packet in recorded:
                line.send(packet)
            line.tick(5.0)
        sent += line.send_index(far + 10)
        line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP)[10:] == sent
        assert span(line) == (10, far + 10, 21)
        assert sum(line.stream.count.rejected.values()) == 50


@pytest.mark.parametrize("suite", SUITES)
class TestARestartedWorker:
    @pytest.mark.parametrize(
        "index", [pytest.param(n, id=f"M7-after-{n}") for n in (50, 70_000, 6_600_000)]
    )
    def test_goes_on_where_the_page_says(
        self, lines: Callable[..., Line], suite: SrtpSuite, index: int
    ) -> None:
        line = lines(suite)
        line.lead(index)
        line.send_index(*range(index, index + 10))
        line.tick()
        line.send(b"\x16" + bytes(20))
        line.tick(0.2)

        line.restart()
        # What waited in the kernel meanwhile, and what comes after.
        sent = line.send_index(*range(index + 10, index + 20))
        line.tick()

        line.close()

        assert line.octets(Kind.RTP, number=2)[-10:] == sent
        assert span(line) == (index, index + 19, 20)
        assert rejected(line) == {"not-rtp": 1}

    def test_knows_a_key_that_began_at_rollover_0_again(
        self, lines: Callable[..., Line], suite: SrtpSuite
    ) -> None:
        line = lines(suite)
        first = 3 * ROLLOVER
        line.lead(first)
        line.send_index(*range(first, first + 5))
        line.tick()
        sender = rekey(line)
        line.order = line.stream.order
        line.send_index(*range(5, 10), session=sender)
        line.tick(0.2)

        line.restart()
        line.send_index(*range(10, 20), session=sender)
        line.tick()

        line.close()

        assert span(line) == (first, first + 19, 20)
        assert rejected(line) == {}

    def test_between_a_rekey_and_its_first_packet_takes_the_new_key(
        self, lines: Callable[..., Line], suite: SrtpSuite
    ) -> None:
        line = lines(suite)
        line.send_index(*range(5))
        line.tick()
        sender = rekey(line)
        line.order = line.stream.order

        line.restart()
        sent = line.send_index(*range(5, 9), session=sender)
        line.tick()

        line.close()

        assert line.octets(Kind.RTP, number=2) == sent
        assert span(line) == (0, 8, 9)


class TestAFloodOfGarbage:
    @pytest.mark.parametrize("one_ssrc", [True, False])
    def test_is_counted_once_and_disturbs_nobody(
        self, lines: Callable[..., Line], *, one_ssrc: bool
    ) -> None:
        line = lines(kept_packets=100)
        sent = []
        for tick in range(20):
            for _ in range(40):
                ssrc = b"\0\0\0\x09" if one_ssrc else os.urandom(4)
                line.send(b"\x80\x00" + os.urandom(2) + bytes(4) + ssrc + bytes(40))
            sent += line.send_rtp(tick)
            line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert rejected(line) == {"unauthenticated": 800}
        assert len(line.octets(Kind.UNDECRYPTABLE)) == 100
