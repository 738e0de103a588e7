"""A disk that fills up under calls: they end sealed and accounted for."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulators.recorder import PBX, World
from tests.simulators.small_disk import small_disk
from tests.simulators.waiting import until
from vault.core.errors import SpoolFullError, VaultError
from vault.core.flow import CallFacts, SessionOrder
from vault.recorder.config import RecorderConfig
from vault.spool.config import SpoolConfig
from vault.spool.ledger import read_status
from vault.tap.simulate import SimulatedCall

pytestmark = pytest.mark.network

MIB = 1 << 20


class SmallWorld(World):
    """A world whose spool has a small disk of its own, with a reserve."""

    @property
    def spool(self) -> SpoolConfig:
        return replace(
            super().spool,
            directory=self.folder / "disk" / "spool",
            reserve_bytes=MIB,
            emergency_bytes=4 * MIB,
        )


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for block in (bytes(65_536), bytes(512)):
            try:
                while file.write(block) == len(block):
                    pass
            except OSError:
                continue


def order(call: SimulatedCall) -> SessionOrder:
    return SessionOrder(
        device=PBX,
        offer=call.build_offer(),
        call=CallFacts(caller="+4930123"),
        origin="127.0.0.1",
    )


def test_a_call_on_a_full_disk_ends_sealed_and_new_ones_are_refused_meanwhile(
    tmp_path: Path,
) -> None:
    async def scene(place: Path) -> None:
        world = SmallWorld(tmp_path, config=RecorderConfig(watch_interval_s=0.05))
        call, late = SimulatedCall(seconds=6), SimulatedCall(seconds=0.2)
        async with world.tap() as tap:
            answer = await tap.desk.open(order(call))
            sending = asyncio.create_task(asyncio.to_thread(call.send, answer.sdp))
            # The disk is full from the first chunk on; a call goes on after 2 s.
            await asyncio.to_thread(fill, place / "other-program")
            with pytest.raises(SpoolFullError):
                await tap.desk.open(order(late))
            sent = await sending
            await tap.desk.close(PBX, answer.recording_id)
            await until(lambda: not read_status(world.spool.directory), "it is stored")
            with pytest.raises(SpoolFullError):
                await tap.desk.open(order(late))
            (place / "other-program").unlink()
            again = await tap.desk.open(order(late))
            await tap.desk.close(PBX, again.recording_id)

        manifest = world.manifest(answer.recording_id)
        names = [one.name for one in manifest.objects]
        received = sum(one.received for one in manifest.streams)
        assert sum(one.packets for one in sent) == received
        # Nothing of the first part ever reached the disk; the second is whole.
        assert ["capture/0002", "session/0001", "session/0002"] == names

    with small_disk(tmp_path / "disk", size="12m") as place:
        asyncio.run(scene(place))


def test_a_call_that_ends_without_any_room_is_sealed_when_there_is_some(
    tmp_path: Path,
) -> None:
    async def scene(place: Path) -> None:
        world = SmallWorld(tmp_path, config=RecorderConfig(watch_interval_s=0.05))
        call = SimulatedCall(seconds=0.3)
        async with world.tap() as tap:
            answer = await tap.desk.open(order(call))
            await asyncio.to_thread(call.send, answer.sdp)
            while tap.spool.disk.reserve.release(last=True):
                pass
            await asyncio.to_thread(fill, place / "other-program")
            with pytest.raises(VaultError):
                await tap.desk.close(PBX, answer.recording_id)
            (waiting,) = read_status(world.spool.directory)
            (place / "other-program").unlink()
            await until(lambda: not tap.desk.sessions, "it is ended")
            await until(lambda: not read_status(world.spool.directory), "it is stored")

        manifest = world.manifest(answer.recording_id)
        assert "recording" == waiting.state
        assert "session/0002" in [one.name for one in manifest.objects]

    with small_disk(tmp_path / "disk", size="12m") as place:
        asyncio.run(scene(place))
