"""The supervisor's hold on one media worker: its process and its socket.

Guarantees: sending and receiving never block the event loop; a request either
is answered or ends with `WorkerDiedError`; a worker whose link is gone is
killed and reaped, because two workers must never read one port.

Left to others: what is said (`vault.tap.control`), starting another one and judging
whether one hangs (`vault.tap.crew`).
"""

import asyncio
import contextlib
import dataclasses
import os
import socket
import time
from collections import deque
from pathlib import Path
from typing import Final, Protocol

from vault.core.errors import UnavailableError
from vault.tap import control, meeting
from vault.tap.config import TapConfig
from vault.tap.control import Fields, Snapshot
from vault.tap.worker_process import WorkerProcess

_READY_S: Final = 15.0
_STOP_S: Final = 5.0


class WorkerDiedError(UnavailableError):
    """The worker ended before it answered."""


class WorkerRefusedError(UnavailableError):
    """The worker could not carry out an order."""


class LinkEvents(Protocol):
    """Who hears what a worker says unasked."""

    def counted(self, snapshot: Snapshot) -> None:
        """Take counters of a stream."""
        ...

    def told(self, link: "WorkerLink", fields: Fields, fds: list[int]) -> None:
        """Take a message; its descriptors are the hearer's."""
        ...

    def died(self, link: "WorkerLink") -> None:
        """Take notice that the worker is gone; once."""
        ...


class WorkerLink:
    """One worker process, from start or adoption to end."""

    def __init__(
        self,
        end: socket.socket,
        process: WorkerProcess,
        events: LinkEvents,
        *,
        path: Path | None = None,
    ) -> None:
        self._end = end
        self._events = events
        self._path = path
        self.process = process
        self._loop = asyncio.get_running_loop()
        self._answers: dict[int, asyncio.Future[Fields]] = {}
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._last_id = 0
        self._ready: asyncio.Future[Fields] = self._loop.create_future()
        self._born_s = self.heard_s = time.monotonic()
        self.missing: tuple[str, ...] = ()
        self.streams = 0
        "Of running calls that it has; `vault.tap.open_call` counts them."
        self.is_alive = True
        self._loop.add_reader(self._end, self.read)

    @classmethod
    def start(cls, config: TapConfig, events: LinkEvents) -> "WorkerLink":
        """Start a worker.

        Raises:
            OSError: No memory, no descriptors or no process for it.
        """
        ours, theirs = control.pair()
        listener, path = None, None
        with theirs:
            try:
                if config.run_folder:
                    listener, path = meeting.listen(Path(config.run_folder))
                process = WorkerProcess.start(theirs.fileno())
            except BaseException:
                # It is tried again and again: each try would leave a name.
                ours.close()
                if listener is not None and path is not None:
                    listener.close()
                    path.unlink(missing_ok=True)
                raise
        link = cls(ours, process, events, path=path)
        fds = [] if listener is None else [listener.fileno()]
        link._put(control.pack(dataclasses.asdict(config)), fds)
        if listener is not None:
            listener.close()
        return link

    @property
    def pid(self) -> int:
        """Process id of the worker."""
        return self.process.pid

    @property
    def age_s(self) -> float:
        """Seconds since it was started or adopted."""
        return time.monotonic() - self._born_s

    async def ready(self, within_s: float = _READY_S) -> Fields:
        """Wait until the worker has said that it is ready; return what it said.

        Raises:
            UnavailableError: It died, or did not say so in time.
        """
        try:
            return await asyncio.wait_for(asyncio.shield(self._ready), within_s)
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
        """Tell the worker to write what it holds and to end; wait until it has."""
        with contextlib.suppress(UnavailableError, TimeoutError):
            await asyncio.wait_for(self.request({"do": "end"}), _STOP_S)
        self._hang_up()
        if not await asyncio.to_thread(self.process.wait, _STOP_S):
            self.process.kill()
            await asyncio.to_thread(self.process.wait)

    def give_up(self) -> None:
        """Kill the worker; whoever waits for it is told that it died."""
        self._die()

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
                control.close_all(fds)
        except OSError:
            self._die()
            return
        self._loop.remove_writer(self._end)

    def read(self) -> None:
        """Take what the worker has said until now."""
        try:
            while (
                self.is_alive and (received := control.receive(self._end)) is not None
            ):
                self._take(*received)
        except OSError:
            self._die()

    def _take(self, message: bytes, fds: list[int]) -> None:
        self.heard_s = time.monotonic()
        if message[0] == control.COUNTERS:
            for snapshot in control.unpack_counters(message):
                self._events.counted(snapshot)
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
            self._events.told(self, fields, fds)
            return
        control.close_all(fds)

    def _die(self) -> None:
        if not self.is_alive:
            return
        self._hang_up()
        # The socket closes before the process is gone; it is killed in case it
        # only lost the socket.
        self.process.kill()
        self._events.died(self)
        reap = self._loop.run_in_executor(None, self.process.wait)
        reap.add_done_callback(lambda _: None)

    def _hang_up(self) -> None:
        if not self.is_alive:
            return
        self.is_alive = False
        self._loop.remove_reader(self._end)
        self._loop.remove_writer(self._end)
        self._end.close()
        if self._path is not None:
            self._path.unlink(missing_ok=True)
        for _, fds in self._unsent:
            control.close_all(fds)
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
