"""TCP and TLS connections that mean no good, on real sockets."""

import asyncio
import contextlib
import resource
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.simulators.sip_peer import SDP, Call, Heard, by_tcp, by_udp, ok
from tests.simulators.tls_certificates import Certified
from tests.simulators.waiting import until
from vault.core.errors import ConfigurationError
from vault.sip.config import SipConfig
from vault.sip.counting import Refusal
from vault.sip.messages import respond
from vault.sip.peers import Transport
from vault.sip.user_agent import UserAgent

UDP, TCP, TLS = Transport.UDP, Transport.TCP, Transport.TLS
HOST = "127.0.0.1"


@asynccontextmanager
async def serving(heard: Heard, **settings: object) -> AsyncIterator[UserAgent]:
    settings.setdefault("listen", ((TCP, HOST, 0),))
    agent = UserAgent(heard, SipConfig(**settings))  # type: ignore[arg-type]
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop()


def at(agent: UserAgent, transport: Transport = TCP) -> tuple[str, int]:
    return next((host, port) for one, host, port in agent.bound if one is transport)


def refused(agent: UserAgent, why: Refusal) -> int:
    return agent.counts().refused.get(why, 0)


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


async def options(agent: UserAgent, transport: Transport = TCP) -> int:
    """Ask on a new connection; return the status."""
    wire = await by_tcp(at(agent, transport))
    said = await Call(wire, at(agent, transport)).ask("OPTIONS")
    wire.close()
    return said.status


class Site:
    """Our certificate, and what peers trust."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = Certified.make("root.test", is_ca=True)
        self.ca, _ = self.root.write(folder, "root")
        self.renew()

    def renew(self) -> Certified:
        ours = Certified.make("sip.test", issuer=self.root)
        self.cert, self.key = ours.write(self.folder, "ours")
        return ours

    @property
    def settings(self) -> dict[str, object]:
        listen = ((TLS, HOST, 0),)
        return {"listen": listen, "tls_cert": self.cert, "tls_key": self.key}

    def client(self, shown: Certified | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if shown is not None:
            context.load_cert_chain(*shown.write(self.folder, "client"))
        return context


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("sip-tls"))


class TestSlowPeers:
    def test_a_head_that_does_not_end_in_time_ends_its_connection(self) -> None:
        async def test() -> None:
            async with serving(Heard(), header_timeout_s=0.3) as agent:
                wire = await by_tcp(at(agent))
                octets = Call(wire, at(agent)).request("OPTIONS")
                for octet in octets:
                    if wire.closed.is_set():
                        break
                    wire.send(bytes([octet]))
                    await asyncio.sleep(0.05)
                await asyncio.wait_for(wire.closed.wait(), 20)
                wire.close()

                assert 1 == refused(agent, Refusal.SLOW_SENDER)
                assert 200 == await options(agent)

        run(test)

    def test_a_body_has_more_time_than_a_head(self) -> None:
        async def test() -> None:
            async with serving(Heard(), header_timeout_s=0.1) as agent:
                wire = await by_tcp(at(agent))
                octets = Call(wire, at(agent)).request("INVITE", body=SDP)
                wire.send(octets[:-10])
                await asyncio.sleep(1.2)
                wire.send(octets[-10:])
                said = await wire.final()
                wire.close()

                assert 200 == said.status

        run(test)

    def test_a_body_that_does_not_end_in_time_ends_its_connection(self) -> None:
        async def test() -> None:
            settings = {"header_timeout_s": 0.1, "message_timeout_s": 0.5}
            async with serving(Heard(), **settings) as agent:
                wire = await by_tcp(at(agent))
                wire.send(Call(wire, at(agent)).request("INVITE", body=SDP)[:-10])
                await asyncio.wait_for(wire.closed.wait(), 20)
                wire.close()

                assert 1 == refused(agent, Refusal.SLOW_SENDER)

        run(test)

    def test_a_connection_that_says_nothing_is_closed(self) -> None:
        async def test() -> None:
            async with serving(Heard(), message_timeout_s=0.3) as agent:
                wire = await by_tcp(at(agent))
                await asyncio.wait_for(wire.closed.wait(), 20)
                wire.close()

                assert 1 == refused(agent, Refusal.IDLE)

        run(test)

    def test_a_connection_that_a_dialog_needs_may_be_silent(self) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard, idle_timeout_s=0.3) as agent:
                wire = await by_tcp(at(agent))
                await Call(wire, at(agent)).invite()
                other = await by_tcp(at(agent))
                await Call(other, at(agent)).ask("OPTIONS")
                await asyncio.wait_for(other.closed.wait(), 20)

                assert not wire.closed.is_set()
                wire.close()
                other.close()

        run(test)

    def test_keep_alives_are_answered_and_keep_a_connection(self) -> None:
        """RFC 5626, section 4.4.1."""

        async def test() -> None:
            async with serving(Heard(), idle_timeout_s=0.8) as agent:
                wire = await by_tcp(at(agent))
                pongs = []
                for _ in range(8):
                    wire.send(b"\r\n\r\n")
                    pongs.append(await wire.inbox.get())
                    await asyncio.sleep(0.2)
                is_closed = wire.closed.is_set()
                wire.close()

                assert [b"\r\n"] * 8 == pongs
                assert not is_closed

        run(test)

    def test_a_reader_who_does_not_read_is_cut_with_bounded_memory(self) -> None:
        async def test() -> None:
            heard = Heard(
                answer_with=lambda one: respond(one.request, 200, body=bytes(60_000))
            )
            settings = {"max_unsent_bytes": 100_000, "address_burst": 10_000}
            async with serving(heard, **settings) as agent:
                one = socket.socket()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(one, at(agent))
                wire = await by_tcp(at(agent))
                with contextlib.suppress(ConnectionError):
                    for _ in range(500):
                        call = Call(wire, at(agent))
                        await loop.sock_sendall(one, call.request("OPTIONS"))
                        if refused(agent, Refusal.SLOW_READER):
                            break
                await until(lambda: refused(agent, Refusal.SLOW_READER))
                one.close()
                wire.close()

                assert 200 == await options(agent)

        run(test)

    def test_a_reader_who_stops_for_long_is_cut_however_little_waits(self) -> None:
        async def test() -> None:
            heard = Heard(
                answer_with=lambda one: respond(one.request, 200, body=bytes(900_000))
            )
            settings = {"max_unsent_bytes": 10**7, "message_timeout_s": 0.5}
            async with serving(heard, **settings) as agent:
                one = socket.socket()
                one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                one.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(one, at(agent))
                wire = await by_tcp(at(agent))
                call = Call(wire, at(agent))
                await loop.sock_sendall(one, call.request("OPTIONS"))
                await until(lambda: refused(agent, Refusal.SLOW_READER))
                one.close()
                wire.close()

        run(test)

    def test_begun_messages_of_all_connections_share_one_budget(self) -> None:
        async def test() -> None:
            async with serving(Heard(), max_buffered_bytes=1_000_000) as agent:
                wires = []
                for _ in range(5):
                    wire = await by_tcp(at(agent))
                    wires.append(wire)
                    call = Call(wire, at(agent))
                    wire.send(call.request("INVITE", body=bytes(400_000))[:-1])
                await until(lambda: refused(agent, Refusal.MEMORY) >= 3)
                for wire in wires:
                    wire.close()

                assert 3 == refused(agent, Refusal.MEMORY)

        run(test)

    def test_2000_slow_connections_cost_little_and_keep_nobody_out(self) -> None:
        """B3; RSS + 100 MB is what they may cost, with the peers in this process."""

        async def test() -> None:
            settings = {
                "max_connections": 1500,
                "max_connections_per_address": 400,
                "connection_rate": 10_000.0,
                "address_rate": 1000.0,
                "address_burst": 5000,
            }
            heard = Heard()
            async with serving(
                heard, listen=((TCP, "0.0.0.0", 0),), **settings
            ) as agent:
                port = at(agent)[1]
                device = await by_tcp((HOST, port))
                call = Call(device, (HOST, port))
                await call.invite()
                before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                slow: list[socket.socket] = []
                for index in range(2000):
                    one = socket.socket()
                    one.bind((f"127.0.1.{1 + index % 5}", 0))
                    one.setblocking(False)
                    with contextlib.suppress(BlockingIOError):
                        one.connect((HOST, port))
                    slow.append(one)
                    if index % 50 == 0:
                        await asyncio.sleep(0)
                await until(lambda: agent.counts().connections == 1500)
                for one in slow:
                    with contextlib.suppress(OSError):
                        one.send(b"I")
                await until(lambda: refused(agent, Refusal.CONNECTIONS) >= 501)
                ended = await call.ask("BYE")
                newcomer = await by_tcp((HOST, port))
                said = await Call(newcomer, (HOST, port)).ask("OPTIONS")
                grown_kb = (
                    resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
                )
                for one in (*slow, device, newcomer):
                    one.close()

                assert (200, 200) == (ended.status, said.status)
                assert grown_kb < 100 * 1024

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY and hard < 8192:
            pytest.skip("not enough descriptors here")
        resource.setrlimit(resource.RLIMIT_NOFILE, (8192, hard))
        try:
            run(test)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class TestFraming:
    @pytest.mark.parametrize(
        "octets",
        [
            b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 5\r\nContent-Length: 0\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 99999999999\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nCall-ID: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n",
            b"A" * 70_000,
        ],
    )
    def test_what_cannot_be_framed_closes_the_stream(self, octets: bytes) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                wire = await by_tcp(at(agent))
                wire.send(octets)
                await asyncio.wait_for(wire.closed.wait(), 20)
                wire.close()

                assert 1 == refused(agent, Refusal.FRAMING)

        run(test)

    def test_a_request_hidden_behind_a_length_too_small_is_not_heard(self) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as agent:
                wire = await by_tcp(at(agent))
                call = Call(wire, at(agent))
                body = SDP + call.request("BYE", body=SDP)
                octets = call.request("OPTIONS", body=body)
                length = f"Content-Length: {len(body)}".encode()
                assert length in octets
                wire.send(octets.replace(length, b"Content-Length: 5"))
                await asyncio.wait_for(wire.closed.wait(), 20)
                wire.close()

                assert ["OPTIONS"] == list(agent.counts().requests)
                assert 1 == refused(agent, Refusal.FRAMING)

        run(test)

    def test_a_hundred_messages_at_once_are_answered_each_and_in_pieces_too(
        self,
    ) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                wire = await by_tcp(at(agent))
                call = Call(wire, at(agent))
                octets = b"".join(call.request("OPTIONS") for _ in range(100))
                for start in range(0, len(octets), 7001):
                    wire.send(octets[start : start + 7001])
                statuses = [(await wire.final()).status for _ in range(100)]
                wire.close()

                assert [200] * 100 == statuses

        run(test)

    def test_a_peer_that_has_closed_its_half_still_gets_its_answer(self) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                reader, writer = await asyncio.open_connection(*at(agent))
                wire = await by_tcp(at(agent))
                writer.write(Call(wire, at(agent)).request("OPTIONS"))
                writer.write_eof()
                first = await reader.readline()
                writer.close()
                wire.close()

                assert first.startswith(b"SIP/2.0 200 ")

        run(test)


class TestCaps:
    def test_one_address_has_so_many_connections_and_no_more(self) -> None:
        async def test() -> None:
            async with serving(Heard(), max_connections_per_address=3) as agent:
                wires = [await by_tcp(at(agent)) for _ in range(5)]
                await until(lambda: refused(agent, Refusal.CONNECTIONS) == 2)
                kept = agent.counts().connections
                for wire in wires:
                    wire.close()

                assert 3 == kept

        run(test)

    def test_where_all_are_taken_the_oldest_unproven_one_makes_room(self) -> None:
        async def test() -> None:
            async with serving(Heard(), max_connections=3) as agent:
                device = await by_tcp(at(agent))
                await Call(device, at(agent)).invite()
                idle = [await by_tcp(at(agent)) for _ in range(2)]
                await until(lambda: agent.counts().connections == 3)
                status = await options(agent)
                await asyncio.wait_for(idle[0].closed.wait(), 20)

                assert 200 == status
                assert not idle[1].closed.is_set()
                assert not device.closed.is_set()
                for wire in (device, *idle):
                    wire.close()

        run(test)

    def test_an_address_that_opens_too_fast_is_not_let_in(self) -> None:
        async def test() -> None:
            async with serving(Heard(), connection_rate=1.0) as agent:
                wires = [await by_tcp(at(agent)) for _ in range(8)]
                await until(lambda: refused(agent, Refusal.CONNECTIONS) == 3)
                for wire in wires:
                    wire.close()

        run(test)


class TestFloods:
    @pytest.mark.parametrize("method", ["REGISTER", "INVITE"])
    def test_a_flood_is_cut_off_and_others_are_answered(self, method: str) -> None:
        async def test() -> None:
            heard = Heard()
            listen = ((UDP, "0.0.0.0", 0),)
            async with serving(
                heard, listen=listen, address_rate=50.0, address_burst=100
            ) as agent:
                to = (HOST, at(agent, UDP)[1])
                bad = await by_udp(to, local=("127.0.0.2", 0))
                good = await by_udp(to, local=("127.0.0.3", 0))
                flood = [Call(bad, to).request(method, body=SDP) for _ in range(1000)]
                for index, octets in enumerate(flood):
                    bad.send(octets)
                    if index % 50 == 0:
                        await asyncio.sleep(0)
                said = await Call(good, to).invite()
                await until(lambda: refused(agent, Refusal.BUDGET) >= 800)
                cut_off = agent.counts().cut_off
                bad.close()
                good.close()

                assert (200, 1) == (said.status, cut_off)
                assert heard.answers <= 200

        run(test)

    @pytest.mark.parametrize(
        ("method", "status"),
        [
            ("REGISTER", 405),
            ("MESSAGE", 405),
            ("SUBSCRIBE", 405),
            ("INFO", 481),
            ("BYE", 481),
            ("FETCH", 501),
        ],
    )
    def test_what_nobody_here_does_is_refused_without_a_trace(
        self, method: str, status: int
    ) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard, listen=((UDP, HOST, 0),)) as agent:
                to = at(agent, UDP)
                bad = await by_udp(to)
                for _ in range(300):
                    bad.send(Call(bad, to).request(method))
                await until(lambda: agent.counts().responses.get(status, 0) == 300)
                counts = agent.counts()
                bad.close()

                assert (0, 0) == (counts.transactions, counts.dialogs)
                assert 0 == heard.answers

        run(test)

    def test_a_flood_from_many_addresses_leaves_room_for_who_is_known(self) -> None:
        async def test() -> None:
            heard = Heard()
            listen = ((UDP, "0.0.0.0", 0),)
            async with serving(heard, listen=listen, stranger_rate=50.0) as agent:
                to = (HOST, at(agent, UDP)[1])
                known = await by_udp(to, local=("127.0.0.3", 0))
                await Call(known, to).invite()
                crowd = [
                    await by_udp(to, local=(f"127.7.{one // 250}.{one % 250 + 1}", 0))
                    for one in range(300)
                ]
                for _ in range(3):
                    for wire in crowd:
                        wire.send(Call(wire, to).request("INVITE", body=SDP))
                said = await Call(known, to).invite()
                await until(lambda: refused(agent, Refusal.BUDGET) >= 600)
                for wire in (known, *crowd):
                    wire.close()

                # None of them sent more than it may: nobody is cut off.
                assert (200, 0) == (said.status, agent.counts().cut_off)

        run(test)

    def test_a_flood_on_a_connection_ends_it_and_keeps_its_address_out(self) -> None:
        async def test() -> None:
            settings = {"address_rate": 10.0, "address_burst": 20, "cut_off_s": 60.0}
            async with serving(Heard(), **settings) as agent:
                wire = await by_tcp(at(agent))
                call = Call(wire, at(agent))
                wire.send(b"".join(call.request("OPTIONS") for _ in range(30)))
                await asyncio.wait_for(wire.closed.wait(), 20)
                again = await by_tcp(at(agent))
                await asyncio.wait_for(again.closed.wait(), 20)
                wire.close()
                again.close()

                assert 1 == refused(agent, Refusal.BUDGET)
                assert 1 == refused(agent, Refusal.CONNECTIONS)

        run(test)

    def test_who_forges_an_address_over_udp_does_not_cut_its_connection_off(
        self,
    ) -> None:
        async def test() -> None:
            listen = ((UDP, HOST, 0), (TCP, HOST, 0))
            settings = {"address_rate": 10.0, "address_burst": 20}
            async with serving(Heard(), listen=listen, **settings) as agent:
                wire = await by_tcp(at(agent))
                forger = await by_udp(at(agent, UDP))
                for _ in range(100):
                    forger.send(Call(forger, at(agent, UDP)).request("OPTIONS"))
                await until(lambda: agent.counts().cut_off == 1)
                said = await Call(wire, at(agent)).ask("OPTIONS")
                wire.close()
                forger.close()

                assert 200 == said.status

        run(test)


class TestTls:
    @pytest.mark.parametrize("with_certificate", [False, True])
    def test_a_call_over_tls_names_the_certificate_that_was_proved(
        self, site: Site, with_certificate: bool
    ) -> None:
        async def test() -> None:
            shown = Certified.make("pbx.test") if with_certificate else None
            heard = Heard()
            async with serving(heard, **site.settings) as agent:
                wire = await by_tcp(at(agent, TLS), tls=site.client(shown))
                call = Call(wire, at(agent, TLS))
                invited = await call.invite()
                ended = await call.ask("BYE")
                wire.close()

                assert (200, 200) == (invited.status, ended.status)
                assert ";transport=tls>" in invited.one("contact")
                peer = heard.incoming[0].peer
                expected = shown.sha256 if shown else None
                assert (TLS, expected) == (peer.transport, peer.certificate_sha256)

        run(test)

    def test_a_refused_certificate_is_counted_and_the_peer_is_told(
        self, site: Site
    ) -> None:
        async def test() -> None:
            shown = Certified.make("old.test", days=(-2, -1))
            async with serving(Heard(), **site.settings) as agent:
                # With TLS 1.3 a client hears of it after its handshake.
                with contextlib.suppress(ssl.SSLError, ConnectionError):
                    wire = await by_tcp(at(agent, TLS), tls=site.client(shown))
                    await asyncio.wait_for(wire.closed.wait(), 20)
                    wire.close()
                await until(lambda: refused(agent, Refusal.CERTIFICATE) == 1)

        run(test)

    def test_half_a_handshake_has_its_time_and_no_more(self, site: Site) -> None:
        async def test() -> None:
            async with serving(Heard(), header_timeout_s=0.3, **site.settings) as agent:
                silent = await by_tcp(at(agent, TLS))
                begun = await by_tcp(at(agent, TLS))
                begun.send(b"\x16\x03\x01\x02\x00\x01\x00\x01")
                for wire in (silent, begun):
                    await asyncio.wait_for(wire.closed.wait(), 20)
                    wire.close()

                assert 2 == refused(agent, Refusal.HANDSHAKE)

        run(test)

    def test_what_is_no_tls_is_closed_at_once(self, site: Site) -> None:
        async def test() -> None:
            async with serving(Heard(), **site.settings) as agent:
                wire = await by_tcp(at(agent, TLS))
                wire.send(b"OPTIONS sip:a@b SIP/2.0\r\n\r\n")
                await asyncio.wait_for(wire.closed.wait(), 20)
                wire.close()

                assert 1 == refused(agent, Refusal.HANDSHAKE)

        run(test)

    def test_a_renewed_certificate_is_shown_without_a_restart(self, site: Site) -> None:
        async def test() -> None:
            async def shown(agent: UserAgent) -> bytes | None:
                _, writer = await asyncio.open_connection(
                    *at(agent, TLS), ssl=site.client(), server_hostname="sip.test"
                )
                der: bytes | None = writer.get_extra_info("ssl_object").getpeercert(
                    binary_form=True
                )
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                return der

            async with serving(Heard(), **site.settings) as agent:
                before = await shown(agent)
                site.renew()
                seen = {before}
                limit_s = time.monotonic() + 20
                while len(seen) < 2 and time.monotonic() < limit_s:
                    seen.add(await shown(agent))
                    await asyncio.sleep(0.1)

                assert 2 == len(seen)

        run(test)

    def test_a_bye_finds_the_device_on_its_next_connection_by_its_certificate(
        self, site: Site
    ) -> None:
        async def test() -> None:
            shown = Certified.make("pbx.test")
            heard = Heard()
            async with serving(heard, **site.settings) as agent:
                first = await by_tcp(at(agent, TLS), tls=site.client(shown))
                call = Call(first, at(agent, TLS))
                await call.invite()
                await until(lambda: ("confirmed", b"") in heard.events)
                first.reset()
                await until(lambda: agent.counts().connections == 0)
                stranger = await by_tcp(at(agent, TLS), tls=site.client())
                again = await by_tcp(at(agent, TLS), tls=site.client(shown))
                await Call(stranger, at(agent, TLS)).ask("OPTIONS")
                await Call(again, at(agent, TLS)).ask("OPTIONS")
                bye = asyncio.create_task(agent.send_bye(heard.dialogs[0]))
                said = await again.next()
                again.send(ok(said))
                await bye

                assert said.start.startswith("BYE ")
                assert stranger.inbox.empty()
                stranger.close()
                again.close()

        run(test)

    def test_a_port_for_tls_without_certificate_does_not_start(
        self, site: Site, tmp_path: Path
    ) -> None:
        async def test() -> None:
            settings = {**site.settings, "tls_key": tmp_path / "absent"}
            agent = UserAgent(Heard(), SipConfig(**settings))  # type: ignore[arg-type]
            with pytest.raises(ConfigurationError):
                await agent.start()

        run(test)
