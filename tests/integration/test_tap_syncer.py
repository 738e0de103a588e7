import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.simulators.tap_calls import eventually
from vault.core.errors import SpoolFullError
from vault.tap.config import SyncConfig
from vault.tap.syncer import Syncer


def run(
    folder: Path, scene: Callable[[Syncer], Awaitable[None]], **settings: float
) -> None:
    async def play() -> None:
        syncer = Syncer(SyncConfig(folder=folder, **settings))
        await syncer.start()
        try:
            await scene(syncer)
        finally:
            await syncer.stop()

    asyncio.run(play())


def refused(syncer: Syncer) -> bool | None:
    with contextlib.suppress(SpoolFullError):
        syncer.check()
        return None
    return True


def accepted(syncer: Syncer) -> bool | None:
    return None if refused(syncer) else True


class TestSyncer:
    def test_hears_of_syncs(self, tmp_path: Path) -> None:
        async def scene(syncer: Syncer) -> None:
            before = syncer._heard_s
            await eventually(lambda: syncer._heard_s > before or None)

            syncer.check()

        run(tmp_path, scene, interval_s=0.05)

    def test_that_died_refuses_sessions_until_another_one_syncs(
        self, tmp_path: Path
    ) -> None:
        async def scene(syncer: Syncer) -> None:
            assert syncer._process is not None
            os.kill(syncer._process.pid, signal.SIGKILL)
            await eventually(lambda: refused(syncer))
            await eventually(lambda: accepted(syncer))

        run(tmp_path, scene, interval_s=0.05)

    def test_that_hangs_refuses_sessions(self, tmp_path: Path) -> None:
        async def scene(syncer: Syncer) -> None:
            assert syncer._process is not None
            os.kill(syncer._process.pid, signal.SIGSTOP)
            await eventually(lambda: refused(syncer))
            with pytest.raises(SpoolFullError, match="not synced for"):
                syncer.check()

        run(tmp_path, scene, interval_s=0.05, alarm_s=0.2)

    def test_that_is_slow_refuses_until_it_is_over(self, tmp_path: Path) -> None:
        syncer = Syncer(SyncConfig(folder=tmp_path))
        syncer._take("synced 2.5")
        with pytest.raises(SpoolFullError):
            syncer.check()
        syncer._take("synced 0.010")

        syncer.check()

    def test_that_failed_refuses_for_good_and_says_so(self, tmp_path: Path) -> None:
        told: list[str] = []
        syncer = Syncer(SyncConfig(folder=tmp_path))
        syncer.tell(told.append)
        syncer._take("failed EIO")
        syncer._take("synced 0.010")

        with pytest.raises(SpoolFullError, match="start the tap anew"):
            syncer.check()
        assert (["syncfs: EIO"], "EIO") == (told, syncer.failure)

    def test_stops_when_its_supervisor_does(self, tmp_path: Path) -> None:
        pids = []

        async def scene(syncer: Syncer) -> None:
            assert syncer._process is not None
            pids.append(syncer._process.pid)

        run(tmp_path, scene)

        with pytest.raises(ProcessLookupError):
            os.kill(pids[0], 0)
