"""The supervisor's hold on one media worker: its process and its socket.

Guarantees: sending and receiving never block the event loop; a request either
is answered or ends with `WorkerDiedError`; a worker whose link is gone is
reaped.

Left to others: what is said (`vault.tap.control`), starting another one
(`vault.tap.pool`).
"""

import asyncio
import contextlib
import dataclasses
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vault.core.errors import UnavailableError
from vault.tap import control
from vault.tap.config import TapConfig
from vault.tap.control import Fields, Snapshot

_READY_S: Final = 15.0
_STOP_S: Final = 5.0

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]
"Where ``-m`` finds this very package, installed or not."


class WorkerDiedError(UnavailableError):
    """The worker ended before it answered."""


class WorkerRefusedError(UnavailableError):
    """The worker could not carry out an order."""


class WorkerLink:
    """One worker process, from start to end."""

    def __init__(
        self,
        *,
        config: TapConfig,
        on_counters: Callable[[Snapshot], None],
        on_tell: Callable[[Fields], None],
        on_death: "Callable[[WorkerLink], None]",
    ) -> None:
        self._on_counters = on_counters
        self._on_tell = on_tell
        self._on_death = on_death
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, asyncio.Future[Fields]] = {}
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._last_id = 0
        self._ready: asyncio.Future[Fields] = self._loop.create_future()
        self._born_s = time.monotonic()
        self.missing: tuple[str, ...] = ()
        self.is_alive = True
        self._end, theirs = control.pair()
        with theirs:
            # In this thread and not in a helper's: the worker's life is tied to
            # the socket, and starting it takes a few milliseconds once.
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-m", "vault.tap.worker", str(theirs.fileno())],
                cwd=_PACKAGE_ROOT,
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
            )
        self._loop.add_reader(self._end, self._read)
        self._put(control.pack(dataclasses.asdict(config)), [])

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self._process.pid

    @property
    def age_s(self) -> float:
        """Seconds since it was started."""
        return time.monotonic() - self._born_s

    async def ready(self) -> None:
        """Wait until the worker has said that it is ready.

        Raises:
            UnavailableError: It died, or did not say so in 15 s.
        """
        try:
            await asyncio.wait_for(asyncio.shield(self._ready), _READY_S)
        except TimeoutError:
            raise UnavailableError("a media worker did not start") from None

    async def request(self, order: Fields, fds: list[int] | None = None) -> Fields:
        """Send an order and wait for its answer.

        *fds* are duplicated before this returns to the loop, so the caller may
        close its own after the answer.

        Raises:
            WorkerDiedError: No answer will come.
            WorkerRefusedError: It answered with an error.
        """
        if not self.is_alive:
            raise WorkerDiedError("the media worker is gone")
        self._last_id += 1
        answer: asyncio.Future[Fields] = self._loop.create_future()
        self._answers[self._last_id] = answer
        self._put(control.pack({"id": self._last_id, **order}), fds or [])
        fields = await answer
        if fields["error"]:
            raise WorkerRefusedError(f"{order['do']}: {fields['error']}")
        return fields

    async def stop(self) -> None:
        """Close the link and wait until the worker has written and ended."""
        self._hang_up()
        try:
            await asyncio.to_thread(self._process.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)

    # -- the socket --------------------------------------------------------

    def _put(self, message: bytes, fds: list[int]) -> None:
        # Duplicates, because the message may have to wait and its descriptors
        # could be closed meanwhile.
        self._unsent.append((message, [os.dup(fd) for fd in fds]))
        self._write()

    def _write(self) -> None:
        try:
            while self._unsent:
                message, fds = self._unsent[0]
                if not control.send(self._end, message, fds):
                    self._loop.add_writer(self._end, self._write)
                    return
                self._unsent.popleft()
                _close_all(fds)
        except OSError:
            self._die()
            return
        self._loop.remove_writer(self._end)

    def _read(self) -> None:
        try:
            while (received := control.receive(self._end)) is not None:
                self._take(received[0])
        except OSError:
            self._die()

    def _take(self, message: bytes) -> None:
        if message[0] == control.COUNTERS:
            for snapshot in control.unpack_counters(message):
                self._on_counters(snapshot)
            return
        fields = control.unpack(message)
        if "id" in fields:
            answer = self._answers.pop(fields["id"], None)
            if answer is not None and not answer.done():
                answer.set_result(fields)
        elif fields["tell"] == "ready":
            self.missing = tuple(fields["missing"])
            if not self._ready.done():
                self._ready.set_result(fields)
        else:
            self._on_tell(fields)

    def _die(self) -> None:
        if not self.is_alive:
            return
        self._hang_up()
        # The socket closes before the process is gone; it is killed in case it
        # only lost the socket: two workers must never read one port.
        self._process.kill()
        self._on_death(self)
        reap = self._loop.run_in_executor(None, self._process.wait)
        reap.add_done_callback(lambda _: None)

    def _hang_up(self) -> None:
        if not self.is_alive:
            return
        self.is_alive = False
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        for _, fds in self._unsent:
            _close_all(fds)
        self._unsent.clear()
        gone = WorkerDiedError("the media worker is gone")
        if not self._ready.done():
            self._ready.set_exception(gone)
            # Nobody may be waiting for it.
            self._ready.exception()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(WorkerDiedError("the media worker is gone"))
        self._answers.clear()


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
