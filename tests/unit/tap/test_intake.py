"""What peers and attackers send, by the numbers of the catalogue (M1 to M27)."""

import os
import random
from collections.abc import Callable

import pytest

from tests.simulators.tap_line import Line, fresh_key, rtp
from vault.core.media import SrtpSuite
from vault.renditions.legs import legs_of
from vault.renditions.packets import CaptureReader
from vault.tap.capture import Kind
from vault.tap.orders import MkiKey, StreamChange
from vault.tap.rtp import RtpPacket
from vault.tap.srtp import OutboundSession

BYE = b"\x80\xcb\x00\x01\x00\x00\x00\x07"
MODERN = (SrtpSuite.AES_CM_128_HMAC_SHA1_80, SrtpSuite.AEAD_AES_256_GCM)


def rejected(line: Line) -> dict[str, int]:
    return {str(reason): n for reason, n in line.stream.count.rejected.items()}


def state(line: Line) -> tuple[object, ...]:
    """Return everything that only authentic packets may move."""
    stream = line.stream
    return (
        stream.count.ssrcs.spans(),
        {ssrc: track.index for ssrc, track in stream.known.items()},
        [port.peer for port in stream.ports],
    )


def send_all(line: Line, datagrams: list[bytes]) -> None:
    for number, datagram in enumerate(datagrams):
        line.send(datagram)
        if number % 100 == 99:
            line.tick(0.02)
    line.tick(0.02)


@pytest.mark.parametrize("suite", MODERN)
class TestForgeries:
    @pytest.mark.parametrize("number", [pytest.param(5000, id="M1")])
    def test_by_the_thousand_are_counted_exactly_and_tear_nothing(
        self, lines: Callable[..., Line], suite: SrtpSuite, number: int
    ) -> None:
        line = lines(suite, kept_packets=10)
        sent = line.send_rtp(1)
        send_all(line, [rtp(2, payload=os.urandom(170)) for _ in range(number)])
        sent += line.send_rtp(2)
        line.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert rejected(line) == {"unauthenticated": number}
        assert len(line.octets(Kind.UNDECRYPTABLE)) == 10

    @pytest.mark.parametrize(
        "seq", [pytest.param(n, id=f"M9-{n}") for n in (40, 60_000)]
    )
    def test_change_no_state_before_the_tag(
        self, lines: Callable[..., Line], suite: SrtpSuite, seq: int
    ) -> None:
        line = lines(suite)
        line.send_rtp(1, 2, 3)
        line.tick()
        before = state(line)
        for ssrc in (7, 8):
            line.send(rtp(seq, ssrc, os.urandom(170)))
        line.tick()

        assert state(line) == before

    @pytest.mark.parametrize("number", [pytest.param(3000, id="M11")])
    def test_of_ever_new_ssrcs_are_remembered_nowhere(
        self, lines: Callable[..., Line], suite: SrtpSuite, number: int
    ) -> None:
        line = lines(suite)
        send_all(line, [rtp(1, n, os.urandom(170)) for n in range(number)])
        line.tick(3.0)

        assert state(line) == ((), {}, [b"", b""])
        assert len(line.stream.doubt.packets) == 0
        assert rejected(line) == {"unauthenticated": number}


class TestReplays:
    @pytest.mark.parametrize(
        "behind", [pytest.param(n, id=f"M2-{n}") for n in (1, 128)]
    )
    def test_are_recorded_once(self, lines: Callable[..., Line], behind: int) -> None:
        line = lines()
        recorded = line.record_index(*range(200))
        send_all(line, recorded)
        send_all(line, recorded[-behind:] * 10)

        line.close()

        assert line.octets(Kind.RTP) == [rtp(n) for n in range(200)]
        assert rejected(line) == {"replayed": 10 * behind}

    @pytest.mark.parametrize("twice", [pytest.param(True, id="M20-all-twice")])
    def test_of_a_network_that_doubles_everything_start_no_trials(
        self, lines: Callable[..., Line], *, twice: bool
    ) -> None:
        line = lines()
        recorded = line.record_index(*range(300))
        send_all(line, [p for packet in recorded for p in [packet] * (1 + twice)])

        assert rejected(line) == {"replayed": 300}
        assert line.stream.count.authentic == 300
        assert len(line.stream.doubt.packets) == 0


class TestNetworks:
    @pytest.mark.parametrize(
        ("loss", "depth"),
        [
            pytest.param(loss, depth, id=f"M20-{loss}-{depth}")
            for loss, depth in ((0.01, 1), (0.05, 50), (0.3, 50))
        ],
    )
    def test_that_lose_and_reorder_lose_no_more_than_they_did(
        self, lines: Callable[..., Line], loss: float, depth: int
    ) -> None:
        line, chance = lines(), random.Random(loss)
        kept = [n for n in range(65_300, 66_300) if chance.random() >= loss]
        kept = [65_300, *kept[1:-1], 66_299]
        order = sorted(kept, key=lambda n: n + chance.randrange(depth))
        order.remove(65_300)
        recorded = dict(
            zip(sorted(kept), line.record_index(*sorted(kept)), strict=True)
        )
        send_all(line, [recorded[n] for n in [65_300, *order]])
        (span,) = line.stream.count.ssrcs.spans()

        line.close()

        assert [p[2:4] for p in line.octets(Kind.RTP)] == [
            (n & 0xFFFF).to_bytes(2, "big") for n in [65_300, *order]
        ]
        assert (span.first, span.last) == (65_300, 66_299)
        assert span.last - span.first + 1 - span.packets == 1000 - len(kept)


class TestSsrcs:
    @pytest.mark.parametrize("times", [pytest.param(5, id="M10-change-5-times")])
    def test_that_follow_one_another_are_one_leg(
        self, lines: Callable[..., Line], times: int
    ) -> None:
        line = lines()
        for ssrc in range(1, times + 1):
            line.send_rtp(*range(100 * ssrc, 100 * ssrc + 20), ssrc=ssrc)
            line.tick(20.0)

        line.close()
        reader = CaptureReader()
        reader.feed(line.plaintext())
        (leg,) = legs_of(reader.finish()[0].packets)

        assert [run.ssrc for run in leg] == [1, 2, 3, 4, 5]
        assert rejected(line) == {}

    @pytest.mark.parametrize("number", [pytest.param(20_000, id="M10-20000")])
    def test_beyond_the_cap_are_counted_and_cost_no_memory(
        self, lines: Callable[..., Line], number: int
    ) -> None:
        line = lines(SrtpSuite.AEAD_AES_128_GCM)
        for start in range(0, number, 100):
            # A sender per hundred: libsrtp's own table is searched linearly.
            sender = OutboundSession(line.order.suite, line.key)
            for ssrc in range(start, start + 100):
                line.send(sender.protect(rtp(1, ssrc, b"voice")))
            line.tick(0.001)

        assert len(line.stream.count.ssrcs.spans()) == 8
        assert line.stream.count.authentic == 8
        assert rejected(line) == {"ssrc-limit": number - 8}

    @pytest.mark.parametrize("ssrc", [pytest.param(7, id="M10-collision")])
    def test_of_two_streams_may_be_the_same(
        self, lines: Callable[..., Line], ssrc: int
    ) -> None:
        line, other = lines(), lines()
        sent = [one.send_rtp(1, 2, ssrc=ssrc) for one in (line, other)]
        for one in (line, other):
            one.tick()
            one.close()

        assert [one.octets(Kind.RTP) for one in (line, other)] == sent

    @pytest.mark.parametrize("seq", [pytest.param(9000, id="M10-same-ssrc-restarts")])
    def test_of_a_sender_that_begins_again_go_on(
        self, lines: Callable[..., Line], seq: int
    ) -> None:
        line = lines()
        sent = line.send_rtp(*range(10))
        line.tick()
        again = OutboundSession(line.order.suite, line.key)
        sent += line.send_rtp(*range(seq, seq + 10), session=again)
        line.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent


class TestFirstOctets:
    @pytest.mark.parametrize("suite", MODERN)
    @pytest.mark.parametrize("part", [pytest.param(0, id="M13")])
    def test_are_classified_as_rfc_7983_says(
        self, lines: Callable[..., Line], suite: SrtpSuite, part: int
    ) -> None:
        line = lines(suite)
        send_all(line, [bytes([first, part]) + bytes(40) for first in range(256)])

        assert rejected(line) == {"not-rtp": 192, "unauthenticated": 64}

    @pytest.mark.parametrize("suite", MODERN)
    @pytest.mark.parametrize("kind", [pytest.param(1, id="M13-plain-on-srtp")])
    def test_of_plain_rtp_and_rtcp_pass_no_srtp_stream(
        self, lines: Callable[..., Line], suite: SrtpSuite, kind: int
    ) -> None:
        line = lines(suite)
        line.send(rtp(1))
        line.send(BYE, port=kind)
        line.tick()

        assert rejected(line) == {"unauthenticated": 1, "rtcp-unauthenticated": 1}

    @pytest.mark.parametrize(
        "suite", [pytest.param(SrtpSuite.PLAIN_RTP, id="M13-srtp")]
    )
    def test_of_srtp_on_a_plain_stream_is_what_it_is(
        self, lines: Callable[..., Line], suite: SrtpSuite
    ) -> None:
        line = lines(suite)
        secret = SrtpSuite.AES_CM_128_HMAC_SHA1_80
        packet = OutboundSession(secret, fresh_key(secret)).protect(rtp(1))
        line.send(packet)
        line.tick()

        line.close()

        assert line.octets(Kind.RTP) == [packet]


class TestSizes:
    @pytest.mark.parametrize("suite", MODERN)
    @pytest.mark.parametrize(
        ("size", "reason"),
        [
            pytest.param(size, reason, id=f"M14-{size}")
            for size, reason in (
                *((0, "too-short"), (1, "too-short"), (11, "too-short")),
                *((12, "unauthenticated"), (13, "unauthenticated")),
                *((1500, "unauthenticated"), (1501, "unauthenticated")),
                *((2012, "unauthenticated"), (2013, "oversize"), (9000, "oversize")),
                (65_507, "oversize"),
            )
        ],
    )
    def test_of_any_kind_are_counted_beside_good_packets(
        self, lines: Callable[..., Line], suite: SrtpSuite, size: int, reason: str
    ) -> None:
        line = lines(suite)
        sent = line.send_rtp(1)
        line.send((b"\x80\x00" + bytes(10) + os.urandom(size))[:size])
        sent += line.send_rtp(2)
        line.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert rejected(line) == {reason: 1}

    def test_of_a_header_alone_and_of_the_largest_packet_are_captured(
        self, lines: Callable[..., Line]
    ) -> None:
        line = lines()
        sent = line.send_rtp(1, payload=b"")
        sent += line.send_rtp(2, payload=os.urandom(1300))
        line.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent


class TestHeaders:
    @pytest.mark.parametrize("seed", [pytest.param(n, id=f"M15-{n}") for n in range(3)])
    def test_that_contradict_themselves_are_refused(
        self, lines: Callable[..., Line], seed: int
    ) -> None:
        line, chance = lines(), random.Random(seed)
        datagrams = [
            bytes([0x80 | chance.randrange(64), chance.randrange(128)])
            + chance.randbytes(10)
            + b"\xff" * chance.randrange(40)
            for _ in range(300)
        ]
        send_all(line, datagrams)
        sent = line.send_rtp(1)
        line.tick()

        line.close()

        assert sum(line.stream.count.rejected.values()) == 300
        assert line.octets(Kind.RTP) == sent

    @pytest.mark.parametrize(
        "octets",
        [
            pytest.param(b"\x8f\x00" + bytes(10 + 60) + b"voice", id="M15-15-csrcs"),
            pytest.param(b"\x90\x00" + bytes(12) + b"\0\2" + bytes(9), id="M15-ext"),
            pytest.param(b"\xa0\x00" + bytes(10) + b"\xff", id="M15-padding-255"),
            pytest.param(b"\xa0\x00" + bytes(10) + b"\x00", id="M15-padding-0"),
        ],
    )
    def test_that_are_odd_and_authentic_are_captured_as_they_are(
        self, lines: Callable[..., Line], octets: bytes
    ) -> None:
        line = lines()
        line.send(line.session.protect(octets))
        line.tick()

        line.close()

        assert line.octets(Kind.RTP) == [octets]


class TestMkis:
    @pytest.mark.parametrize("suite", MODERN)
    @pytest.mark.parametrize(
        "size", [pytest.param(n, id=f"M17-{n}") for n in (1, 4, 128)]
    )
    def test_are_taken_out_and_unknown_ones_are_counted(
        self, lines: Callable[..., Line], suite: SrtpSuite, size: int
    ) -> None:
        line = lines(suite)
        names = [bytes([n]) * size for n in range(3)]
        keys = [fresh_key(suite) for _ in names]
        mkis = tuple(
            MkiKey(mki=name, key=key)
            for name, key in zip(names[:2], keys[:2], strict=True)
        )
        change = StreamChange(index=0, suite=suite, key=keys[0], mkis=mkis)
        line.sweep.change_stream(line.call, change)
        senders = [OutboundSession(suite, *of) for of in zip(keys, names, strict=True)]
        line.send_rtp(9, session=senders[2])
        sent = line.send_rtp(1, 2, session=senders[0])
        line.tick(3.0)
        sent += line.send_rtp(3, 4, session=senders[1])
        line.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert rejected(line) == {"unknown-mki": 1}
        assert len(line.octets(Kind.UNDECRYPTABLE)) == 1

    @pytest.mark.parametrize("suite", [pytest.param(MODERN[0], id="M17-late-join")])
    def test_hide_no_rollover_counter(
        self, lines: Callable[..., Line], suite: SrtpSuite
    ) -> None:
        line = lines(suite)
        key = fresh_key(suite)
        change = StreamChange(
            index=0, suite=suite, key=key, mkis=(MkiKey(mki=b"\1", key=key),)
        )
        line.sweep.change_stream(line.call, change)
        line.tick(3.0)
        sender = OutboundSession(suite, key, b"\1")
        first = 3 << 16
        line.lead(first, session=sender)
        sent = line.send_index(*range(first, first + 20), session=sender)
        line.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert rejected(line) == {}


class TestPayloadTypes:
    @pytest.mark.parametrize(
        "types", [pytest.param((0, 8, 9, 111, 13, 72, 76, 127), id="M22")]
    )
    def test_may_change_in_the_middle_of_a_leg(
        self, lines: Callable[..., Line], types: tuple[int, ...]
    ) -> None:
        line = lines()
        sent = []
        for number, payload_type in enumerate(types):
            packet = RtpPacket(
                payload_type=payload_type,
                sequence=number,
                timestamp=160 * number,
                ssrc=7,
                payload=os.urandom(20 + number),
            )
            sent.append(bytes(packet))
            line.send(line.session.protect(bytes(packet)))
        line.tick()

        line.close()

        assert line.octets(Kind.RTP) == sent


class TestReports:
    @pytest.mark.parametrize(
        "index", [pytest.param(n, id=f"M24-{n}") for n in (1, 5000)]
    )
    def test_of_any_index_are_taken_and_a_bye_ends_nothing(
        self, lines: Callable[..., Line], index: int
    ) -> None:
        line = lines()
        for _ in range(index - 1):
            line.session.protect_rtcp(BYE)
        sent = line.send_rtp(1)
        line.send(line.session.protect_rtcp(BYE), port=1)
        line.tick()
        # M25: media after a BYE, and after a minute of silence.
        sent += line.send_rtp(2, 3)
        line.tick(60.0)
        sent += line.send_rtp(4)
        line.tick()

        line.close()

        assert line.octets(Kind.RTCP) == [BYE]
        assert line.octets(Kind.RTP) == sent


class TestSilence:
    @pytest.mark.parametrize("seconds", [pytest.param(1200.0, id="M25")])
    def test_of_any_length_and_media_that_never_start_are_no_fault(
        self, lines: Callable[..., Line], seconds: float
    ) -> None:
        silent, line = lines(), lines()
        sent = line.send_rtp(1)
        for one in (silent, line):
            one.tick(seconds)
        sent += line.send_rtp(2)
        line.tick()

        assert silent.close()
        assert line.close()
        assert line.octets(Kind.RTP) == sent
        assert silent.octets(Kind.RTP) == []
