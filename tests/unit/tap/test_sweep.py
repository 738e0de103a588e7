"""The sweep over Unix datagrams; real UDP is in tests/integration/test_tap*.py."""

import os
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.simulators.tap_line import Line, fresh_key, press, rtp
from vault.core.media import STATIC_PAYLOADS, PayloadFormat, SrtpSuite
from vault.tap.capture import Kind, parse_event
from vault.tap.orders import Rejection, StreamChange
from vault.tap.rtcp import SenderReport
from vault.tap.srtp import OutboundSession

SUITES = tuple(suite for suite in SrtpSuite if not suite.is_plain)
REPORT = bytes(SenderReport(ssrc=7, ntp=1, rtp_timestamp=2, packets=3, octets=4))


def rejected(line: Line) -> dict[str, int]:
    return {str(reason): n for reason, n in line.stream.count.rejected.items()}


def events(line: Line, number: int = 1) -> list[str]:
    return [parse_event(r)["event"] for r in line.records(Kind.EVENT, number=number)]


@pytest.mark.parametrize("suite", SUITES)
class TestEverySuite:
    def test_what_was_sent_is_what_the_capture_holds(
        self, lines: Callable[..., Line], suite: SrtpSuite
    ):
        line = lines(suite)
        sent = line.send_rtp(1)
        line.sweep.tick()
        sent += line.send_rtp(*range(2, 150))
        line.sweep.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert line.stream.count.authentic == 149
        assert rejected(line) == {}

    def test_packets_of_many_sizes_in_one_batch_are_captured(
        self, lines: Callable[..., Line], suite: SrtpSuite
    ):
        line = lines(suite)
        sent = []
        for number in range(40):
            sent += line.send_rtp(number, payload=os.urandom(1 + 17 * number))
        line.sweep.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent

    def test_a_forged_packet_is_kept_verbatim_and_the_others_are_captured(
        self, lines: Callable[..., Line], suite: SrtpSuite
    ):
        line = lines(suite)
        sent = line.send_rtp(1, 2)
        forged = bytearray(OutboundSession(suite, line.key).protect(sent[0]))
        forged[3] = 99
        line.send(bytes(forged))
        sent += line.send_rtp(3)
        line.sweep.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert line.octets(Kind.UNDECRYPTABLE) == [bytes(forged)]
        assert rejected(line) == {"unauthenticated": 1}

    def test_after_a_rekey_packets_under_either_key_pass(
        self, lines: Callable[..., Line], suite: SrtpSuite
    ):
        line = lines(suite)
        sent = line.send_rtp(1, 2)
        fresh = os.urandom(suite.master_size_bytes)
        key = type(line.key)(fresh)
        line.sweep.change_stream(line.call, StreamChange(index=0, key=key))
        sent += line.send_rtp(3)
        sent += line.send_rtp(4, session=OutboundSession(suite, key))
        line.sweep.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert events(line) == ["stream-added", "rekey", "end"]

    def test_rtcp_on_either_port_is_told_by_its_second_octet(
        self, lines: Callable[..., Line], suite: SrtpSuite
    ):
        line = lines(suite)
        line.send(line.session.protect_rtcp(REPORT), port=0)
        line.send(line.session.protect_rtcp(REPORT), port=1)
        sent = line.send_rtp(1)
        line.sweep.tick()

        line.close()

        assert line.octets(Kind.RTCP) == [REPORT, REPORT]
        assert line.octets(Kind.RTP) == sent
        assert line.stream.count.rtcp == 2


class TestTheOldKey:
    def test_is_refused_once_the_overlap_is_over(self, lines: Callable[..., Line]):
        line = lines(overlap_s=0.0)
        line.send_rtp(1)
        key = type(line.key)(os.urandom(30))
        line.sweep.change_stream(line.call, StreamChange(index=0, key=key))
        line.sweep.tick()
        line.send_rtp(2)
        line.sweep.tick()

        assert line.stream.count.authentic == 1
        assert rejected(line) == {"unauthenticated": 1}


class TestWhatIsNotMedia:
    @pytest.mark.parametrize(
        ("datagram", "reason"),
        [
            (b"", "too-short"),
            (b"\x80", "too-short"),
            (b"\x80\x00" + bytes(9), "too-short"),
            (b"\x80\xc8\x00\x00\x00\x00\x00", "too-short"),
            (b"\x00\x01" + bytes(18), "not-rtp"),
            (b"\x16\xfe\xfd" + bytes(40), "not-rtp"),
            (b"\x10\x00" + bytes(40), "not-rtp"),
            (b"\xff" * 40, "not-rtp"),
            (b"\x80\x00" + bytes(3000), "oversize"),
            (b"\x80\x00" + bytes(170), "unauthenticated"),
            (b"\x9f\xff" + b"\xff" * 170, "unauthenticated"),
            (b"\x80\xc8\x00\x06" + bytes(40), "rtcp-unauthenticated"),
        ],
    )
    @pytest.mark.parametrize("suite", SUITES)
    def test_is_counted_by_its_reason_and_ends_nothing(
        self, lines: Callable[..., Line], suite: SrtpSuite, datagram: bytes, reason: str
    ):
        line = lines(suite)
        first = line.send_rtp(1)
        line.send(datagram)
        second = line.send_rtp(2)
        line.sweep.tick()

        line.close()

        assert rejected(line) == {reason: 1}
        assert line.octets(Kind.RTP) == first + second

    def test_a_replay_is_counted_and_not_kept(self, lines: Callable[..., Line]):
        line = lines()
        packet = line.session.protect(line.send_rtp(1)[0][:3] + b"\x02" + bytes(170))
        line.send(packet)
        line.send(packet)
        line.sweep.tick()

        line.close()

        assert rejected(line) == {"replayed": 1}
        assert line.octets(Kind.UNDECRYPTABLE) == []

    def test_a_packet_1000_late_is_still_captured_and_1100_late_is_too_old(
        self, lines: Callable[..., Line]
    ):
        line = lines()
        late = [bytes(b) for b in (line.session.protect(p) for p in _packets(0, 100))]
        line.send_rtp(1100)
        for packet in late:
            line.send(packet)
        line.sweep.tick()

        assert rejected(line) == {"too-old": 1}
        assert line.stream.count.authentic == 2

    def test_kept_packets_are_bounded_by_number_and_by_octets(
        self, lines: Callable[..., Line]
    ):
        by_number = lines(kept_packets=3)
        by_octets = lines(kept_octets=250)
        for line in (by_number, by_octets):
            for _ in range(10):
                line.send(b"\x80\x00" + os.urandom(98))
            line.sweep.tick()

        by_number.close()
        by_octets.close()

        assert (by_number.stream.count.kept, by_octets.stream.count.kept) == (3, 2)
        assert rejected(by_number) == rejected(by_octets) == {"unauthenticated": 10}


def _packets(*sequences: int) -> list[bytes]:
    return [
        b"\x80\x00"
        + n.to_bytes(2, "big")
        + bytes(4)
        + (7).to_bytes(4, "big")
        + bytes(9)
        for n in sequences
    ]


class TestSsrcs:
    def test_two_parties_on_one_port_are_both_captured(
        self, lines: Callable[..., Line]
    ):
        line = lines()
        sent = []
        for number in range(65530, 65536):
            sent += line.send_rtp(number, ssrc=1) + line.send_rtp(number, ssrc=2)
        for number in range(5):
            sent += line.send_rtp(number, ssrc=1) + line.send_rtp(number, ssrc=2)
        line.sweep.tick()

        line.close()

        spans = [(s.ssrc, s.first, s.last, s.packets) for s in _spans(line)]
        assert spans == [(1, 65530, 65540, 11), (2, 65530, 65540, 11)]
        assert line.octets(Kind.RTP) == sent

    def test_the_ninth_at_work_is_counted_and_dropped(self, lines: Callable[..., Line]):
        line = lines()
        for ssrc in range(9):
            line.send_rtp(1, 2, ssrc=ssrc)
        line.sweep.tick()

        line.close()

        assert len(_spans(line)) == 8
        assert rejected(line) == {"ssrc-limit": 2}

    def test_reports_of_ever_new_ssrcs_are_captured_and_not_remembered(
        self, lines: Callable[..., Line]
    ):
        line = lines()
        for ssrc in range(100):
            report = SenderReport(
                ssrc=ssrc, ntp=1, rtp_timestamp=2, packets=3, octets=4
            )
            line.send(line.session.protect_rtcp(bytes(report)), port=1)
            line.sweep.tick()

        assert line.stream.count.rtcp == 100
        assert len(line.stream.rtcp_only) == 64


def _spans(line: Line):
    return line.stream.count.ssrcs.spans()


class TestAPausedCall:
    def test_is_authenticated_and_counted_and_not_captured(
        self, lines: Callable[..., Line]
    ):
        line = lines()
        before = line.send_rtp(1, 2)
        line.sweep.pause(line.call, paused=True)
        line.send_rtp(3, 4, 5)
        line.send(b"\x80\x00" + bytes(170))
        line.send(line.session.protect_rtcp(REPORT), port=1)
        line.sweep.tick()
        line.sweep.pause(line.call, paused=False)
        after = line.send_rtp(6)
        line.sweep.tick()

        line.close()

        count = line.stream.count
        assert line.octets(Kind.RTP) == before + after
        assert line.octets(Kind.UNDECRYPTABLE, Kind.RTCP) == []
        assert (count.authentic, count.not_captured) == (6, 3)
        assert events(line) == ["stream-added", "pause", "resume", "end"]

    def test_what_waited_in_the_kernel_belongs_to_the_time_before(
        self, lines: Callable[..., Line]
    ):
        line = lines()
        line.sweep.pause(line.call, paused=True)
        line.send_rtp(1)
        line.sweep.pause(line.call, paused=False)
        line.sweep.tick()

        line.close()

        assert line.octets(Kind.RTP) == []


class TestAHeldStream:
    def test_is_authenticated_and_counted_and_not_captured(
        self, lines: Callable[..., Line]
    ):
        line = lines()
        before = line.send_rtp(1, 2)
        line.sweep.change_stream(line.call, StreamChange(index=0, held=True))
        line.send_rtp(3, 4, 5)
        line.send(b"\x80\x00" + bytes(170))
        line.send(line.session.protect_rtcp(REPORT), port=1)
        line.sweep.tick()
        line.sweep.change_stream(line.call, StreamChange(index=0, held=False))
        after = line.send_rtp(6)
        line.sweep.tick()

        line.close()

        count = line.stream.count
        assert line.octets(Kind.RTP) == before + after
        assert line.octets(Kind.UNDECRYPTABLE, Kind.RTCP) == []
        assert (count.authentic, count.not_captured, count.discarded) == (6, 3, 3)
        assert events(line) == ["stream-added", "hold", "unhold", "end"]

    def test_from_the_beginning_waits_for_its_media(self, lines: Callable[..., Line]):
        line = lines(held=True)
        line.send_rtp(1, 2)
        line.sweep.tick()
        line.sweep.change_stream(line.call, StreamChange(index=0, held=False))
        after = line.send_rtp(3)
        line.sweep.tick()

        line.close()

        assert line.octets(Kind.RTP) == after
        assert events(line) == ["stream-added", "hold", "unhold", "end"]

    def test_stays_held_when_the_call_goes_on_after_a_pause(
        self, lines: Callable[..., Line]
    ):
        line = lines(held=True)
        line.sweep.pause(line.call, paused=True)
        line.sweep.pause(line.call, paused=False)
        line.send_rtp(1)
        line.sweep.tick()

        line.close()

        assert line.octets(Kind.RTP) == []

    def test_moves_its_rollover_on(self, lines: Callable[..., Line]):
        line = lines()
        line.lead(0xFFF0)
        line.send_index(0xFFF0)
        line.sweep.change_stream(line.call, StreamChange(index=0, held=True))
        line.send_index(*range(0xFFF1, 0x10010))
        line.sweep.tick()
        line.sweep.change_stream(line.call, StreamChange(index=0, held=False))
        after = line.send_index(0x10010)
        line.sweep.tick()

        line.close()

        assert line.octets(Kind.RTP)[-1:] == after
        assert line.stream.count.rejected == {}


class TestDigits:
    EVENTS = PayloadFormat(
        payload_type=101, encoding="telephone-event", clock_rate_hz=8000
    )

    @staticmethod
    def pressed(line: Line) -> list[bytes]:
        """Send a voice and two presses of three packets each."""
        spoken = [rtp(n) for n in range(1, 12)]
        presses = [press(n, 480) for n in (3, 4, 5)]
        presses += [press(n, 1120) for n in (7, 8, 9)]
        packets = {int.from_bytes(one[2:4]): one for one in spoken + presses}
        for number in sorted(packets):
            line.send(line.session.protect(packets[number]))
        line.sweep.tick()
        return [packets[n] for n in sorted(packets) if n not in {3, 4, 5, 7, 8, 9}]

    def test_are_authenticated_and_never_captured(self, lines: Callable[..., Line]):
        line = lines(further=(self.EVENTS,))
        spoken = self.pressed(line)

        line.close()

        count = line.stream.count
        assert line.octets(Kind.RTP) == spoken
        assert (count.authentic, count.not_captured, count.discarded) == (11, 6, 6)
        assert line.stream.count.ssrcs.spans()[0].packets == 11

    def test_leave_one_event_for_each_press_and_never_say_which(
        self, lines: Callable[..., Line]
    ):
        line = lines(further=(self.EVENTS,))
        self.pressed(line)

        line.close()

        noted = [r for r in line.records(Kind.EVENT) if b"digit" in r.octets]
        assert [r.octets for r in noted] == [
            b'{"event":"digit","stream":0,"v":1}',
            b'{"event":"digit","stream":0,"v":1}',
        ]

    def test_are_not_kept_either_when_their_key_is_missing(
        self, lines: Callable[..., Line]
    ):
        """A key that comes late would open them (kind 2)."""
        line = lines(further=(self.EVENTS,))
        other = OutboundSession(line.order.suite, fresh_key(line.order.suite))
        line.send(other.protect(press(1, 480)))
        line.send(other.protect(rtp(2)))
        line.tick()
        line.tick(3.0)

        line.close()

        kept = line.octets(Kind.UNDECRYPTABLE)
        assert [octets[1] & 0x7F for octets in kept] == [0]

    def test_of_a_paused_call_leave_nothing(self, lines: Callable[..., Line]):
        line = lines(further=(self.EVENTS,))
        line.sweep.pause(line.call, paused=True)
        self.pressed(line)

        line.close()

        assert events(line) == ["stream-added", "pause", "end"]

    def test_under_an_old_payload_map_are_digits_still(
        self, lines: Callable[..., Line]
    ):
        line = lines(further=(self.EVENTS,))
        moved = (STATIC_PAYLOADS[0], replace(self.EVENTS, payload_type=96))
        line.sweep.change_stream(line.call, StreamChange(index=0, payloads=moved))
        spoken = self.pressed(line)

        line.close()

        assert line.octets(Kind.RTP) == spoken

    def test_are_captured_where_the_order_says_so(self, lines: Callable[..., Line]):
        line = lines(further=(self.EVENTS,), keeps_digits=True)
        self.pressed(line)

        line.close()

        assert len(line.octets(Kind.RTP)) == 11
        assert events(line) == ["stream-added", "end"]


class TestAge:
    def test_an_old_chunk_is_filled_and_written(self, lines: Callable[..., Line]):
        line = lines(flush_age_s=0.0, tick_s=0.01)
        sent = line.send_rtp(1, 2, 3)
        line.sweep.tick()
        size = line.path(1).stat().st_size

        line.close()

        assert size == 56 + 16400
        assert line.octets(Kind.RTP) == sent
        assert len(line.records(Kind.PADDING)) == 1

    def test_a_young_chunk_waits(self, lines: Callable[..., Line]):
        line = lines(flush_age_s=60.0)
        line.send_rtp(1, 2, 3)
        line.sweep.tick()

        assert line.path(1).stat().st_size == 56


class TestARolledPart:
    def test_closes_the_old_one_and_explains_itself(self, lines: Callable[..., Line]):
        line = lines()
        first = line.send_rtp(1, 2)
        final = line.sweep.roll(line.call, line.part(2), "write-error")
        second = line.send_rtp(3)
        line.sweep.tick()

        line.close()

        assert final
        assert line.octets(Kind.RTP, number=1) == first
        assert line.octets(Kind.RTP, number=2) == second
        assert events(line, 2) == ["stream-added", "gap", "end"]


class TestAPartThatCannotBeWritten:
    def test_stops_and_the_call_goes_on_counting(self, lines: Callable[..., Line]):
        line = lines(flush_age_s=0.0, tick_s=0.01)
        os.close(line.call.part._fd)
        line.call.part._fd = os.open("/dev/full", os.O_WRONLY)
        line.send_rtp(1, 2)
        line.sweep.tick()
        line.send_rtp(3)
        line.sweep.tick()

        assert line.call.part.failure == "ENOSPC"
        assert line.sweep.failed == [line.call]
        assert line.stream.count.authentic == 3
        assert line.stream.count.not_captured == 1

    def test_is_not_final(self, lines: Callable[..., Line]):
        line = lines(flush_age_s=0.0, tick_s=0.01)
        os.close(line.call.part._fd)
        line.call.part._fd = os.open("/dev/full", os.O_WRONLY)
        line.send_rtp(1, 2)
        line.sweep.tick()

        assert line.close() is False


class TestAbandoned:
    def test_everything_held_is_on_disk_in_whole_chunks(
        self, lines: Callable[..., Line]
    ):
        line = lines()
        line.send_rtp(1, 2)
        line.sweep.abandon()
        line.sweep.calls.clear()

        assert line.path(1).stat().st_size == 56 + 16400


class TestEventsOfAStream:
    def test_hold_unhold_and_a_new_payload_map_are_written_down(
        self, lines: Callable[..., Line]
    ):
        line = lines()
        for change in (
            StreamChange(index=0, held=True),
            StreamChange(index=0, held=False),
            StreamChange(index=0, payloads=()),
            StreamChange(index=0, key=line.key),
        ):
            line.sweep.change_stream(line.call, change)

        line.close()

        names = ["stream-added", "hold", "unhold", "stream-changed", "end"]
        assert events(line) == names

    def test_an_added_stream_has_a_number_of_its_own(self, lines: Callable[..., Line]):
        line = lines()
        order = type(line.order)(
            index=1,
            label="customer",
            media="audio",
            suite=line.order.suite,
            key=line.key,
            payloads=(),
            ports=line.order.ports,
        )
        line.sweep.add_stream(line.call, order, *line.ports())
        packet = line.send_rtp(1)[0]
        line.send(OutboundSession(order.suite, line.key).protect(packet), port=2)
        line.sweep.tick()

        line.close()

        streams = [record.stream for record in line.records(Kind.RTP)]
        assert streams == [0, 1]


class TestArrival:
    def test_is_the_kernels_time(self, lines: Callable[..., Line]):
        line = lines()
        before = time.time_ns()
        line.send_rtp(1)
        after = time.time_ns()
        line.sweep.tick()

        line.close()

        (record,) = line.records(Kind.RTP)
        assert before <= record.arrival_ns <= after


class TestRejections:
    def test_have_one_spelling_each(self):
        assert [str(reason) for reason in Rejection] == [
            "not-rtp",
            "too-short",
            "oversize",
            "unauthenticated",
            "replayed",
            "too-old",
            "ssrc-limit",
            "unknown-mki",
            "foreign-source",
            "rtcp-unauthenticated",
            "rtcp-replayed",
        ]
