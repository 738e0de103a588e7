"""The user agent on real sockets: requests, dialogs, ways back."""

import asyncio
import dataclasses
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.simulators.sip_peer import (
    SDP,
    Call,
    Heard,
    Wire,
    by_tcp,
    by_udp,
    callee,
    ok,
)
from tests.simulators.waiting import until
from vault.core.errors import ConfigurationError
from vault.sip.config import SipConfig
from vault.sip.counting import Refusal
from vault.sip.dialogs import Dialog
from vault.sip.interfaces import WhyLost
from vault.sip.messages import respond
from vault.sip.peers import Transport
from vault.sip.user_agent import UserAgent

UDP, TCP = Transport.UDP, Transport.TCP
LISTEN = ((UDP, "127.0.0.1", 0), (TCP, "127.0.0.1", 0))


@asynccontextmanager
async def serving(
    heard: Heard, config: SipConfig | None = None
) -> AsyncIterator[UserAgent]:
    agent = UserAgent(heard, config or SipConfig(listen=LISTEN))
    await agent.start()
    try:
        yield agent
    finally:
        await agent.stop()


def at(agent: UserAgent, transport: Transport) -> tuple[str, int]:
    return next((host, port) for one, host, port in agent.bound if one is transport)


async def wire_to(agent: UserAgent, transport: Transport) -> Wire:
    opened = by_udp if transport is UDP else by_tcp
    return await opened(at(agent, transport))


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


def _link_local() -> str | None:
    """Return an address of this machine that needs its zone."""
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        return None
    for address, _, _, _, flags, interface in (line.split() for line in lines):
        # 0x40: nobody has said yet that it is ours alone.
        if address.startswith("fe80") and not int(flags, 16) & 0x40:
            return f"{ipaddress.IPv6Address(int(address, 16))}%{interface}"
    return None


BOTH = pytest.mark.parametrize("transport", [UDP, TCP])


class TestCalls:
    @BOTH
    def test_a_call_is_set_up_confirmed_changed_and_ended(
        self, transport: Transport
    ) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as agent:
                wire = await wire_to(agent, transport)
                call = Call(wire, at(agent, transport))
                invited = await call.invite()
                await until(lambda: ("confirmed", b"") in heard.events)
                changed = await call.ask("UPDATE", body=SDP)
                ended = await call.ask("BYE")
                wire.close()

                assert (200, 200, 200) == (invited.status, changed.status, ended.status)
                assert SDP == invited.body
                assert [
                    ("INVITE", False),
                    ("confirmed", b""),
                    ("UPDATE", True),
                    ("BYE", True),
                ] == heard.events
                assert 0 == agent.counts().dialogs

        run(test)

    @BOTH
    def test_contact_names_the_address_that_was_reached_and_what_we_are(
        self, transport: Transport
    ) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                wire = await wire_to(agent, transport)
                call = Call(wire, at(agent, transport))
                invited = await call.invite()
                wire.close()

                port = at(agent, transport)[1]
                suffix = "" if transport is UDP else ";transport=tcp"
                expected = f"<sip:callvault@127.0.0.1:{port}{suffix}>;+sip.srs"
                assert expected == invited.one("contact")
                assert "UPDATE" in invited.one("allow")

        run(test)

    @BOTH
    def test_a_copy_of_a_request_gets_the_same_answer_and_is_heard_once(
        self, transport: Transport
    ) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as agent:
                wire = await wire_to(agent, transport)
                call = Call(wire, at(agent, transport))
                octets = call.request("INVITE", body=SDP)
                for _ in range(7):
                    wire.send(octets)
                answers = [await wire.final() for _ in range(2)]
                wire.close()

                assert answers[0] == answers[1]
                assert 1 == heard.answers
                assert agent.counts().retransmissions >= 6

        run(test)

    def test_an_answer_that_takes_long_is_announced_by_100(self) -> None:
        async def test() -> None:
            heard = Heard(hold=asyncio.Event())
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                call = Call(wire, at(agent, UDP))
                wire.send(call.request("INVITE", body=SDP))
                first = await wire.next()
                assert heard.hold is not None
                heard.hold.set()
                second = await wire.final()
                wire.close()

                assert (100, 200) == (first.status, second.status)

        run(test)

    def test_a_cancelled_invite_is_told_487_and_makes_no_dialog(self) -> None:
        async def test() -> None:
            heard = Heard(hold=asyncio.Event())
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                call = Call(wire, at(agent, UDP))
                wire.send(call.request("INVITE", branch="z9hG4bKc", body=SDP))
                await until(lambda: heard.answers)
                wire.send(call.request("CANCEL", branch="z9hG4bKc"))
                statuses = {(await wire.final()).status for _ in range(2)}
                wire.close()

                assert {200, 487} == statuses
                assert 0 == agent.counts().dialogs

        run(test)

    def test_an_application_that_answers_2xx_to_what_was_cancelled_is_told(
        self,
    ) -> None:
        async def test() -> None:
            heard = Heard(hold=asyncio.Event())
            plain = heard.answer

            async def stubborn(incoming: object) -> object:
                try:
                    return await plain(incoming)  # type: ignore[arg-type]
                except asyncio.CancelledError:
                    return respond(incoming.request, 200)  # type: ignore[attr-defined]

            heard.answer = stubborn  # type: ignore[method-assign, assignment]
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                call = Call(wire, at(agent, UDP))
                wire.send(call.request("INVITE", branch="z9hG4bKd", body=SDP))
                await until(lambda: heard.answers)
                wire.send(call.request("CANCEL", branch="z9hG4bKd"))
                await until(lambda: ("lost", WhyLost.CANCELLED) in heard.events)
                wire.close()

                assert 0 == agent.counts().dialogs

        run(test)

    def test_a_re_invite_that_is_cancelled_is_answered_and_takes_effect(self) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                call = Call(wire, at(agent, UDP))
                await call.invite()
                heard.hold = asyncio.Event()
                wire.send(call.request("INVITE", branch="z9hG4bKe", body=SDP))
                await until(lambda: 2 == heard.answers)
                wire.send(call.request("CANCEL", branch="z9hG4bKe"))
                cancelled = await wire.final()
                heard.hold.set()
                changed = await wire.final()
                wire.close()

                assert (200, "CANCEL") == (
                    cancelled.status,
                    cancelled.one("cseq").partition(" ")[2],
                )
                assert (200, SDP) == (changed.status, changed.body)

        run(test)

    @pytest.mark.parametrize(
        ("address", "body"), [("127.0.0.1", SDP), ("127.0.0.2", b"")]
    )
    def test_the_answer_in_an_ack_counts_only_from_the_dialogs_own_address(
        self, address: str, body: bytes
    ) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                call = Call(wire, at(agent, UDP))
                wire.send(call.request("INVITE", body=SDP))
                call.to_tag = (await wire.final()).one("to").partition("tag=")[2]
                other = await by_udp(at(agent, UDP), local=(address, 0))
                other.send(call.request("ACK", body=SDP))
                await until(lambda: "confirmed" in dict(heard.events))
                other.close()
                wire.close()

                assert body == dict(heard.events)["confirmed"]

        run(test)

    def test_what_cannot_be_kept_is_never_promised(self) -> None:
        async def test() -> None:
            def broken(_: Dialog) -> None:
                raise LookupError("a bug")

            heard = Heard()
            heard.changed = broken  # type: ignore[method-assign]
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                call = Call(wire, at(agent, UDP))
                invite = call.request("INVITE", body=SDP)
                wire.send(invite)
                first = await wire.final()
                wire.send(invite)
                copy = await wire.final()
                wire.close()

                assert (500, 500) == (first.status, copy.status)
                assert ("lost", WhyLost.CANCELLED) in heard.events
                assert 0 == agent.counts().dialogs

        run(test)

    def test_a_bug_of_the_application_is_answered_500(self) -> None:
        async def test() -> None:
            def broken(_: object) -> object:
                raise LookupError("a bug")

            heard = Heard(answer_with=broken)  # type: ignore[arg-type]
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                said = await Call(wire, at(agent, UDP)).ask("OPTIONS")
                wire.close()

                assert 500 == said.status

        run(test)

    @BOTH
    def test_a_bye_of_ours_reaches_the_peer_and_ends_with_its_answer(
        self, transport: Transport
    ) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as agent:
                wire = await wire_to(agent, transport)
                call = Call(wire, at(agent, transport))
                await call.invite()
                await until(lambda: ("confirmed", b"") in heard.events)
                bye = asyncio.create_task(
                    agent.send_bye(heard.dialogs[0], reason="SIP;cause=503")
                )
                said = await wire.next()
                wire.send(ok(said))
                await bye
                wire.close()

                assert said.start.startswith("BYE sip:src@127.0.0.1")
                assert "SIP;cause=503" == said.one("reason")
                assert f"<sip:src@peer.test>;tag={call.tag}" == said.one("to")
                assert 0 == agent.counts().dialogs

        run(test)

    def test_a_bye_of_ours_goes_to_the_contact_when_the_connection_is_gone(
        self,
    ) -> None:
        async def test() -> None:
            heard = Heard()
            config = SipConfig(listen=LISTEN, header_timeout_s=0.1)
            async with callee() as (port, said), serving(heard, config) as agent:
                wire = await wire_to(agent, TCP)
                call = Call(wire, at(agent, TCP))
                call.contact = f"<sip:src@127.0.0.1:{port};transport=tcp>"
                await call.invite()
                await until(lambda: ("confirmed", b"") in heard.events)
                wire.close()
                await until(lambda: agent.counts().connections == 0)
                await agent.send_bye(heard.dialogs[0])

                assert (await said.get()).start.startswith("BYE ")

        run(test)

    def test_a_contact_never_leads_us_to_ourselves(self) -> None:
        async def test() -> None:
            heard = Heard()
            config = SipConfig(listen=LISTEN, header_timeout_s=0.1)
            async with callee() as (port, said), serving(heard, config) as agent:
                wire = await by_tcp(at(agent, TCP), local=("127.0.0.2", 0))
                call = Call(wire, at(agent, TCP))
                call.contact = f"<sip:src@127.0.0.1:{port};transport=tcp>"
                await call.invite()
                await until(lambda: ("confirmed", b"") in heard.events)
                wire.close()
                await until(lambda: agent.counts().connections == 0)
                await agent.send_bye(heard.dialogs[0])

                assert said.empty()

        run(test)

    def test_a_bye_whose_connection_dies_under_it_goes_by_another_one(self) -> None:
        async def test() -> None:
            heard = Heard()
            async with callee() as (port, said), serving(heard) as agent:
                wire = await wire_to(agent, TCP)
                call = Call(wire, at(agent, TCP))
                call.contact = f"<sip:src@127.0.0.1:{port};transport=tcp>"
                await call.invite()
                await until(lambda: ("confirmed", b"") in heard.events)
                bye = asyncio.create_task(agent.send_bye(heard.dialogs[0]))
                await wire.next()
                wire.reset()
                await bye

                assert (await said.get()).start.startswith("BYE ")

        run(test)

    def test_a_2xx_whose_connection_died_goes_to_the_port_in_via(self) -> None:
        """RFC 3261, section 18.2.2."""

        async def test() -> None:
            heard = Heard(hold=asyncio.Event())
            async with callee() as (port, said), serving(heard) as agent:
                wire = await wire_to(agent, TCP)
                call = Call(wire, at(agent, TCP))
                octets = call.request("INVITE", body=SDP, via=f"127.0.0.1:{port}")
                wire.send(octets)
                await until(lambda: heard.answers)
                wire.close()
                assert heard.hold is not None
                heard.hold.set()

                assert 200 == (await said.get()).status

        run(test)

    def test_an_agent_that_takes_over_goes_on_with_dialogs(self) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as first:
                wire = await wire_to(first, UDP)
                call = Call(wire, at(first, UDP))
                await call.invite()
                await until(lambda: ("confirmed", b"") in heard.events)
                address = at(first, UDP)
            again = UserAgent(heard, SipConfig(listen=((UDP, *address),)))
            again.resume([Dialog.resumed(heard.dialogs[0].state())])
            await again.start()
            ended = await call.ask("BYE")
            await again.stop()
            wire.close()

            assert 200 == ended.status
            assert ("BYE", True) == heard.events[-1]

        run(test)


class TestRefusals:
    @pytest.mark.parametrize(
        ("method", "status"),
        [
            ("REGISTER", 405),
            ("MESSAGE", 405),
            ("SUBSCRIBE", 405),
            ("NEWFANGLED", 501),
            ("BYE", 481),
            ("UPDATE", 481),
            ("INFO", 481),
            ("PRACK", 481),
            ("CANCEL", 481),
        ],
    )
    def test_what_nobody_here_does_is_refused_and_not_remembered(
        self, method: str, status: int
    ) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                said = await Call(wire, at(agent, UDP)).ask(method)
                wire.close()

                assert status == said.status
                assert "tag=" in said.one("to")
                assert ([], 0) == (heard.events, agent.counts().transactions)

        run(test)

    @pytest.mark.parametrize(
        ("extra", "uri", "status", "header"),
        [
            (
                ("Require: nobody-knows-this",),
                "",
                420,
                ("unsupported", "nobody-knows-this"),
            ),
            (("Content-Encoding: gzip",), "", 415, ("accept-encoding", "identity")),
            ((), "soap.beep://192.0.2.103:3002", 416, None),
            (("Session-Expires: 30", "Supported: timer"), "", 422, ("min-se", "90")),
        ],
    )
    def test_an_invite_that_asks_for_what_is_not_done_is_told_what(
        self,
        extra: tuple[str, ...],
        uri: str,
        status: int,
        header: tuple[str, str] | None,
    ) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                said = await Call(wire, at(agent, UDP)).invite(extra=extra, uri=uri)
                wire.close()

                assert (status, []) == (said.status, heard.events)
                if header is not None:
                    assert header[1] == said.one(header[0])

        run(test)

    def test_siprec_timer_and_100rel_may_be_required(self) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                wire = await wire_to(agent, UDP)
                said = await Call(wire, at(agent, UDP)).invite(
                    extra=("Require: siprec, timer, 100rel",)
                )
                wire.close()

                assert 200 == said.status

        run(test)

    def test_a_refusal_of_the_application_leaves_nothing_and_is_the_same_again(
        self,
    ) -> None:
        async def test() -> None:
            heard = Heard(may=lambda incoming: respond(incoming.request, 401))
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                call = Call(wire, at(agent, UDP))
                octets = call.request("INVITE", body=SDP)
                wire.send(octets)
                wire.send(octets)
                said = [await wire.final() for _ in range(2)]
                wire.close()

                assert 401 == said[0].status
                assert said[0] == said[1]
                assert (0, 0) == (heard.answers, agent.counts().transactions)

        run(test)

    def test_a_copy_of_an_admitted_request_is_not_judged_again(self) -> None:
        """A digest answer is good once; its INVITE may come seven times."""

        async def test() -> None:
            heard = Heard()
            judged: list[object] = []
            heard.may = judged.append
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                octets = Call(wire, at(agent, UDP)).request("INVITE", body=SDP)
                wire.send(octets)
                await wire.final()
                wire.send(octets)
                await wire.final()
                wire.close()

                assert 1 == len(judged)

        run(test)

    def test_what_can_be_answered_of_nonsense_gets_400_and_the_rest_nothing(
        self,
    ) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                wire = await wire_to(agent, UDP)
                call = Call(wire, at(agent, UDP))
                twice = call.request("INVITE", extra=("Call-ID: another",))
                wire.send(b"\x16\x03\x01 no SIP at all")
                wire.send(b"INVITE sip:a@b SIP/2.0\r\n\r\n")
                wire.send(twice)
                said = await wire.final()
                wire.close()

                assert 400 == said.status
                assert 3 == agent.counts().refused[Refusal.MALFORMED]

        run(test)

    def test_more_requests_at_once_than_may_be_are_told_when_to_come_again(
        self,
    ) -> None:
        async def test() -> None:
            heard = Heard(hold=asyncio.Event())
            config = SipConfig(listen=LISTEN, max_pending=1)
            async with serving(heard, config) as agent:
                wire = await wire_to(agent, UDP)
                wire.send(Call(wire, at(agent, UDP)).request("INVITE", body=SDP))
                await until(lambda: heard.answers)
                other = await wire_to(agent, UDP)
                said = await Call(other, at(agent, UDP)).invite()
                assert heard.hold is not None
                heard.hold.set()
                wire.close()
                other.close()

                assert (503, "5") == (said.status, said.one("retry-after"))

        run(test)


class TestWaysBack:
    def test_rport_is_answered_at_the_source_and_says_so(self) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                wire = await by_udp(at(agent, UDP))
                call = Call(wire, at(agent, UDP))
                said = await call.ask("OPTIONS", via="192.0.2.7:9")
                wire.close()

                via = said.one("via")
                assert f"rport={wire.local[1]}" in via
                assert "received=127.0.0.1" in via

        run(test)

    def test_without_rport_the_port_of_via_is_answered_and_no_other_address(
        self,
    ) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                to = at(agent, UDP)
                sending = await by_udp(to, connect=False)
                named = await by_udp(to, connect=False)
                call = Call(sending, to, rport=False)
                via = f"192.0.2.7:{named.local[1]}"
                sending.send(call.request("OPTIONS", via=via))
                said = await named.final()
                sending.close()
                named.close()

                assert 200 == said.status
                assert said.one("via").endswith(";received=127.0.0.1")

        run(test)

    def test_requests_of_ours_go_to_the_source_when_contact_is_behind_a_nat(
        self,
    ) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                call = Call(wire, at(agent, UDP), contact="<sip:src@10.1.2.3:5060>")
                await call.invite()
                await until(lambda: ("confirmed", b"") in heard.events)
                bye = asyncio.create_task(agent.send_bye(heard.dialogs[0]))
                said = await wire.next()
                wire.send(ok(said))
                await bye
                wire.close()

                assert "BYE sip:src@10.1.2.3:5060 SIP/2.0" == said.start

        run(test)

    @pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
    def test_an_answer_leaves_from_the_address_that_was_asked(
        self, wildcard: str
    ) -> None:
        """The peer's socket is connected, so it hears no other address."""

        async def test() -> None:
            listen = ((UDP, wildcard, 0), (TCP, wildcard, 0))
            async with serving(Heard(), SipConfig(listen=listen)) as agent:
                for opened, transport in ((by_udp, UDP), (by_tcp, TCP)):
                    to = ("127.0.0.5", at(agent, transport)[1])
                    wire = await opened(to, local=("127.0.0.1", 0))
                    said = await Call(wire, to).invite()
                    wire.close()

                    assert f"callvault@127.0.0.5:{to[1]}" in said.one("contact")

        run(test)

    @pytest.mark.parametrize("wildcard", ["::", "::1"])
    def test_ipv6_is_spoken(self, wildcard: str) -> None:
        async def test() -> None:
            heard = Heard()
            listen = ((UDP, wildcard, 0), (TCP, wildcard, 0))
            async with serving(heard, SipConfig(listen=listen)) as agent:
                for opened, transport in ((by_udp, UDP), (by_tcp, TCP)):
                    to = ("::1", at(agent, transport)[1])
                    wire = await opened(to)
                    said = await Call(wire, to).invite()
                    wire.close()

                    assert f"callvault@[::1]:{to[1]}" in said.one("contact")
                    assert "::1" == heard.incoming[-1].peer.address

        run(test)

    def test_ipv4_that_came_through_ipv6_is_spelled_as_ipv4(self) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard, SipConfig(listen=((UDP, "::", 0),))) as agent:
                to = ("127.0.0.1", at(agent, UDP)[1])
                wire = await by_udp(to)
                await Call(wire, to).invite()
                wire.close()

                peer = heard.incoming[0].peer
                assert ("127.0.0.1", to) == (peer.address, peer.local)

        run(test)

    @pytest.mark.parametrize("is_wildcard", [False, True])
    def test_link_local_peers_are_answered_on_their_interface(
        self, is_wildcard: bool
    ) -> None:
        found = _link_local()
        if found is None:
            pytest.skip("no interface with a link-local address here")

        async def test() -> None:
            host = "::" if is_wildcard else found
            heard = Heard()
            async with serving(heard, SipConfig(listen=((UDP, host, 0),))) as agent:
                to = (found, at(agent, UDP)[1])
                wire = await by_udp(to, local=(found, 0))
                call = Call(wire, (found.partition("%")[0], to[1]))
                invited = await call.invite()
                await until(lambda: ("confirmed", b"") in heard.events)
                bye = asyncio.create_task(agent.send_bye(heard.dialogs[0]))
                wire.send(ok(await wire.next()))
                await bye
                wire.close()

                assert "%" not in heard.incoming[0].peer.address
                assert "%" not in invited.one("contact")

        run(test)

    def test_what_we_advertise_stands_in_for_our_address(self) -> None:
        async def test() -> None:
            config = SipConfig(listen=LISTEN, advertise="203.0.113.9")
            async with serving(Heard(), config) as agent:
                wire = await wire_to(agent, UDP)
                said = await Call(wire, at(agent, UDP)).invite()
                wire.close()

                assert "callvault@203.0.113.9:" in said.one("contact")

        run(test)

    def test_an_answer_larger_than_a_packet_arrives(self) -> None:
        async def test() -> None:
            large = SDP + b"a=candidate:x\r\n" * 3000

            heard = Heard(
                answer_with=lambda incoming: respond(
                    incoming.request, 200, body=large, content_type="application/sdp"
                )
            )
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                said = await Call(wire, at(agent, UDP)).invite()
                wire.close()

                assert large == said.body

        run(test)

    def test_an_answer_larger_than_any_datagram_is_counted_and_harms_nobody(
        self,
    ) -> None:
        async def test() -> None:
            heard = Heard()
            async with serving(heard) as agent:
                wire = await wire_to(agent, UDP)
                heard.answer_with = lambda incoming: respond(
                    incoming.request, 200, body=bytes(70_000)
                )
                wire.send(Call(wire, at(agent, UDP)).request("OPTIONS"))
                await until(lambda: agent.counts().refused.get(Refusal.UNSENT))
                heard.answer_with = None
                said = await Call(wire, at(agent, UDP)).ask("OPTIONS")
                wire.close()

                assert 200 == said.status

        run(test)

    def test_a_peer_that_is_gone_costs_the_others_nothing(self) -> None:
        """Its port answers with ICMP, which may not end our listening."""

        async def test() -> None:
            async with serving(Heard()) as agent:
                gone = await wire_to(agent, UDP)
                octets = Call(gone, at(agent, UDP)).request("INVITE", body=SDP)
                gone.send(octets)
                gone.close()
                await until(lambda: agent.counts().dialogs)
                wire = await wire_to(agent, UDP)
                said = await Call(wire, at(agent, UDP)).ask("OPTIONS")
                wire.close()

                assert 200 == said.status

        run(test)


class TestSockets:
    def test_a_port_that_is_taken_is_said_and_nothing_stays_bound(self) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                taken = at(agent, UDP)
                other = UserAgent(
                    Heard(), SipConfig(listen=((TCP, "127.0.0.1", 0), (UDP, *taken)))
                )
                with pytest.raises(ConfigurationError, match=str(taken[1])):
                    await other.start()

                assert () == other.bound

        run(test)

    @pytest.mark.parametrize("host", ["sip.example", "127.0.0.300", "fe80::1%nonesuch"])
    def test_what_is_no_address_is_refused(self, host: str) -> None:
        async def test() -> None:
            with pytest.raises(ConfigurationError):
                await UserAgent(Heard(), SipConfig(listen=((UDP, host, 0),))).start()

        run(test)

    def test_empty_datagrams_and_keep_alives_are_ignored(self) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                wire = await wire_to(agent, UDP)
                for octets in (b"", b"\r\n\r\n", b"\0\0\0\0", b"\r\n"):
                    wire.send(octets)
                said = await Call(wire, at(agent, UDP)).ask("OPTIONS")
                wire.close()

                assert 200 == said.status
                assert {} == dict(agent.counts().refused)

        run(test)

    def test_counts_say_what_was_heard_and_said(self) -> None:
        async def test() -> None:
            async with serving(Heard()) as agent:
                wire = await wire_to(agent, TCP)
                call = Call(wire, at(agent, TCP))
                await call.ask("OPTIONS")
                await call.ask("NEWFANGLED")
                counts = agent.counts()
                wire.close()

                assert {"OPTIONS": 1, "other": 1} == dict(counts.requests)
                assert {200: 1, 501: 1} == dict(counts.responses)
                assert (1, 0) == (counts.connections, counts.cut_off)
                assert counts == dataclasses.replace(counts)

        run(test)
