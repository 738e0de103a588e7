"""What the session recording server asks of the desk, on a real tap and a spool."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.integration.test_recorder_calls import metadata, order, shipped
from tests.simulators.recorder import (
    AGENTS,
    DEFAULT,
    OTHER,
    PBX,
    SALES,
    World,
)
from tests.simulators.waiting import until
from vault.access.extensions import Extension, ExtensionTable
from vault.core.errors import NotFoundError, UnavailableError
from vault.core.flow import (
    CallFacts,
    Document,
    HowEnded,
    Participant,
    SessionChange,
    SessionOrder,
)
from vault.core.ids import ExtensionId, RecordingId
from vault.sealing.chunks import context
from vault.sealing.padding import unpad
from vault.sealing.reader import open_sealed
from vault.sealing.signalling import Signalling
from vault.siprec.interfaces import RecordingDesk
from vault.tap.simulate import SimulatedCall

XML = Document(kind="rs-metadata", octets=b"<recording/>")
ANNA = Extension(id=ExtensionId("1"), pattern="1001", agent="anna", workgroup="sales")


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    found.directory.extensions = ExtensionTable([ANNA])
    return found


def asked(**facts: object) -> SessionOrder:
    call = CallFacts(**facts)  # type: ignore[arg-type] # a test's own facts
    return replace(
        order(SimulatedCall(seconds=0.1).build_offer()),
        call=call,
        documents=(XML,),
        signalling=b"dialog 1",
    )


def test_the_desk_is_what_the_session_recording_server_wants(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            desk: RecordingDesk = tap.desk
            ends: list[tuple[RecordingId, HowEnded]] = []
            desk.on_end(lambda one, how: ends.append((one, how)))
            desk.check(PBX)
            answer = await desk.open(asked())

            assert answer == desk.current(PBX, answer.recording_id)
            desk.note_signalling(PBX, answer.recording_id, b"dialog 2")
            assert () == desk.kept()  # it has not outlived a process
            for call in (
                lambda: desk.current(OTHER, answer.recording_id),
                lambda: desk.note_signalling(OTHER, answer.recording_id, b""),
            ):
                with pytest.raises(NotFoundError):
                    call()
            await desk.close(PBX, answer.recording_id)
            with pytest.raises(NotFoundError):
                desk.current(PBX, answer.recording_id)
            assert [(answer.recording_id, HowEnded.BYE)] == ends

    asyncio.run(scene())


def test_a_listener_that_fails_keeps_no_call_from_its_manifest(world: World) -> None:
    def fail(recording_id: RecordingId, how: HowEnded) -> None:
        raise RuntimeError("a bug")

    async def scene() -> RecordingId:
        async with world.tap() as tap:
            tap.desk.on_end(fail)
            answer = await tap.desk.open(asked())
            await tap.desk.close(PBX, answer.recording_id)
            await shipped(world, answer.recording_id)
            return answer.recording_id

    assert HowEnded.BYE is world.manifest(asyncio.run(scene())).how


def test_a_device_at_its_limit_is_refused_whichever_way_it_asks(world: World) -> None:
    async def scene() -> None:
        limited = replace(PBX, max_calls=2)
        mine = replace(asked(), device=limited)
        async with world.tap() as tap:
            opened = await asyncio.gather(
                *(tap.desk.open(mine) for _ in range(3)), return_exceptions=True
            )
            taken = [one for one in opened if not isinstance(one, BaseException)]

            assert 2 == len(taken)
            assert 1 == tap.desk.preflight.refused["limit"]
            with pytest.raises(UnavailableError, match="max-calls"):
                tap.desk.check(limited)
            tap.desk.check(OTHER)
            await tap.desk.close(limited, taken[0].recording_id)
            tap.desk.check(limited)

    asyncio.run(scene())


def test_a_tap_that_goes_down_says_so_to_whoever_asks(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            await tap.desk.drain()
            with pytest.raises(UnavailableError):
                tap.desk.check(PBX)

    asyncio.run(scene())


def test_a_full_spool_is_known_without_a_look(world: World) -> None:
    async def scene() -> None:
        world.directory.has_keys = True
        async with world.tap() as tap:
            tap.desk.check(PBX)
            tap.spool.disk.fail("a test")
            await tap.desk.preflight.trouble()
            with pytest.raises(UnavailableError):
                tap.desk.check(PBX)

    asyncio.run(scene())


def test_what_the_pbx_sent_is_kept_sealed_and_is_in_the_manifest(world: World) -> None:
    async def scene() -> RecordingId:
        async with world.tap() as tap:
            answer = await tap.desk.open(asked())
            await tap.desk.change(
                PBX,
                answer.recording_id,
                SessionChange(documents=(replace(XML, octets=b"<update/>"),)),
            )
            await tap.desk.close(PBX, answer.recording_id)
            await shipped(world, answer.recording_id)
            return answer.recording_id

    recording_id = asyncio.run(scene())
    names = [one.name for one in world.manifest(recording_id).objects]

    assert ["signalling/0001", "signalling/0002"] == names[-2:]
    assert [b"<recording/>", b"<update/>"] == [
        kept(world, recording_id, name) for name in names[-2:]
    ]
    assert {"signalling/0001", "signalling/0002"} < set(
        world.recordings.objects(recording_id)
    )


def kept(world: World, recording_id: RecordingId, name: str) -> bytes:
    octets = open_sealed(
        world.sealed(recording_id, name),
        key=world.dek(recording_id),
        context=context(recording_id, name),
    )
    return Signalling.parse(unpad(octets)).documents[0].octets


def test_late_metadata_moves_a_call_to_its_workgroup_while_it_runs(
    world: World,
) -> None:
    anna = Participant(id="1", aor="sip:1001@pbx", name="Anna", streams=("agent",))

    async def scene() -> RecordingId:
        async with world.tap() as tap:
            answer = await tap.desk.open(asked())
            recording_id = answer.recording_id
            await until(lambda: DEFAULT == workgroup(world, recording_id))
            await tap.desk.change(
                PBX, recording_id, SessionChange(call={"participants": (anna,)})
            )
            await until(lambda: SALES == workgroup(world, recording_id))
            await tap.desk.close(PBX, recording_id)
            await shipped(world, recording_id)
            return recording_id

    recording_id = asyncio.run(scene())
    row = world.recordings.row(recording_id)
    said = metadata(world, recording_id, 3)
    (moved,) = [
        one.detail
        for one in world.trail.of(recording_id)
        if one.action.value == "recording.changed"
    ]

    assert (SALES, AGENTS["anna"]) == (row.workgroup_id, row.agent_id)
    assert ("anna", "sales", SALES) == (said.agent, said.workgroup, said.workgroup_id)
    assert [("Anna", "anna", ("agent",))] == [
        (one.name, one.agent, one.streams) for one in said.participants
    ]
    assert {"fields": "parties", "workgroup": SALES} == moved


def workgroup(world: World, recording_id: RecordingId) -> str | None:
    try:
        return world.recordings.row(recording_id).workgroup_id
    except NotFoundError:
        return None
