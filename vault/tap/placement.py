"""Calls at workers: each at one, and at another when that one dies or cannot write.

Guarantees:
    * A call whose worker died, or whose part could not be written, is tried again in
      its next part until it has one, for as long as it runs.
    * A part file that nobody got to write to is passed over, and never appended to.

Left to others: what a call is (`vault.tap.open_call`), who may ask for what
(`vault.tap.pool`), processes (`vault.tap.crew`).
"""

import asyncio
import itertools
import os
from collections.abc import Coroutine, Mapping
from typing import Final

import structlog

from vault.core.errors import UnavailableError
from vault.core.ids import RecordingId
from vault.tap import control
from vault.tap.capacity import Capacity, WorkerLoad, WorkerReport
from vault.tap.config import TapConfig
from vault.tap.control import Fields, Snapshot
from vault.tap.crew import WORKER_DIED, Crew
from vault.tap.interfaces import Hear
from vault.tap.link import WorkerDiedError, WorkerLink
from vault.tap.open_call import OpenCall, restated
from vault.tap.orders import PartReport, StreamOrder
from vault.tap.sockets import PortAllocator

PART_FAILED: Final = "capture-part-failed"
NO_PART: Final = "capture-part-not-opened"

WORKER_RESTART: Final = "worker-restart"
_WRITE_ERROR: Final = "write-error"
_RETRIES_S: Final = (2.0, 4.0, 8.0, 16.0, 32.0, 60.0)
"The last one again and again."
_SEARCHES_S: Final = (0.2, 0.5, 1.0, 2.0)
"The same where the worker has died: the kernel keeps some 10 s of packets meanwhile."
_PARTS_SKIPPED: Final = 8
_BEHIND: Final = 1_000_000

_log = structlog.get_logger()


class Placement:
    """Which worker has which call."""

    def __init__(
        self,
        config: TapConfig,
        sockets: PortAllocator,
        calls: Mapping[RecordingId, OpenCall],
    ) -> None:
        """Watch over *calls*, which the caller adds to and takes from."""
        self._sockets = sockets
        self._calls = calls
        self.hearers: dict[tuple[RecordingId, int], Hear] = {}
        "Who wants the DTLS of which stream."
        self._capacity = Capacity(config)
        self._tasks: set[asyncio.Task[None]] = set()
        self.crew = Crew(
            config, counted=self._counted, told=self._told, replaced=self._take_over
        )

    def check(self, streams: int) -> None:
        """Find out whether a call could be kept up with; see `MediaTap.check`."""
        self._capacity.check(
            streams, workers=self.loads(), free_pairs=self._sockets.free
        )

    def loads(self) -> list[WorkerLoad]:
        """Return how busy the workers are that are alive."""
        return [
            self._capacity.load(link.pid, link.streams)
            for link in self.crew.links
            if link.is_alive
        ]

    async def start(self) -> None:
        """Start the workers that are missing, and place the calls that have none."""
        await self.crew.start()
        for call in self._calls.values():
            if call.link is not None and not call.link.is_alive:
                # It died while it was met again, when nobody knew of its calls.
                self._lose_worker(call)
            if call.link is None:
                self.retry(call, WORKER_RESTART, at_once=True)

    async def stop(self) -> None:
        """Stop all workers; what they hold is written."""
        for task in self._tasks:
            task.cancel()
        await self.crew.stop()

    async def order(
        self, call: OpenCall, order: Fields, fds: list[int] | None = None
    ) -> None:
        """Tell the call's worker, if it has one; a new one starts from the call."""
        if call.link is None:
            return
        try:
            await call.link.request({"call": call.id, **order}, fds)
        except WorkerDiedError:
            # The call's new state is recorded here; a new worker starts from it.
            return

    async def restate(self, call: OpenCall, said: Fields) -> None:
        """Repeat what the worker may not have heard; what it knows changes nothing."""
        if call.how is not None:
            return
        await self.order(call, {"do": "pause", "paused": call.paused})
        for stream in call.streams.values():
            change = control.change_fields(restated(stream))
            await self.order(call, {"do": "change", "change": change})
        if said["failure"]:
            self.retry(call, said["failure"])

    async def begin(self, call: OpenCall, gap: str) -> None:
        """Open the next part at a worker, as a new call to that worker."""
        link = self.crew.choose(self._burden)
        fd = await self._open_part(call)
        try:
            fds = [fd, call.page.fd]
            for stream in call.streams.values():
                fds += self.fds(stream)
            order: Fields = {
                "do": "open",
                "call": call.id,
                "part": call.part,
                "dek": control.octets_field(call.dek),
                "paused": call.paused,
                "gap": gap,
                "streams": [control.stream_fields(s) for s in call.streams.values()],
            }
            call.link = link
            await link.request(order, fds)
        except BaseException:
            self._lose_worker(call)
            raise
        finally:
            os.close(fd)

    def fds(self, stream: StreamOrder) -> list[int]:
        """Return the descriptors of a stream's two sockets."""
        pair = self._sockets.bound(stream.ports)
        return [pair.rtp.fileno(), pair.rtcp.fileno()]

    async def _open_part(self, call: OpenCall) -> int:
        for _ in range(_PARTS_SKIPPED):
            try:
                fd = await asyncio.to_thread(call.open_part, call.part + 1)
            except FileExistsError:
                # A supervisor that died had made it, and no worker got it.
                call.part += 1
            else:
                call.part += 1
                call.keep()
                return fd
        raise UnavailableError(f"part {call.part + 1} is there already")

    def _burden(self, link: WorkerLink) -> int:
        # One that is behind comes last; a call that runs already needs one anyhow.
        load = self._capacity.load(link.pid, link.streams)
        return load.streams + (0 if self._capacity.has_room(load, 1) else _BEHIND)

    # -- what workers say --------------------------------------------------

    def _counted(self, snapshot: Snapshot) -> None:
        call = self._calls.get(snapshot.recording_id)
        if call is not None and call.part == snapshot.part:
            call.latest[snapshot.index] = snapshot

    def _told(self, link: WorkerLink, fields: Fields) -> None:
        if fields["tell"] == "alive":
            report = WorkerReport(
                late_s=fields["late_s"], free_descriptors=fields["free_descriptors"]
            )
            self._capacity.heard(link.pid, report)
        elif fields["tell"] == "failed":
            call = self._calls.get(RecordingId(fields["call"]))
            if call is not None and call.part == fields["part"]:
                _log.error(PART_FAILED, recording=call.id, failure=fields["failure"])
                self.retry(call, fields["failure"])
        elif fields["tell"] == "relayed":
            call_id, index, datagram, source = control.relayed_of(fields)
            hear = self.hearers.get((call_id, index))
            if hear is not None:
                hear(datagram, source)

    def retry(self, call: OpenCall, failure: str, *, at_once: bool = False) -> None:
        """Look for another part for a call that has none to write to."""
        if call.retry is None:
            call.retry = self._later(self._go_on(call, failure, at_once))

    async def _go_on(self, call: OpenCall, failure: str, at_once: bool) -> None:  # noqa: FBT001 - of `retry` alone
        waits_s = _SEARCHES_S if call.link is None else _RETRIES_S
        delays = itertools.chain(waits_s, itertools.repeat(waits_s[-1]))
        if not at_once:
            await asyncio.sleep(next(delays))
        while True:
            async with call.lock:
                if call.id not in self._calls or await self._next_part(call, failure):
                    break
            await asyncio.sleep(next(delays))
        call.retry = None

    async def _next_part(self, call: OpenCall, failure: str) -> bool:
        try:
            if call.link is None:
                await self.begin(call, gap=WORKER_RESTART)
            else:
                await self._roll(call, failure)
        except (OSError, UnavailableError) as error:
            problem = type(error).__name__
            _log.warning(NO_PART, recording=call.id, problem=problem)
            return False
        return True

    async def _roll(self, call: OpenCall, failure: str) -> None:
        failed = call.part
        fd = await self._open_part(call)
        call.note_part(PartReport(part=failed, final=False, failure=failure))
        call.keep()
        order = {"do": "roll", "part": call.part, "gap": _WRITE_ERROR}
        try:
            await self.order(call, order, [fd])
        finally:
            os.close(fd)

    async def _take_over(self, dead: WorkerLink, _: WorkerLink) -> None:
        self._capacity.forget(dead.pid)
        orphans = [call for call in self._calls.values() if call.link is dead]
        await asyncio.gather(*(self._elsewhere(call, dead) for call in orphans))

    async def _elsewhere(self, call: OpenCall, dead: WorkerLink) -> None:
        async with call.lock:
            if call.id not in self._calls or call.link is not dead:
                return
            self._lose_worker(call)
            if call.retry is not None:
                # The part that could not be written went with its worker.
                call.retry.cancel()
                call.retry = None
            if not await self._next_part(call, WORKER_DIED):
                self.retry(call, WORKER_DIED)

    @staticmethod
    def _lose_worker(call: OpenCall) -> None:
        call.lose_worker()
        call.note_part(PartReport(part=call.part, final=False, failure=WORKER_DIED))

    def _later(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
