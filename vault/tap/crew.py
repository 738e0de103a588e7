"""The media workers of one supervisor: started, met again, watched, replaced.

Guarantees:
    * A worker that dies is replaced, as often as it takes, and at most every two
      seconds: one that cannot start must not take the machine with it.
    * A worker that hangs is killed and replaced.  It hangs if it says nothing for
      `TapConfig.hung_s`, uses no CPU time meanwhile and waits for no disk: being late
      is no reason, since packets wait in the kernel, and a new worker would wait for
      the same disk.  One that computes and says nothing gets six times as long.
    * Where there are several workers and several cores, each worker keeps to one.

Left to others: calls, and what becomes of them when a worker dies (`vault.tap.pool`).
"""

import asyncio
import contextlib
import os
import select
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from vault.core.errors import UnavailableError
from vault.process import peer_credentials
from vault.tap import control, meeting
from vault.tap.config import TapConfig
from vault.tap.control import Fields, Snapshot
from vault.tap.link import WorkerLink
from vault.tap.worker_process import WorkerProcess

WORKER_DIED: Final = "media-worker-died"
WORKER_REFUSED: Final = "media-worker-refused"
WORKER_HUNG: Final = "media-worker-hung"
WORKER_MET: Final = "media-worker-met-again"
WORKER_LEFT: Final = "media-worker-left-alone"
NO_WORKER: Final = "media-worker-not-started"

_SHORTEST_LIFE_S: Final = 2.0
_CHECK_S: Final = 1.0
_AT_WORK_FACTOR: Final = 6
_WORKED_S: Final = 0.001
_LET_IN_S: Final = 5.0
_LET_IN_TRIES: Final = 20
_HAND_OVER_S: Final = 30.0

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedCall:
    """A call in the hands of a worker that was met again."""

    said: Fields
    fds: list[int]
    "Page and sockets; the receiver owns them."


@dataclass(slots=True, kw_only=True)
class _Pulse:
    """When a worker was last heard, and how long it is silent by our own count.

    In checks and not in seconds: while this process itself is stopped or late, it
    hears nobody.
    """

    heard_s: float
    cpu_s: float
    silent: int = 0


class Crew:
    """All workers.  Lives on one event loop."""

    def __init__(
        self,
        config: TapConfig,
        *,
        counted: Callable[[Snapshot], None],
        told: Callable[[WorkerLink, Fields], None],
        replaced: Callable[[WorkerLink, WorkerLink], Awaitable[None]],
    ) -> None:
        """Have no worker yet.

        Args:
            config: Handed to each of them.
            counted: Hears counters.
            told: Hears what else workers say unasked.
            replaced: Hears which worker died and which took its place.
        """
        self._config = config
        self._counted = counted
        self._told = told
        self._replaced = replaced
        self._stopping = False
        self._handed: dict[WorkerLink, list[HandedCall]] = {}
        self._pulses: dict[WorkerLink, _Pulse] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.links: list[WorkerLink] = []

    # -- life --------------------------------------------------------------

    async def start(self) -> None:
        """Start as many workers as are missing; returns when all are ready.

        Raises:
            UnavailableError: A worker did not come up.
            ConfigurationError: The folder where they are met is not private.
        """
        if self._config.run_folder:
            folder = Path(self._config.run_folder)
            await asyncio.to_thread(meeting.private_folder, folder)
        missing = self._config.worker_count - len(self.links)
        try:
            for _ in range(missing):
                # One by one: each looks which cores the others have.
                self.links.append(self._spawn())
        except OSError as error:
            raise UnavailableError("a media worker could not be started") from error
        for link in list(self.links):
            await link.ready()
        self._later(self._watch())

    async def stop(self) -> None:
        """Stop all workers; what they hold is written."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(link.stop() for link in self.links))

    def choose(self, load: Callable[[WorkerLink], int]) -> WorkerLink:
        """Return the worker with the least *load*.

        Raises:
            UnavailableError: None runs.
        """
        running = [link for link in self.links if link.is_alive]
        if not running:
            raise UnavailableError("no media worker is running")
        return min(running, key=load)

    def _spawn(self) -> WorkerLink:
        link = WorkerLink.start(self._config, self)
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) > 1 and self._config.worker_count > 1:
            taken = Counter(other.process.core() for other in self.links)
            link.process.pin(min(cores, key=lambda core: taken[core]))
        return link

    # -- workers of an earlier supervisor ----------------------------------

    async def meet(self) -> list[tuple[WorkerLink, list[HandedCall]]]:
        """Find the workers that outlived an earlier supervisor, and their calls."""
        if not self._config.run_folder:
            return []
        folder = Path(self._config.run_folder)
        paths = await asyncio.to_thread(meeting.names, folder)
        met = []
        for path in paths:
            link = await self._meet(path)
            if link is not None:
                met.append((link, self._handed.pop(link, [])))
                self.links.append(link)
                if not link.is_alive:
                    # With its last word: nobody was listening for its death yet.
                    self.died(link)
        return met

    async def _meet(self, path: Path) -> WorkerLink | None:
        end = await self._let_in(path)
        if end is None:
            return None
        try:
            process = WorkerProcess(peer_credentials(end)[0])
        except OSError:
            end.close()
            return None
        link = WorkerLink(end, process, self, path=path)
        self._handed[link] = []
        try:
            said = await link.ready(_LET_IN_S)
            if said["protocol"] != control.PROTOCOL:
                _log.warning(WORKER_LEFT, pid=link.pid, problem="of another version")
                await link.stop()
                return None
            await asyncio.wait_for(link.request({"do": "hand-over"}), _HAND_OVER_S)
        except (UnavailableError, TimeoutError):
            link.give_up()
            for handed in self._handed.pop(link, []):
                control.close_all(handed.fds)
            return None
        _log.info(WORKER_MET, pid=link.pid, calls=len(self._handed[link]))
        return link

    async def _let_in(self, path: Path) -> socket.socket | None:
        """Connect and wait until the worker speaks; None if it does not want us."""
        for _ in range(_LET_IN_TRIES):
            try:
                end = meeting.meet(path)
            except BlockingIOError:
                _log.error(WORKER_LEFT, problem="it does not answer")
                return None
            if end is None:
                return None
            pid, uid = peer_credentials(end)
            if uid != os.geteuid():
                _log.error(WORKER_LEFT, pid=pid, problem="another user's")
                end.close()
                return None
            if not await asyncio.to_thread(_speaks, end, pid):
                # It must not go on writing to parts that recovery is about to close.
                _log.error(WORKER_HUNG, pid=pid)
                end.close()
                await asyncio.to_thread(_end, pid)
                return None
            with contextlib.suppress(ConnectionError):  # it died at this moment
                if end.recv(1, socket.MSG_PEEK):
                    return end
            # Turned away.  The kernel may be about to tell it of a supervisor's death.
            end.close()
            await asyncio.sleep(0.1)
        _log.error(WORKER_LEFT, problem="it has a supervisor")
        return None

    # -- what workers say --------------------------------------------------

    def counted(self, snapshot: Snapshot) -> None:
        """Implement `LinkEvents`."""
        self._counted(snapshot)

    def told(self, link: WorkerLink, fields: Fields, fds: list[int]) -> None:
        """Implement `LinkEvents`."""
        if fields["tell"] == "call" and link in self._handed:
            self._handed[link].append(HandedCall(said=fields, fds=fds))
            return
        control.close_all(fds)
        self._told(link, fields)

    def died(self, link: WorkerLink) -> None:
        """Implement `LinkEvents`."""
        self._pulses.pop(link, None)
        if self._stopping or link not in self.links:
            return
        _log.error(WORKER_DIED, pid=link.pid, lived_s=round(link.age_s, 1))
        self._later(self._replace(link))

    async def _replace(self, dead: WorkerLink) -> None:
        if dead.age_s < _SHORTEST_LIFE_S:
            await asyncio.sleep(_SHORTEST_LIFE_S)
        fresh = self._try_to_spawn()
        while fresh is None:
            await asyncio.sleep(_SHORTEST_LIFE_S)
            fresh = self._try_to_spawn()
        self.links[self.links.index(dead)] = fresh
        await self._replaced(dead, fresh)

    def _try_to_spawn(self) -> WorkerLink | None:
        try:
            return self._spawn()
        except OSError as error:
            _log.error(NO_WORKER, problem=error.strerror)
            return None

    # -- workers that hang -------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_CHECK_S)
            for link in list(self.links):
                if link.is_alive:
                    self._look_at(link)

    def _look_at(self, link: WorkerLink) -> None:
        link.read()
        pulse = self._pulses.get(link)
        if pulse is None or pulse.heard_s != link.heard_s:
            cpu_s = link.process.cpu_s()
            self._pulses[link] = _Pulse(heard_s=link.heard_s, cpu_s=cpu_s)
            return
        pulse.silent += 1
        silent_s = pulse.silent * _CHECK_S
        works = link.process.cpu_s() - pulse.cpu_s >= _WORKED_S
        longest_s = self._config.hung_s * (_AT_WORK_FACTOR if works else 1)
        if silent_s < longest_s or link.process.waits_for_disk():
            return
        _log.error(WORKER_HUNG, pid=link.pid, silent_s=round(silent_s))
        link.give_up()

    def _later(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _speaks(end: socket.socket, pid: int) -> bool:
    """Wait for a first message, longer if the worker is busy."""
    poller = select.poll()
    poller.register(end, select.POLLIN)
    with contextlib.suppress(ProcessLookupError):
        process = WorkerProcess(pid)
        used_s = process.cpu_s()
        for _ in range(_AT_WORK_FACTOR):
            if poller.poll(_LET_IN_S * 1000):
                return True
            before_s, used_s = used_s, process.cpu_s()
            if used_s - before_s < _WORKED_S:
                return False
    return False


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        process = WorkerProcess(pid)
        process.kill()
        process.wait(_LET_IN_S)
