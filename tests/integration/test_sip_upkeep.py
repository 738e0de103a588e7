"""What the user agent does when time passes; the clock is the test's."""

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tests.simulators.sip_peer import SDP, Call, Heard, Said, Wire, by_udp, ok
from tests.simulators.waiting import until
from vault.sip.config import SipConfig
from vault.sip.interfaces import WhyLost
from vault.sip.peers import Peer, Transport
from vault.sip.user_agent import UserAgent

UDP = Transport.UDP
CONFIRMED = ("confirmed", b"")
TIMER = ("Supported: timer", "Session-Expires: 200;refresher=uas")


class Hand:
    """An agent, a peer, and a clock that the test moves."""

    def __init__(self, heard: Heard) -> None:
        self.now_s = 1000.0
        self.heard = heard
        config = SipConfig(listen=((UDP, "127.0.0.1", 0),), address_rate=1e6)
        self.agent = UserAgent(heard, config, clock=lambda: self.now_s)
        self.wire: Wire

    @property
    def to(self) -> tuple[str, int]:
        return self.agent.bound[0][1:]

    def wait(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.now_s += seconds
        self.agent._upkeep._ring()

    async def call(self, *extra: str) -> Call:
        """Set a call up."""
        call = Call(self.wire, self.to)
        await call.invite(extra=extra)
        await until(lambda: CONFIRMED in self.heard.events)
        return call


@asynccontextmanager
async def hand(heard: Heard | None = None) -> AsyncIterator[Hand]:
    it = Hand(heard or Heard())
    await it.agent.start()
    it.wire = await by_udp(it.to)
    try:
        yield it
    finally:
        it.wire.close()
        it.agent._upkeep._errands and it.wait(100.0)
        await it.agent.stop()


def run(test: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(test(), 60))


async def request(wire: Wire) -> Said:
    """Return the next request of the agent's."""
    while (said := await wire.next()).status:
        pass
    return said


def test_a_2xx_is_repeated_until_nobody_is_expected_to_acknowledge_it() -> None:
    async def test() -> None:
        async with hand() as it:
            call = Call(it.wire, it.to)
            it.wire.send(call.request("INVITE", body=SDP))
            first = await it.wire.final()
            it.wait(0.6)
            again = await it.wire.final()
            it.wait(32.0)
            bye = await request(it.wire)
            it.wire.send(ok(bye))

            assert first == again
            assert bye.start.startswith("BYE ")
            assert ("lost", WhyLost.NO_ACK) in it.heard.events
            assert 0 == it.agent.counts().dialogs

    run(test)


def test_a_session_that_nobody_refreshes_ends() -> None:
    async def test() -> None:
        async with hand() as it:
            await it.call("Supported: timer", "Session-Expires: 200;refresher=uac")
            it.wait(199.0)
            alive = it.agent.counts().dialogs
            it.wait(2.0)
            bye = await request(it.wire)
            it.wire.send(ok(bye))

            assert 1 == alive
            assert bye.start.startswith("BYE ")
            assert ("lost", WhyLost.EXPIRED) == it.heard.events[-1]

    run(test)


def test_a_session_that_is_ours_to_refresh_is_refreshed_by_update() -> None:
    async def test() -> None:
        async with hand() as it:
            await it.call(*TIMER, "Allow: INVITE, ACK, BYE, UPDATE")
            for _ in range(3):
                it.wait(101.0)
                update = await request(it.wire)
                it.wire.send(ok(update, "200 OK", "Session-Expires: 200;refresher=uac"))
                await until(lambda: not it.agent._upkeep._errands)

                assert update.start.startswith("UPDATE ")
            assert 1 == it.agent.counts().dialogs

    run(test)


def test_who_knows_no_update_is_asked_by_invite_and_gets_its_ack() -> None:
    async def test() -> None:
        async with hand() as it:
            await it.call(*TIMER, "Allow: INVITE, ACK, BYE, UPDATE")
            it.wait(101.0)
            it.wire.send(ok(await request(it.wire), "405 Method Not Allowed"))
            invite = await request(it.wire)
            it.wire.send(ok(invite))
            ack = await request(it.wire)

            assert invite.start.startswith("INVITE ")
            assert SDP == invite.body
            assert ack.start.startswith("ACK ")
            number = invite.one("cseq").split()[0]
            assert f"{number} ACK" == ack.one("cseq")

    run(test)


def test_a_peer_that_knows_no_such_dialog_ends_it() -> None:
    async def test() -> None:
        async with hand() as it:
            await it.call(*TIMER, "Allow: UPDATE")
            it.wait(101.0)
            it.wire.send(ok(await request(it.wire), "481 No Such Dialog"))
            it.wire.send(ok(await request(it.wire)))
            await until(lambda: ("lost", WhyLost.EXPIRED) in it.heard.events)

            assert 0 == it.agent.counts().dialogs

    run(test)


def test_a_bye_that_nobody_answers_is_repeated_and_ends() -> None:
    async def test() -> None:
        async with hand() as it:
            await it.call()
            bye = asyncio.create_task(it.agent.send_bye(it.heard.dialogs[0]))
            said = [await request(it.wire)]
            it.wait(0.6)
            said.append(await request(it.wire))
            it.wait(40.0)
            await bye

            assert said[0] == said[1]

    run(test)


def test_a_bye_is_sent_once_however_often_it_is_asked_for() -> None:
    async def test() -> None:
        async with hand() as it:
            await it.call()
            dialog = it.heard.dialogs[0]
            byes = [asyncio.create_task(it.agent.send_bye(dialog)) for _ in range(3)]
            it.wire.send(ok(await request(it.wire)))
            await asyncio.gather(*byes)

            assert it.wire.inbox.empty()

    run(test)


def _mutated(octets: bytes, dice: random.Random) -> bytes:
    """Return what a bad peer could make of *octets*."""
    lines = octets.split(b"\r\n")
    index = dice.randrange(len(lines))
    line = lines[index]
    name, _, value = line.partition(b":")
    choice = dice.randrange(12)
    changed = {
        0: [],
        1: [line, line],
        2: [name + b":" + bytes(dice.randrange(256) for _ in range(20))],
        3: [name + b": " + b"A" * (2 ** dice.randrange(1, 15) + dice.randrange(-1, 2))],
        4: [name + b": -1"],
        5: [name + b": 99999999999999999999 INVITE"],
        6: [name + b": %n%s\0\xff\xfe" + value],
        7: [name + b": " + b"<" * 500 + b'"' * 3],
        8: [line.replace(b";", b";;=;")],
        9: [b" " + line],
        10: [line + b"," * 300],
        11: [name.swapcase() + b"\t:\t" + value[::-1]],
    }[choice]
    lines[index : index + 1] = changed
    mutated = b"\r\n".join(lines)
    if choice == 6:
        cut = dice.randrange(len(mutated) + 1)
        mutated = mutated[:cut]
    return mutated


def test_5000_malformed_messages_harm_no_call() -> None:
    """B2: every hundredth is a real call, and is answered."""

    async def test() -> None:
        dice = random.Random(20261123)
        methods = itertools.cycle(
            ["INVITE", "BYE", "ACK", "CANCEL", "UPDATE", "OPTIONS"]
        )
        async with hand() as it:
            bad = Peer(transport=UDP, address="127.0.0.9", port=9, local=it.to)
            answered = 0
            for index in range(5000):
                octets = Call(it.wire, it.to).request(next(methods), body=SDP)
                for _ in range(dice.randrange(1, 4)):
                    octets = _mutated(octets, dice)
                it.agent.take(octets, bad)
                if index % 100 == 0:
                    answered += (await Call(it.wire, it.to).invite()).status == 200
                    await asyncio.sleep(0)

            assert 50 == answered
            assert 0 == it.agent._faults.count

    run(test)


def test_the_messages_of_rfc_4475_end_nothing(shared: Path) -> None:
    async def test() -> None:
        async with hand() as it:
            bad = Peer(transport=UDP, address="127.0.0.9", port=9, local=it.to)
            files = sorted((shared / "corpus" / "rfc4475").glob("*.dat"))
            for file in files:
                it.agent.take(file.read_bytes(), bad)
                await asyncio.sleep(0)
            said = await Call(it.wire, it.to).invite()

            assert len(files) >= 49
            assert 200 == said.status
            assert 0 == it.agent._faults.count

    run(test)
