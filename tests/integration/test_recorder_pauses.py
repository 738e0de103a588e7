"""Pauses: whose, for how long, and what of a call is left; real workers."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulators.recorder import LEGACY, OTHER, PBX, World, short_folder
from tests.simulators.waiting import until
from vault.audit.entry import Draft
from vault.core.errors import NotFoundError, SpoolFullError, UnavailableError
from vault.core.flow import (
    NOTHING_ALLOWED,
    Allowance,
    CallFacts,
    Participant,
    SessionAnswer,
    SessionChange,
    SessionOrder,
    Wanted,
)
from vault.core.ids import RecordingId, new_recording_id
from vault.recorder.config import RecorderConfig
from vault.recorder.service import RecorderService
from vault.serving.tap_door import answering, change_call
from vault.tap.simulate import SimulatedCall

DESKTOP = replace(OTHER, allowances=frozenset({Allowance.PAUSE_OTHERS}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def opened(tap: RecorderService, **facts: object) -> SessionAnswer:
    offer = SimulatedCall(seconds=0.2).build_offer()
    order = SessionOrder(
        device=PBX, offer=offer, call=CallFacts(**facts), origin="127.0.0.1"
    )
    return await tap.desk.open(order)


async def state(tap: RecorderService, recording_id: RecordingId) -> str:
    return (await tap.desk.status(PBX, recording_id)).state


async def resumed(tap: RecorderService, recording_id: RecordingId) -> None:
    session = tap.desk.sessions[recording_id]
    await until(lambda: not session.paused)


def test_a_pause_that_nobody_ends_ends_by_itself(world: World) -> None:
    world.config = RecorderConfig(pause_max_s=0.3)

    async def scene() -> None:
        async with world.tap() as tap:
            id = (await opened(tap)).recording_id
            paused = await tap.desk.change(PBX, id, SessionChange(paused=True))
            await resumed(tap, id)
            await until(lambda: "recording.resumed" in world.trail.actions(id))

            assert "paused" == paused.state
            assert 0 < (paused.resumes_in_s or 0) <= 0.3
            actors = [str(one.caller.actor) for one in world.trail.of(id)]
            assert [f"device:{PBX.id}"] * 2 + ["process:tap"] == actors

    asyncio.run(scene())


def test_asking_again_begins_the_time_anew_and_resuming_ends_it(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            id = (await opened(tap)).recording_id
            asked = [
                SessionChange(paused=True, resume_after_s=100.0),
                SessionChange(paused=True, resume_after_s=50.0),
                SessionChange(paused=True),
                SessionChange(paused=False),
            ]
            left = [(await tap.desk.change(PBX, id, one)).resumes_in_s for one in asked]

            rounded = [each and round(each, -1) for each in left]
            assert [100.0, 50.0, 900.0, None] == rounded

    asyncio.run(scene())


def test_a_device_that_may_pauses_the_calls_of_others(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            mine = (await opened(tap, pbx_id="c-1", agent="Anna")).recording_id
            other = (await opened(tap, pbx_id="c-2", agent="eve")).recording_id
            pause = SessionChange(paused=True, resume_after_s=60.0)
            found = await tap.desk.matching(DESKTOP, Wanted(agent="anna"), None)
            done = await tap.desk.matching(DESKTOP, Wanted(pbx_id="c-1"), pause)
            both = Wanted(pbx_id="c-1", agent="eve")

            assert [(mine, "recording")] == [(s.recording_id, s.state) for s in found]
            assert [(mine, "paused")] == [(s.recording_id, s.state) for s in done]
            assert ["paused", "recording"] == [
                await state(tap, mine),
                await state(tap, other),
            ]
            assert () == await tap.desk.matching(DESKTOP, both, None)
            assert () == await tap.desk.matching(DESKTOP, Wanted(), pause)
            await until(lambda: "recording.paused" in world.trail.actions(mine))
            assert f"device:{DESKTOP.id}" == str(world.trail.of(mine)[-1].caller.actor)

    asyncio.run(scene())


def test_a_device_that_may_not_finds_its_own_calls_alone(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            id = (await opened(tap, pbx_id="c-1")).recording_id
            wanted, pause = Wanted(pbx_id="c-1"), SessionChange(paused=True)
            stranger = replace(LEGACY, allowances=NOTHING_ALLOWED)

            assert () == await tap.desk.matching(stranger, wanted, pause)
            assert "recording" == await state(tap, id)
            assert 1 == len(await tap.desk.matching(PBX, wanted, pause))
            assert "paused" == await state(tap, id)

    asyncio.run(scene())


def test_an_agent_is_found_while_taking_part(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            gone = Participant(id="1", agent="ben", left_ns=1)
            here = Participant(id="2", agent="cara")
            id = (await opened(tap, participants=(gone, here))).recording_id
            cara, ben = Wanted(agent="cara"), Wanted(agent="ben")

            found = await tap.desk.matching(DESKTOP, cara, None)
            assert [id] == [one.recording_id for one in found]
            assert () == await tap.desk.matching(DESKTOP, ben, None)

    asyncio.run(scene())


def test_an_operator_of_this_machine_pauses_and_resumes(world: World) -> None:
    async def scene() -> None:
        path = short_folder() / "door.sock"
        async with world.tap() as tap, answering(path, tap.desk.integrations):
            id = (await opened(tap)).recording_id
            pause = SessionChange(paused=True, resume_after_s=60.0)
            go_on = SessionChange(paused=False)
            paused = await asyncio.to_thread(change_call, path, id, pause)
            back = await asyncio.to_thread(change_call, path, id, go_on)

            assert ("paused", "recording") == (paused.state, back.state)
            assert 50 < (paused.resumes_in_s or 0) <= 60
            await until(lambda: "recording.resumed" in world.trail.actions(id))
            actors = [str(one.caller.actor) for one in world.trail.of(id)][1:]
            assert [f"os:{os.geteuid()}"] * 2 == actors
            with pytest.raises(NotFoundError, match="no such call"):
                await asyncio.to_thread(change_call, path, new_recording_id(), pause)
        with pytest.raises(UnavailableError, match="no tap"):
            await asyncio.to_thread(change_call, path, id, pause)
        path.parent.rmdir()

    asyncio.run(scene())


@pytest.mark.parametrize(
    "said",
    [b"\n", b"{}\n", b"[]\n", b'{"paused": 1}\n', b"x" * 5000, b'{"paused": true}\n'],
)
def test_nonsense_at_the_door_ends_in_nothing(world: World, said: bytes) -> None:
    async def scene() -> None:
        path = short_folder() / "door.sock"
        async with world.tap() as tap, answering(path, tap.desk.integrations):
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(said)
            answer = await reader.read()
            writer.close()

            assert b'"state"' not in answer
        path.parent.rmdir()

    asyncio.run(scene())


def refuse_leaves(tap: RecorderService, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(draft: Draft) -> int:
        raise SpoolFullError("no room for a leaf")

    monkeypatch.setattr(tap.desk._parts.outbox, "post", full)


def test_what_the_trail_cannot_be_told_is_not_done(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            id = (await opened(tap)).recording_id
            before = tap.desk.current(PBX, id)
            placed = tap.desk.sessions[id].order
            with monkeypatch.context() as full:
                refuse_leaves(tap, full)
                for change in (
                    SessionChange(paused=True),
                    SessionChange(call={"workgroup": "sales"}),
                ):
                    with pytest.raises(SpoolFullError):
                        await tap.desk.change(PBX, id, change)
                offer = SimulatedCall(seconds=0.2).build_offer()
                with pytest.raises(SpoolFullError):
                    await tap.desk.renew(PBX, id, offer=offer)

                assert "recording" == await state(tap, id)
                assert placed == tap.desk.sessions[id].folder.order()
                assert placed == tap.desk.sessions[id].order
                assert before == tap.desk.current(PBX, id)
            await tap.desk.change(PBX, id, SessionChange(paused=True))
            with monkeypatch.context() as full:
                refuse_leaves(tap, full)
                with pytest.raises(SpoolFullError):
                    await tap.desk.change(PBX, id, SessionChange(paused=False))

                assert "paused" == await state(tap, id)

    asyncio.run(scene())


def test_an_offer_that_was_taken_is_not_refused_for_want_of_room(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            both = SimulatedCall(seconds=0.2).build_offer()
            one = both[: both.rindex("m=")]
            order = SessionOrder(device=PBX, offer=one, origin="127.0.0.1")
            id = (await tap.desk.open(order)).recording_id

            def full(name: str, octets: bytes) -> None:
                raise SpoolFullError("no room")

            with monkeypatch.context() as patched:
                folder = type(tap.desk.sessions[id].folder)
                patched.setattr(folder, "write_once", lambda _, *said: full(*said))
                answer = await tap.desk.renew(PBX, id, offer=both)

            assert 2 == answer.sdp.count("m=audio")
            assert answer == tap.desk.current(PBX, id)

    asyncio.run(scene())


def test_a_call_that_cannot_be_paused_keeps_no_other_from_it(world: World) -> None:
    async def scene() -> None:
        async with world.tap() as tap:
            lost = (await opened(tap, agent="anna")).recording_id
            id = (await opened(tap, agent="anna")).recording_id
            await tap.desk._parts.media.close_call(lost)
            tap.desk._parts.media.forget(lost)
            with pytest.raises(UnavailableError, match="1 of 2 calls"):
                await tap.desk.matching(
                    DESKTOP, Wanted(agent="anna"), SessionChange(paused=True)
                )

            assert "paused" == await state(tap, id)

    asyncio.run(scene())


def test_a_call_that_the_media_tap_has_lost_ends_and_holds_no_place(
    world: World,
) -> None:
    world.config = RecorderConfig(watch_interval_s=0.05)
    alone = replace(PBX, max_calls=1)

    async def scene() -> None:
        async with world.tap() as tap:
            offer = SimulatedCall(seconds=0.2).build_offer()
            order = SessionOrder(device=alone, offer=offer, origin="127.0.0.1")
            id = (await tap.desk.open(order)).recording_id
            with pytest.raises(UnavailableError, match="1 calls already"):
                tap.desk.check(alone)
            await tap.desk._parts.media.close_call(id)
            tap.desk._parts.media.forget(id)
            await until(lambda: id not in tap.desk.sessions)
            tap.desk.check(alone)

            assert "captured" == await state(tap, id)

    asyncio.run(scene())
