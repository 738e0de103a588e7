"""The source lock over real UDP: who gets in, who stays out, and that nothing is lost."""

import base64
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulators.tap_calls import datagrams
from tests.simulators.tap_line import Line, rtp
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.capture import Kind, parse_event
from vault.tap.orders import StreamChange

pytestmark = pytest.mark.network

PLAIN = SrtpSuite.PLAIN_RTP
HOSTS = ("127.0.0.1", "::1")
REPORT = b"\x80\xc9\x00\x01\x00\x00\x00\x07"


class UdpLine(Line):
    """A line whose two ports are UDP ports."""

    def ports(self) -> tuple[int, int]:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        fds = []
        self.addresses = []
        for port in free_pair(self.host):
            one = socket.socket(family, socket.SOCK_DGRAM)
            one.setsockopt(socket.SOL_SOCKET, 35, 1)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 512 * 1024)
            one.bind((self.host, port))
            one.setblocking(False)
            self.addresses.append(one.getsockname()[:2])
            fds.append(one.detach())
        self.peers += [self.peer(), self.peer()]
        return fds[0], fds[1]

    def peer(self, host: str = "") -> socket.socket:
        """A sender somewhere; it is no peer of the line's own unless it says so."""
        host = host or self.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        one = socket.socket(family, socket.SOCK_DGRAM)
        one.bind((host, 0))
        return one

    def send(self, datagram: bytes, port: int = 0) -> None:
        self.peers[port].sendto(datagram, self.addresses[port])

    def move(self) -> None:
        """Go on from other ports, without a word."""
        for number in (0, 1):
            self.peers[number].close()
            self.peers[number] = self.peer()

    def events(self, part: int = 1) -> list[dict]:
        found = [parse_event(r) for r in self.records(Kind.EVENT, number=part)]
        return [one for one in found if one["event"] == "source"]


def free_pair(host: str) -> tuple[int, int]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
            even = probe.getsockname()[1] & ~1
        with (
            socket.socket(family, socket.SOCK_DGRAM) as one,
            socket.socket(family, socket.SOCK_DGRAM) as other,
        ):
            try:
                one.bind((host, even))
                other.bind((host, even + 1))
            except OSError:
                continue
            return even, even + 1


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Callable[..., UdpLine]]:
    made: list[UdpLine] = []

    def make(
        suite: SrtpSuite = SrtpSuite.AES_CM_128_HMAC_SHA1_80,
        host: str = "127.0.0.1",
        **config: object,
    ) -> UdpLine:
        made.append(UdpLine(tmp_path, suite, host=host, **config))
        return made[-1]

    yield make
    for line in made:
        line.end()


def rejected(line: Line) -> dict[str, int]:
    return {str(reason): n for reason, n in line.stream.count.rejected.items()}


@pytest.mark.parametrize("host", HOSTS)
class TestAFloodFromElsewhere:
    @pytest.mark.parametrize("burst", [pytest.param(3000, id="M12-after-the-first")])
    def test_dies_in_the_kernel_and_costs_no_packet(
        self, lines: Callable[..., UdpLine], host: str, burst: int
    ) -> None:
        line = lines(host=host)
        sent = line.send_rtp(1, 2)
        line.tick()
        with line.peer() as flooder:
            for tick in range(10):
                for _ in range(burst):
                    flooder.sendto(b"\x80\x00" + os.urandom(170), line.addresses[0])
                sent += line.send_rtp(*range(3 + 10 * tick, 13 + 10 * tick))
                line.tick(0.2)
        seen = sum(line.stream.count.rejected.values())

        line.close()

        assert line.octets(Kind.RTP) == sent
        # What reached us at all is what the stray socket is read at: a batch a tick.
        assert seen <= 10 * 64
        assert line.octets(Kind.UNDECRYPTABLE) == []
        # The rest was dropped at the stray socket, and each of them is counted.
        count = line.stream.count
        refused = sum(count.rejected.values())
        assert count.authentic + refused + count.stray_drops == len(sent) + 10 * burst

    def test_before_the_first_packet_leaves_the_lock_to_whoever_is_authentic(
        self, lines: Callable[..., UdpLine], host: str
    ) -> None:
        line = lines(host=host)
        with line.peer() as flooder:
            for _ in range(100):
                flooder.sendto(b"\x80\x00" + os.urandom(170), line.addresses[0])
            line.tick()
            sent = line.send_rtp(1)
            for _ in range(100):
                flooder.sendto(b"\x80\x00" + os.urandom(170), line.addresses[0])
            line.tick(0.2)
        wanted = list(line.peers[0].getsockname()[:2])

        line.close()

        (event,) = line.events()
        assert line.octets(Kind.RTP) == sent
        assert event == {
            "event": "source",
            "v": 1,
            "stream": 0,
            "port": "rtp",
            "state": "locked",
            "address": wanted,
        }


@pytest.mark.parametrize("host", HOSTS)
class TestASenderThatMoves:
    def test_loses_nothing_and_takes_the_lock_along(
        self, lines: Callable[..., UdpLine], host: str
    ) -> None:
        line = lines(host=host)
        sent = []
        for turn in range(4):
            for tick in range(4):
                start = 100 * turn + 10 * tick
                sent += line.send_rtp(*range(start, start + 10))
                line.send(line.session.protect_rtcp(REPORT), port=1)
                line.tick(1.0)
            line.move()

        line.close()

        assert sorted(line.octets(Kind.RTP)) == sorted(sent)
        assert len(line.octets(Kind.RTCP)) == 16
        assert rejected(line) == {}
        assert line.stream.count.source_moves == 6
        assert [(e["port"], e["state"]) for e in line.events()] == [
            ("rtp", "locked"),
            ("rtcp", "locked"),
        ] * 4

    def test_into_a_flood_gets_the_lock_back(
        self, lines: Callable[..., UdpLine], host: str
    ) -> None:
        line = lines(host=host)
        line.send_rtp(1, 2)
        line.tick()
        line.move()
        with line.peer() as flooder:
            for tick in range(20):
                for _ in range(1000):
                    flooder.sendto(b"\x80\x00" + os.urandom(170), line.addresses[0])
                line.send_rtp(*range(10 + 10 * tick, 20 + 10 * tick))
                line.tick(0.2)
            before = line.stream.count.authentic
            for _ in range(1000):
                flooder.sendto(b"\x80\x00" + os.urandom(170), line.addresses[0])
            line.send_rtp(*range(500, 510))
            line.tick(0.2)

        assert line.stream.count.authentic == before + 10


class TestACallThatEndsInAFlood:
    def test_counts_and_keeps_what_came_from_elsewhere_and_leaves_nothing_behind(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        """
        What is taken in behind the last chunk would be sealed by the next sweep,
        into a part that is closed: the worker would end, and with it all calls.
        """
        line = lines()
        line.send_rtp(1)
        line.tick()
        line.tick(2.0)
        forged = [b"\x80\x00" + os.urandom(170) for _ in range(100)]
        with line.peer() as flooder:
            for packet in forged:
                flooder.sendto(packet, line.addresses[0])

            line.close()
        line.tick(0.2)
        line.tick(3.0)

        assert rejected(line) == {"unauthenticated": 100}
        assert line.octets(Kind.UNDECRYPTABLE) == forged


class TestTwoSendersAtOnce:
    def test_are_both_taken_in_and_the_lock_stays_open(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        line = lines()
        sent = []
        other = line.peer()
        with other:
            for number in range(60):
                sent += line.send_rtp(number, ssrc=1)
                packet = rtp(number, 2)
                sent.append(packet)
                other.sendto(line.session.protect(packet), line.addresses[0])
                if number % 5 == 0:
                    line.tick(0.1)
            line.tick()

        line.close()

        assert sorted(line.octets(Kind.RTP)) == sorted(sent)
        assert [event["state"] for event in line.events()] == ["locked", "shared"]


class TestALockedSocket:
    def test_counts_as_locked_where_a_new_worker_takes_it_over(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        line = lines()
        line.send_rtp(1, 2)
        line.tick()
        line.restart()
        with line.peer() as flooder:
            for _ in range(3000):
                flooder.sendto(b"\x80\x00" + os.urandom(170), line.addresses[0])
        sent = line.send_rtp(3, 4)
        line.tick(0.2)
        seen = sum(line.stream.count.rejected.values())

        line.close()

        assert line.octets(Kind.RTP, number=2) == sent
        assert seen <= 64
        assert line.events(2) == []

    def test_without_a_stray_socket_opens_after_a_second_of_silence(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        line = lines()
        line.sweep._most_fds = 0
        sent = line.send_rtp(1, 2)
        line.tick()
        line.move()
        line.tick(1.1)
        line.tick(0.2)
        sent += line.send_rtp(3, 4)
        line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP) == sent

    def test_on_hold_stays_locked_however_silent(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        line = lines()
        line.sweep._most_fds = 0
        line.send_rtp(1)
        line.tick()
        line.sweep.change_stream(line.call, StreamChange(index=0, held=True))
        line.tick(60.0)

        assert line.stream.ports[0].peer != b""


class TestForgedPacketsFromElsewhere:
    def test_are_no_media_of_a_sender_that_has_ended(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        line = lines()
        line.send_rtp(1)
        line.tick(0.2)
        with line.peer() as stranger:
            for _ in range(30):
                stranger.sendto(b"\x80\x00" + os.urandom(170), line.addresses[0])
        line.tick(0.2)
        line.send_rtp(2)
        line.tick(0.2)
        line.tick(1.2)

        line.close()

        assert rejected(line) == {"foreign-source": 30}
        assert line.octets(Kind.UNDECRYPTABLE) == []

    def test_are_told_from_those_of_the_sender(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        """Or else a stranger could make a whole recording look incomplete."""
        line = lines()
        sent = []
        with line.peer() as stranger:
            for tick in range(20):
                sent += line.send_rtp(*range(10 * tick, 10 * tick + 10))
                if tick:
                    for port in line.addresses:
                        stranger.sendto(b"\x80\x00" + os.urandom(170), port)
                line.tick(0.2)
        line.send(b"\x80\x00" + os.urandom(170))
        line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert rejected(line) == {"foreign-source": 38, "unauthenticated": 1}
        assert len(line.octets(Kind.UNDECRYPTABLE)) == 1


class TestASenderThatMovesAndHasAnUnknownKey:
    def test_has_all_its_packets_kept(self, lines: Callable[..., UdpLine]) -> None:
        line = lines()
        line.send_rtp(*range(10))
        line.tick(0.2)
        line.move()
        forged = []
        for _ in range(20):
            forged += [b"\x80\x00" + os.urandom(170) for _ in range(10)]
            for packet in forged[-10:]:
                line.send(packet)
            line.tick(0.2)

        line.close()

        assert line.octets(Kind.UNDECRYPTABLE) == forged
        assert rejected(line) == {"unauthenticated": 200}


class TestRtpAndRtcpOnOnePort:
    def test_are_locked_and_reports_from_elsewhere_move_nothing(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        line = lines()
        line.sweep.change_stream(line.call, StreamChange(index=0, rtcp_mux=True))
        sent = []
        with line.peer() as reporter, line.peer() as flooder:
            for tick in range(10):
                sent += line.send_rtp(*range(10 * tick, 10 * tick + 10))
                report = line.session.protect_rtcp(REPORT)
                reporter.sendto(report, line.addresses[0])
                line.tick(0.2)
                for _ in range(3000):
                    flooder.sendto(b"\x80\x00" + os.urandom(170), line.addresses[0])

            line.close()

        assert line.octets(Kind.RTP) == sent
        # They share the way of strangers, so that a flood may cost a report.
        assert line.octets(Kind.RTCP)
        assert [(e["port"], e["state"]) for e in line.events()] == [("rtp", "locked")]

    def test_without_a_stray_socket_stay_open(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        line = lines()
        line.sweep._most_fds = 0
        line.sweep.change_stream(line.call, StreamChange(index=0, rtcp_mux=True))
        line.send_rtp(1)
        line.tick()
        line.move()
        line.send_rtp(2)
        line.tick(0.2)

        assert line.stream.count.authentic == 2
        assert [port.peer for port in line.stream.ports] == [b"", b""]


class TestPlainRtp:
    def test_is_taken_from_the_signalled_address_only(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        line = lines(PLAIN, remote=("127.0.0.1", 5004))
        with line.peer("127.0.0.2") as stranger:
            for number in range(10):
                stranger.sendto(rtp(number, 9), line.addresses[0])
            sent = line.send_rtp(*range(20))
            line.tick()
            for number in range(10):
                stranger.sendto(rtp(number, 9), line.addresses[0])
            line.move()
            sent += line.send_rtp(*range(20, 40))
            line.tick(3.0)

        line.close()

        assert sorted(line.octets(Kind.RTP)) == sorted(sent)
        assert rejected(line) == {"foreign-source": 20}
        assert line.octets(Kind.UNDECRYPTABLE) == []

    def test_of_which_no_address_was_signalled_belongs_to_the_first_sender(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        line = lines(PLAIN, remote=("0.0.0.0", 9))
        sent = line.send_rtp(1, 2, 3)
        line.tick()
        with line.peer() as stranger:
            stranger.sendto(rtp(4), line.addresses[0])
            sent += line.send_rtp(4)
            line.tick(0.2)

        line.close()

        assert line.octets(Kind.RTP) == sent
        assert rejected(line) == {"foreign-source": 1}


class TestTheSharedCaptures:
    @pytest.mark.parametrize("name", ["ff_ssrc_change", "ff_rekey"])
    @pytest.mark.parametrize("late", [False, True], ids=["rekey-first", "media-first"])
    def test_that_change_port_lose_nothing(
        self, lines: Callable[..., UdpLine], shared: Path, name: str, *, late: bool
    ) -> None:
        about = json.loads((shared / "media/keys.json").read_text())[f"{name}.pcap"]
        stream = about["streams"][0]
        keys = [SecretBytes(base64.b64decode(stream["key_b64"]))]
        if "next_key_b64" in stream:
            keys.append(SecretBytes(base64.b64decode(stream["next_key_b64"])))
        line = lines(SrtpSuite(stream["suite"]), key=keys[0])
        packets = [*datagrams(shared / f"media/{name}.pcap")]
        reports = [n for n, (port, _) in enumerate(packets) if port != stream["port"]]
        change = StreamChange(index=0, suite=line.order.suite, key=keys[-1])
        second = reports[1]
        for number, (port, octets) in enumerate(packets):
            if number == second:
                # The second run comes from other ports, 0.36 s later.
                line.move()
                line.tick(0.36)
            if len(keys) > 1 and number == second + (5 if late else 0):
                line.sweep.change_stream(line.call, change)
            line.send(octets, port=int(port != stream["port"]))
            if number % 10 == 9:
                line.tick(0.2)
        line.tick(0.2)

        line.close()

        assert len(line.octets(Kind.RTP)) == 204
        assert line.stream.count.authentic == 204
        assert line.stream.count.rtcp == 2
        assert rejected(line) == {}


class TestASprayOverManyPorts:
    def test_does_not_keep_a_sender_that_moved_waiting(
        self, lines: Callable[..., UdpLine]
    ) -> None:
        """
        Stray sockets are read sixteen per sweep, and the sockets of many calls have
        noise for it: the one whose sender is missed comes first.
        """
        line = lines()
        sent = line.send_rtp(1)
        others = [lines(beside=line) for _ in range(40)]
        for other in others:
            other.send_rtp(1)
        line.tick()
        with line.peer() as sprayer:
            for number in range(2, 9):
                # The others are heard, and sprayed; this one has fallen silent.
                for other in others:
                    other.send_rtp(number)
                    for _ in range(100):
                        sprayer.sendto(b"\x80\x00" + bytes(170), other.addresses[0])
                line.tick(0.2)
            line.move()
            sent += line.send_rtp(2)
            line.tick(0.2)

        assert line.stream.count.authentic == 2
        assert line.stream.count.source_moves == 1
