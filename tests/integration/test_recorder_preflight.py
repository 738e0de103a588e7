"""Calls that cannot be kept: refused before anything has begun, with real workers."""

import asyncio
import os
import resource
import signal
import time
from pathlib import Path
from typing import cast

import pytest

from tests.simulators.recorder import PBX, World
from tests.simulators.waiting import until
from vault import process
from vault.core.errors import SpoolFullError, UnavailableError
from vault.core.flow import CallFacts, SessionOrder
from vault.recorder.service import RecorderService
from vault.tap.pool import MediaPool
from vault.tap.simulate import SimulatedCall

pytestmark = pytest.mark.network


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def order(offer: str = "") -> SessionOrder:
    offer = offer or SimulatedCall(seconds=1.0).build_offer()
    return SessionOrder(device=PBX, offer=offer, call=CallFacts(), origin="127.0.0.1")


def pool(service: RecorderService) -> MediaPool:
    return cast("MediaPool", service.desk._parts.media)


async def refused(world: World, service: RecorderService) -> tuple[str, int]:
    """Ask for a call, which MUST be refused; return why and when to ask again."""
    before = pool(service).standing().free_pairs
    with pytest.raises(UnavailableError) as caught:
        await service.desk.open(order())

    assert service.spool.recordings() == []
    assert pool(service).standing().free_pairs == before
    assert not service.desk.sessions
    assert caught.value.retry_after_s > 0
    return str(caught.value), sum(service.desk.preflight.refused.values())


def test_a_clock_behind_a_call_refuses_the_next_one(world: World) -> None:
    async def run() -> None:
        async with world.tap() as service:
            answer = await service.desk.open(order())
            session = service.desk.sessions[answer.recording_id]
            await service.desk.close(PBX, answer.recording_id)
            await until(lambda: service.spool.recordings() == [])
            ahead_ns = session.started_ns + 3600 * 10**9
            service.desk.preflight.clock_check.note_call(ahead_ns)
            reason, count = await refused(world, service)

            assert "s behind the newest call" in reason
            assert count == 1

    asyncio.run(run())


def test_a_call_in_the_spool_dates_the_clock_of_the_next_process(
    world: World,
) -> None:
    async def run() -> None:
        async with world.tap() as service:
            await service.desk.open(order())
            folder = service.spool.folder(service.spool.recordings()[0])
            service.desk.preflight.look_back(service.spool)
            newest_ns = service.desk.preflight.clock_check._newest_call_ns

            assert folder.order().started[:10] == time.strftime("%Y-%m-%d", time.gmtime(newest_ns // 10**9))  # fmt: skip

    asyncio.run(run())


def test_a_media_worker_that_stands_still_gets_no_call(world: World) -> None:
    async def run() -> None:
        async with world.tap() as service:
            (worker,) = pool(service).worker_pids
            os.kill(worker, signal.SIGSTOP)
            try:
                await until(lambda: _is_late(service))
                reason, count = await refused(world, service)
            finally:
                os.kill(worker, signal.SIGCONT)
            await until(lambda: not _is_late(service))
            answer = await service.desk.open(order())
            await service.desk.close(PBX, answer.recording_id)

            assert f"{worker} is" in reason
            assert count == 1

    asyncio.run(run())


def _is_late(service: RecorderService) -> bool:
    try:
        pool(service).check(2)
    except SpoolFullError:
        return True
    return False


def test_without_descriptors_a_call_is_refused(world: World) -> None:
    async def run() -> None:
        async with world.tap() as service:
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            low = process.open_descriptors() + 100
            resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
            try:
                reason, count = await refused(world, service)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

            assert "descriptors are free" in reason
            assert count == 1

    asyncio.run(run())


def test_figures_of_calls_that_ended_stay_in_the_totals(world: World) -> None:
    async def run() -> None:
        async with world.tap() as service:
            call = SimulatedCall(seconds=0.3)
            answer = await service.desk.open(order(call.build_offer()))
            sent = await asyncio.to_thread(lambda: list(call.send(answer.sdp)))
            during = pool(service).standing()
            await service.desk.close(PBX, answer.recording_id)
            after = pool(service).standing()

            assert (during.calls, after.calls) == (1, 0)
            assert during.workers[0].streams == 2
            assert during.workers_wanted == 1
            assert after.totals.authentic == sum(one.packets for one in sent) > 0
            assert after.totals.kernel_drops == 0

    asyncio.run(run())
