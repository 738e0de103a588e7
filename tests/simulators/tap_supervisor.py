"""A supervisor of media workers in a process of its own, so that it can be killed.

    supervisor = Supervisor(config)            # python -m tests.simulators.tap_supervisor
    calls = supervisor.open(folder, [[(suite, key)]])
    supervisor.kill()

It opens calls, or adopts those of the supervisor before, and then only lives.  What
it tells over its pipe are the secrets of the calls, which a test needs to open them.
"""

import asyncio
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, Self

import structlog

from tests.simulators.tap_calls import TapCall
from vault.core.ids import RecordingId
from vault.core.media import STATIC_PAYLOADS, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.serving.descriptors import NotifyStore
from vault.serving.keeping import DescriptorKeeper
from vault.tap.config import TapConfig
from vault.tap.orders import PortPair, StreamOrder
from vault.tap.pool import MediaPool

_ROOT: Final = Path(__file__).resolve().parents[2]


class RemoteCall(TapCall):
    """A call that another process has opened; this one sends and looks at files."""

    def __init__(self, folder: Path, told: dict[str, Any]) -> None:
        self.folder = folder
        self.id = RecordingId(told["id"])
        self.dek = SecretBytes(bytes.fromhex(told["dek"]))
        self.ports = [PortPair(**ports) for ports in told["ports"]]
        self.refusals = 0
        self.streams = tuple(
            StreamOrder(
                index=index,
                label=f"stream{index}",
                media="audio",
                suite=SrtpSuite(suite),
                key=SecretBytes(bytes.fromhex(key)),
                payloads=(STATIC_PAYLOADS[0],),
                ports=self.ports[index],
            )
            for index, (suite, key) in enumerate(told["keys"])
        )
        self._begin("127.0.0.1")

    def now_at(self, pool: MediaPool) -> "RemoteCall":
        """Ask *pool* from now on."""
        self.pool = pool
        return self


class Supervisor:
    """The process."""

    def __init__(
        self, config: TapConfig, keeper: DescriptorKeeper | None = None
    ) -> None:
        """Start it; with a *keeper*, what it opens is kept there."""
        self.config = config
        self.workers: list[int] = []
        "Process ids, as it last told."
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.simulators.tap_supervisor"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if keeper is not None:
            keeper.belongs_to(self._process.pid)
        store = "" if keeper is None else str(keeper.path)
        self._say({"config": dataclasses.asdict(config), "store": store})

    def open(
        self, folder: Path, keys: list[list[tuple[SrtpSuite, bytes]]]
    ) -> list[RemoteCall]:
        """Open a call for each list of *keys*, with part files in *folder*."""
        told = [[(str(suite), key.hex()) for suite, key in each] for each in keys]
        self._say({"folder": str(folder), "keys": told})
        return [RemoteCall(folder, one) for one in self._hear()["calls"]]

    def adopt(self, folder: Path) -> list[str]:
        """Take over what is there; return the ids."""
        self._say({"adopt": str(folder)})
        found: list[str] = self._hear()["adopted"]
        return found

    def close(self, call: RemoteCall) -> None:
        """Close a call and tell nobody what became of it."""
        self._say({"close": call.id})
        self._hear()

    def begin_to_close(self, call: RemoteCall) -> None:
        """Order the end of a call, and do not wait for it."""
        self._say({"close": call.id, "wait": False})
        self._hear()

    def kill(self) -> None:
        """End it as the kernel would for want of memory."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process.returncode is None:
            self.kill()

    def _say(self, fields: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(fields).encode() + b"\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        self.workers = answer["workers"]
        return answer


def parts_in(folder: Path, recording_id: RecordingId, number: int) -> int:
    """Open a part file as `TapCall.open_part` does."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
    return os.open(folder / f"{recording_id}.{number}", flags, 0o600)


async def _obey(pool: MediaPool, order: dict[str, Any]) -> dict[str, Any]:
    if "adopt" in order:
        folder = Path(order["adopt"])
        found = await pool.adopt(lambda one: lambda n: parts_in(folder, one, n))
        await pool.start()
        return {"adopted": [one.recording_id for one in found]}
    if "close" in order:
        closing = asyncio.create_task(pool.close_call(RecordingId(order["close"])))
        if order.get("wait", True):
            await closing
        else:
            await asyncio.sleep(0.05)
        return {}
    calls = []
    for keys in order["keys"]:
        known = [(SrtpSuite(suite), bytes.fromhex(key)) for suite, key in keys]
        call = await TapCall(pool, Path(order["folder"]), keys=known).open()
        told = {
            "id": call.id,
            "dek": call.dek.reveal().hex(),
            "ports": [dataclasses.asdict(ports) for ports in call.ports],
            "keys": keys,
        }
        calls.append(told)
    return {"calls": calls}


async def _supervise() -> None:
    def line() -> dict[str, Any]:
        return json.loads(sys.stdin.buffer.readline() or b"{}")  # type: ignore[no-any-return]

    def say(fields: dict[str, Any]) -> None:
        sys.stdout.buffer.write(json.dumps(fields).encode() + b"\n")
        sys.stdout.buffer.flush()

    # The log must not get between what is told.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    first = await asyncio.to_thread(line)
    config = {**first["config"], "ports": tuple(first["config"]["ports"])}
    store = NotifyStore(first["store"]) if first["store"] else None
    pool = MediaPool(TapConfig(**config), store=store)
    while order := await asyncio.to_thread(line):
        if "keys" in order and not pool.worker_pids:
            await pool.start()
        say({**await _obey(pool, order), "workers": pool.worker_pids})


if __name__ == "__main__":
    asyncio.run(_supervise())
