"""A tap killed in the middle of a call: the call goes on, or is accounted for."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.simulators.recorder import PBX, World
from tests.simulators.recorder_process import KillableTap
from tests.simulators.tap_calls import until
from vault.core.flow import HowEnded, RecordingState, SessionChange
from vault.core.ids import RecordingId
from vault.recorder.config import RecorderConfig
from vault.recorder.service import RecorderService
from vault.sealing.chunks import context
from vault.sealing.metadata import SessionMetadata
from vault.sealing.padding import unpad
from vault.sealing.reader import open_sealed
from vault.sealing.unfinished import UnfinishedReader
from vault.tap.capture import parse_records
from vault.tap.simulate import SimulatedCall

pytestmark = pytest.mark.network


class _Octets:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    @property
    def size(self) -> int:
        return len(self._octets)

    def read(self, start: int, stop: int) -> bytes:
        return self._octets[start:stop]


def after(world: World, scene: Callable[[RecorderService], Awaitable[None]]) -> None:
    """Play *scene* with the tap that comes after."""

    async def play() -> None:
        async with world.tap() as tap:
            await scene(tap)

    asyncio.run(play())


async def shipped(world: World, recording_id: RecordingId) -> None:
    folder = world.spool.directory / recording_id

    async def look() -> bool | None:
        return not folder.exists() or None

    await until(look, 30)


def metadata(world: World, recording_id: RecordingId, revision: int) -> SessionMetadata:
    name = f"session/{revision:04d}"
    sealed = world.sealed(recording_id, name)
    opened = open_sealed(
        sealed, key=world.dek(recording_id), context=context(recording_id, name)
    )
    return SessionMetadata.parse(unpad(opened))


def test_a_killed_tap_loses_a_second_and_the_rest_is_shipped_as_cut(
    tmp_path: Path,
) -> None:
    """Its media workers are killed with it, and nobody keeps its descriptors."""
    call = SimulatedCall(seconds=2.5)
    with KillableTap(tmp_path) as tap:
        recording_id, answer = tap.open(call.build_offer())
        call.send(answer)
        tap.kill(workers=True)
    world = World(tmp_path)

    async def scene(tap: RecorderService) -> None:
        await shipped(world, recording_id)
        status = await tap.desk.status(PBX, recording_id)

        assert ("captured", "cut") == (status.state, status.reason)

    after(world, scene)
    manifest = world.manifest(recording_id)
    reader = UnfinishedReader(
        _Octets(world.sealed(recording_id, "capture/0001.cut")),
        key=world.dek(recording_id),
        context=context(recording_id, "capture/0001"),
    )
    records = [r for r in parse_records(b"".join(reader.prefix())) if r.kind == 0]
    row = world.recordings.row(recording_id)

    assert HowEnded.CUT is manifest.how
    assert ["capture/0001.cut", "session/0001"] == [o.name for o in manifest.objects]
    assert (RecordingState.CAPTURED, HowEnded.CUT) == (row.state, row.how)
    # Two parties, 2.5 s at 50 packets/s: at most the last second may be missing.
    assert len(records) >= 150


def test_a_killed_tap_whose_workers_live_loses_no_packet_and_no_part(
    tmp_path: Path,
) -> None:
    call, sent = SimulatedCall(seconds=3.0), 0
    world = World(tmp_path)
    with KillableTap(tmp_path) as tap:
        recording_id, answer = tap.open(call.build_offer(), caller="+4930123")

        def killed(sent_s: float, _: float) -> None:
            if sent_s >= 1.0 and tap.workers:
                tap.kill()
                tap.workers = []

        sent = sum(party.packets for party in call.send(answer, killed))

    async def scene(tap: RecorderService) -> None:
        running = await tap.desk.status(PBX, recording_id)
        await tap.desk.close(PBX, recording_id)
        await shipped(world, recording_id)
        status = await tap.desk.status(PBX, recording_id)

        assert ("recording", None) == (running.state, running.reason)
        assert ("captured", None) == (status.state, status.reason)

    after(world, scene)
    manifest = world.manifest(recording_id)

    assert HowEnded.BYE is manifest.how
    assert sent == sum(stream.authentic for stream in manifest.streams)
    assert sent == sum(stream.received for stream in manifest.streams)
    assert ["capture/0001", "session/0001", "session/0002"] == [
        one.name for one in manifest.objects
    ]
    assert "+4930123" == metadata(world, recording_id, 2).caller


def test_a_call_changes_and_ends_under_the_tap_that_comes_after(
    tmp_path: Path,
) -> None:
    call = SimulatedCall(seconds=0.4)
    offer = call.build_offer()
    world = World(tmp_path)
    with KillableTap(tmp_path) as tap:
        recording_id, answer = tap.open(offer, callee="200")
        tap.ask(do="pause", id=recording_id, caller="100")
        tap.kill()

    async def scene(tap: RecorderService) -> None:
        paused = await tap.desk.status(PBX, recording_id)
        renewed = await tap.desk.renew(PBX, recording_id, offer=offer)
        change = SessionChange(paused=False, call={"agent": "anna"})
        resumed = await tap.desk.change(PBX, recording_id, change)
        await asyncio.to_thread(call.send, renewed.sdp)
        await tap.desk.close(PBX, recording_id)
        await shipped(world, recording_id)

        assert ("paused", "recording") == (paused.state, resumed.state)
        # Who paused it is not asked again: the pause ends when it would have ended.
        assert 0 < (paused.resumes_in_s or 0) < RecorderConfig().pause_max_s
        assert _ports(answer) == _ports(renewed.sdp)
        assert _session(answer) == _session(renewed.sdp)

    after(world, scene)
    manifest = world.manifest(recording_id)
    said = metadata(world, recording_id, 4)

    assert [20, 20] == [stream.authentic for stream in manifest.streams]
    assert ("100", "200", "anna") == (said.caller, said.callee, said.agent)


def _ports(sdp: str) -> list[str]:
    return [line.split()[1] for line in sdp.splitlines() if line.startswith("m=")]


def _session(sdp: str) -> list[str]:
    return [line.split()[1] for line in sdp.splitlines() if line.startswith("o=")]


def test_an_end_that_a_death_interrupted_is_finished_as_it_was_begun(
    tmp_path: Path,
) -> None:
    """The media worker had closed the part; the manifest was not yet signed."""
    call = SimulatedCall(seconds=0.4)
    world = World(tmp_path)
    with KillableTap(tmp_path) as tap:
        recording_id, answer = tap.open(call.build_offer())
        call.send(answer)
        tap.ask(do="stick", at="finish")

        assert {"stuck": True} == tap.ask(do="close", id=recording_id)
        tap.kill()

    after(world, lambda _: shipped(world, recording_id))
    manifest = world.manifest(recording_id)

    assert HowEnded.BYE is manifest.how
    assert [20, 20] == [stream.authentic for stream in manifest.streams]
    assert [True] == [one.name == "capture/0001" for one in manifest.objects][:1]


def test_a_session_that_was_never_answered_is_ended_and_accounted_for(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    with KillableTap(tmp_path) as tap:
        tap.ask(do="stick", at="announce")
        told = tap.ask(do="open", offer=SimulatedCall().build_offer(), facts={})

        assert {"stuck": True} == told
        tap.kill()
    (recording_id,) = world.spooled()

    after(world, lambda _: shipped(world, recording_id))

    assert HowEnded.CUT is world.manifest(recording_id).how
    assert "recording.started" in world.trail.actions(recording_id)
