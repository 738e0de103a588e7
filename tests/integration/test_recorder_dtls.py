"""Calls of WebRTC gateways, from the offer to the store, handshakes and all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.recorder import PBX, World
from tests.simulators.webrtc import Certificate, DtlsClient, Gateway
from vault.core.errors import UnsupportedOfferError
from vault.core.flow import SessionOrder, SessionStatus
from vault.core.ids import RecordingId
from vault.recorder.config import RecorderConfig
from vault.recorder.service import RecorderService

pytestmark = pytest.mark.network


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, config=RecorderConfig(handshake_s=10.0))


@pytest.fixture
def gateways() -> Iterator[Callable[..., Gateway]]:
    made: list[Gateway] = []

    def make(**what: Any) -> Gateway:
        made.append(Gateway(**what))
        return made[-1]

    yield make
    for gateway in made:
        gateway.close()


Gateways = Callable[..., Gateway]


@dataclass
class Fork:
    """One call that was offered."""

    tap: RecorderService
    id: RecordingId
    answer: str

    async def status(self) -> SessionStatus:
        """Ask where it stands."""
        return await self.tap.desk.status(PBX, self.id)

    async def keyed(self, *states: str) -> SessionStatus:
        """Wait until the streams' handshakes stand at *states*."""
        for _ in range(600):
            status = await self.status()
            if [s.handshake for s in status.streams] == list(states):
                return status
            await asyncio.sleep(0.02)
        raise AssertionError(f"{status.streams}, and not {states}")

    async def renew(self, offer: str) -> str:
        """Make another offer."""
        self.answer = (await self.tap.desk.renew(PBX, self.id, offer=offer)).sdp
        return self.answer

    async def close(self) -> SessionStatus:
        """Hang up."""
        await self.tap.desk.close(PBX, self.id)
        return await self.status()


@contextlib.asynccontextmanager
async def forked(world: World, offer: str) -> AsyncIterator[Fork]:
    async with world.tap() as tap:
        order = SessionOrder(device=PBX, offer=offer, origin="127.0.0.1")
        answer = await tap.desk.open(order)
        yield Fork(tap, answer.recording_id, answer.sdp)


def come(gateway: Gateway, packets: int = 10) -> bool:
    """Do all that a gateway does; whether the handshake came to its end."""
    checked = gateway.is_checked() if gateway.ice else True
    shaken = gateway.shake()
    gateway.speak(packets)
    return checked and shaken


class TestWholeCalls:
    def test_two_streams_are_keyed_captured_and_counted(
        self, world: World, gateways: Gateways
    ) -> None:
        async def scene() -> None:
            agent = gateways()
            customer = gateways(profiles=b"SRTP_AES128_CM_SHA1_80")
            async with forked(world, agent.offer(customer)) as fork:
                pending = await fork.status()
                agent.read(fork.answer)
                customer.read(fork.answer, 1)
                for gateway in (agent, customer):
                    assert await asyncio.to_thread(come, gateway)
                running = await fork.keyed("done", "done")
                # Consent goes on at the media worker.
                assert await asyncio.to_thread(agent.is_checked)
                ended = await fork.close()

            assert [s.handshake for s in pending.streams] == ["pending", "pending"]
            assert [s.suite for s in pending.streams] == ["DTLS_SRTP", "DTLS_SRTP"]
            suites = ["AEAD_AES_256_GCM", "AES_CM_128_HMAC_SHA1_80"]
            assert [s.suite for s in running.streams] == suites
            counted = [(s.label, s.suite, s.packets_authentic) for s in ended.streams]
            assert counted == [("agent", suites[0], 10), ("customer", suites[1], 10)]
            # A flight that is repeated on a busy machine may come when the
            # handshake is over, to the media worker: received, and no media.
            for gateway, stream in zip((agent, customer), ended.streams, strict=True):
                late = stream.packets_received - stream.packets_authentic
                assert 0 <= late <= gateway.flights
            assert ended.state == "captured"

        asyncio.run(scene())

    def test_without_ice_a_cookie_will_do(
        self, world: World, gateways: Gateways
    ) -> None:
        async def scene() -> None:
            gateway = gateways(ice=False)
            async with forked(world, gateway.offer()) as fork:
                gateway.read(fork.answer)
                assert await asyncio.to_thread(come, gateway)
                await fork.keyed("done")
                ended = await fork.close()

            assert [s.packets_authentic for s in ended.streams] == [10]

        asyncio.run(scene())

    def test_a_stream_that_never_got_keys_ends_nothing(
        self, tmp_path: Path, gateways: Gateways
    ) -> None:
        async def scene() -> None:
            world = World(tmp_path, config=RecorderConfig(handshake_s=3.0))
            agent, nobody = gateways(), gateways()
            async with forked(world, agent.offer(nobody)) as fork:
                agent.read(fork.answer)
                assert await asyncio.to_thread(come, agent)
                running = await fork.keyed("done", "no-check")
                ended = await fork.close()

            assert [s.suite for s in running.streams][1] == "DTLS_SRTP"
            assert [s.packets_authentic for s in ended.streams] == [10, 0]
            assert ended.state == "captured"

        asyncio.run(scene())

    def test_a_wrong_certificate_is_named_and_gets_no_packet_in(
        self, tmp_path: Path, gateways: Gateways
    ) -> None:
        async def scene() -> None:
            world = World(tmp_path, config=RecorderConfig(handshake_s=3.0))
            gateway = gateways()
            gateway.client = DtlsClient(Certificate())
            async with forked(world, gateway.offer()) as fork:
                gateway.read(fork.answer)
                await asyncio.to_thread(gateway.is_checked)
                shaken = await asyncio.to_thread(gateway.shake, within_s=5.0)
                await fork.keyed("wrong-certificate")
                ended = await fork.close()

            assert shaken is False
            assert (ended.state, ended.reason) == ("failed", "no-media")

        asyncio.run(scene())

    def test_a_call_that_ends_in_its_handshake_leaves_no_socket_and_no_task(
        self, world: World, gateways: Gateways
    ) -> None:
        async def scene() -> None:
            gateway = gateways()
            async with forked(world, gateway.offer()) as fork:
                gateway.read(fork.answer)
                await asyncio.to_thread(gateway.is_checked)
                ended = await fork.close()
                tasks = {task.get_name() for task in asyncio.all_tasks()}
                answered = await asyncio.to_thread(gateway.is_checked, within_s=0.3)

            assert (ended.state, ended.reason) == ("failed", "no-media")
            assert answered is False
            assert not [name for name in tasks if "handshake" in name]

        asyncio.run(scene())


class TestLaterOffers:
    def test_a_hold_keeps_association_ports_and_credentials(
        self, world: World, gateways: Gateways
    ) -> None:
        async def scene() -> None:
            gateway = gateways()
            async with forked(world, gateway.offer()) as fork:
                gateway.read(fork.answer)
                first = gateway.answer
                assert await asyncio.to_thread(come, gateway)
                await fork.keyed("done")
                held = gateway.offer().replace("a=sendonly", "a=inactive")
                answer = await fork.renew(held)
                await asyncio.to_thread(gateway.speak, 5)
                ended = await fork.close()

            again = "m=" + first.replace("a=recvonly", "a=inactive")
            assert answer.endswith(again.removeprefix("m="))
            assert [s.packets_authentic for s in ended.streams] == [15]

        asyncio.run(scene())

    def test_an_ice_restart_keeps_the_keys_and_takes_new_credentials(
        self, world: World, gateways: Gateways
    ) -> None:
        async def scene() -> None:
            gateway = gateways()
            async with forked(world, gateway.offer()) as fork:
                gateway.read(fork.answer)
                assert await asyncio.to_thread(come, gateway)
                await fork.keyed("done")
                old = gateway.check()
                gateway.ufrag = "restarted"
                gateway.read(await fork.renew(gateway.offer()))
                before = await asyncio.to_thread(gateway.is_answered, old)
                assert await asyncio.to_thread(gateway.is_checked)
                after = await asyncio.to_thread(gateway.is_answered, old, within_s=0.5)
                await asyncio.to_thread(gateway.speak, 5)
                ended = await fork.close()

            assert (before, after) == (True, False)
            assert [s.packets_authentic for s in ended.streams] == [15]

        asyncio.run(scene())

    @pytest.mark.parametrize("ice", [True, False])
    def test_another_certificate_is_another_handshake_beside_running_media(
        self, world: World, gateways: Gateways, ice: bool
    ) -> None:
        async def scene() -> None:
            gateway = gateways(ice=ice)
            async with forked(world, gateway.offer()) as fork:
                gateway.read(fork.answer)
                assert await asyncio.to_thread(come, gateway)
                await fork.keyed("done")
                gateway.restart()
                gateway.read(await fork.renew(gateway.offer()))
                await asyncio.to_thread(gateway.speak, 3)
                assert not ice or await asyncio.to_thread(gateway.is_checked)
                # The last flight is lost once, and found again by the worker's way.
                assert await asyncio.to_thread(gateway.shake, lose=(1 + (not ice),))
                await asyncio.to_thread(gateway.speak, 3)
                await fork.keyed("done")
                gateway.sender = None
                await asyncio.to_thread(gateway.speak, 7)
                ended = await fork.close()

            (stream,) = ended.streams
            assert (stream.packets_authentic, stream.packets_lost) == (23, 0)
            assert stream.packets_undecryptable == 0

        asyncio.run(scene())

    def test_another_certificate_that_nobody_shows_leaves_the_old_keys(
        self, tmp_path: Path, gateways: Gateways
    ) -> None:
        async def scene() -> None:
            world = World(tmp_path, config=RecorderConfig(handshake_s=3.0))
            gateway = gateways()
            async with forked(world, gateway.offer()) as fork:
                gateway.read(fork.answer)
                assert await asyncio.to_thread(come, gateway)
                await fork.keyed("done")
                gateway.restart()
                gateway.read(await fork.renew(gateway.offer()))
                await fork.keyed("no-check")
                await asyncio.to_thread(gateway.speak, 5)
                ended = await fork.close()

            assert [s.packets_authentic for s in ended.streams] == [15]

        asyncio.run(scene())

    def test_a_stream_can_be_added(self, world: World, gateways: Gateways) -> None:
        async def scene() -> None:
            agent, customer = gateways(), gateways()
            async with forked(world, agent.offer()) as fork:
                agent.read(fork.answer)
                assert await asyncio.to_thread(come, agent)
                await fork.keyed("done")
                customer.read(await fork.renew(agent.offer(customer)), 1)
                assert await asyncio.to_thread(come, customer)
                await fork.keyed("done", "done")
                ended = await fork.close()

            assert [s.packets_authentic for s in ended.streams] == [10, 10]

        asyncio.run(scene())

    def test_a_peer_that_came_too_late_gets_another_try_by_another_offer(
        self, tmp_path: Path, gateways: Gateways
    ) -> None:
        async def scene() -> None:
            world = World(tmp_path, config=RecorderConfig(handshake_s=2.0))
            gateway = gateways()
            async with forked(world, gateway.offer()) as fork:
                await fork.keyed("no-check")
                gateway.read(await fork.renew(gateway.offer()))
                assert await asyncio.to_thread(come, gateway)
                await fork.keyed("done")
                ended = await fork.close()

            assert [s.packets_authentic for s in ended.streams] == [10]

        asyncio.run(scene())

    def test_a_running_stream_does_not_change_to_keys_in_sdp(
        self, world: World, gateways: Gateways
    ) -> None:
        async def scene() -> None:
            gateway = gateways()
            async with forked(world, gateway.offer()) as fork:
                key = "A" * 40
                sdes = gateway.offer().replace("UDP/TLS/RTP/SAVPF", "RTP/SAVP")
                line = f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}\r\n"
                with pytest.raises(UnsupportedOfferError, match="changes between"):
                    await fork.renew(sdes + line)

        asyncio.run(scene())
