"""A whole tap in a process of its own, so that it can be killed.

    tap = KillableTap(folder)              # python -m tests.simulators.recorder_process
    answer = tap.open(call.build_offer())
    tap.kill()

The next tap is a `World` in the same folder, in this process or another one.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, Final, Self

import structlog

from tests.simulators.recorder import PBX, World
from vault.core.flow import CallFacts, SessionChange, SessionOrder
from vault.core.ids import RecordingId
from vault.recorder import ending
from vault.recorder.service import RecorderService

_ROOT: Final = Path(__file__).resolve().parents[2]


class KillableTap:
    """The process."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulators.recorder_process", str(folder)],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.workers: list[int] = self._hear()["workers"]

    def open(self, offer: str, **facts: str) -> tuple[RecordingId, str]:
        """Begin a call; return its id and the answer."""
        told = self.ask(do="open", offer=offer, facts=facts)
        return RecordingId(told["id"]), told["sdp"]

    def ask(self, **order: Any) -> dict[str, Any]:
        """Give an order and wait for its answer."""
        self.say(**order)
        return self._hear()

    def say(self, **order: Any) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def kill(self, *, workers: bool = False) -> None:
        """End it as the kernel would, its media workers included if asked."""
        self._process.send_signal(signal.SIGKILL)
        for worker in self.workers if workers else ():
            os.kill(worker, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process.returncode is None:
            self.kill(workers=True)

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told


def _stuck(*_: object) -> None:
    """Be the disk that does not come back."""
    _say({"stuck": True})
    threading.Event().wait()


async def _obey(tap: RecorderService, order: dict[str, Any]) -> dict[str, Any]:
    if order["do"] == "open":
        facts = CallFacts(**order["facts"])
        asked = SessionOrder(
            device=PBX, offer=order["offer"], call=facts, origin="127.0.0.1"
        )
        answer = await tap.desk.open(asked)
        return {"id": answer.recording_id, "sdp": answer.sdp}
    if order["do"] == "pause":
        change = SessionChange(paused=True, call={"caller": order["caller"]})
        await tap.desk.change(PBX, RecordingId(order["id"]), change)
        return {}
    if order["do"] == "stick":
        if order["at"] == "finish":
            ending.finish = _stuck  # type: ignore[assignment] # a disk that is stuck
        else:
            tap.outbox.post_soon = _stuck  # type: ignore[method-assign,assignment]
        return {}
    await tap.desk.close(PBX, RecordingId(order["id"]))
    return {}


def _say(fields: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(fields).encode() + b"\n")
    sys.stdout.buffer.flush()


async def _serve(folder: Path) -> None:
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    async with World(folder).tap() as tap:
        _say({"workers": tap._around.media.worker_pids})  # type: ignore[attr-defined]
        while line := await asyncio.to_thread(sys.stdin.buffer.readline):
            _say(await _obey(tap, json.loads(line)))


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1])))
