"""The supervisor's side of the tap: sockets, workers, and calls among them.

Guarantees:
    * Nothing here waits for a disk or a worker on the event loop.
    * A worker that dies is replaced; its calls go on in their next part, and
      what arrived meanwhile waits in the kernel.
    * The SRTP keys and the data key of a call stay here until it is closed, so
      that a new worker can take it over.

Left to others: part files (`CallOrder.open_part`), envelopes and manifests
(`vault.recorder`), sessions (`vault.sip`, `vault.forks`).
"""

import asyncio
import dataclasses
import os
import time
from collections.abc import Coroutine
from typing import Final

import structlog

from vault.core.errors import NotFoundError, SpoolFullError, UnavailableError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.tap import control
from vault.tap.calls import changed
from vault.tap.config import TapConfig
from vault.tap.control import Fields, Snapshot
from vault.tap.link import WorkerDiedError, WorkerLink
from vault.tap.open_call import OpenCall, nothing_yet
from vault.tap.orders import (
    MAX_STREAMS_PER_CALL,
    CallOrder,
    CallReport,
    PartReport,
    PortPair,
    StreamChange,
    StreamCounters,
    StreamOrder,
)
from vault.tap.sockets import PortAllocator
from vault.tap.worker import raise_descriptor_limit

WORKER_DIED: Final = "media-worker-died"
PART_FAILED: Final = "capture-part-failed"
NO_PART: Final = "capture-part-not-opened"

_WORKER_RESTART: Final = "worker-restart"
_WRITE_ERROR: Final = "write-error"
_RETRIES_S: Final = (2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0)
_SHORTEST_LIFE_S: Final = 2.0

_log = structlog.get_logger()


class MediaPool:
    """Implements `vault.tap.interfaces.MediaTap`."""

    def __init__(self, config: TapConfig) -> None:
        self._config = config
        self._sockets = PortAllocator(
            address=config.listen,
            ports=config.ports,
            buffer_bytes=config.audio_buffer_bytes,
            cool_down_s=config.cool_down_s,
            clock=time.monotonic,
        )
        self._links: list[WorkerLink] = []
        self._turn = 0
        self._calls: dict[RecordingId, OpenCall] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopping = False

    # -- life --------------------------------------------------------------

    async def start(self) -> None:
        """Start the workers; returns when all of them are ready.

        Raises:
            UnavailableError: A worker did not come up.
        """
        raise_descriptor_limit()
        self._links = [self._spawn() for _ in range(self._config.worker_count)]
        for link in self._links:
            await link.ready()

    async def stop(self) -> None:
        """Stop the workers; calls still open keep what was written of them."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(link.stop() for link in self._links))
        self._sockets.close()
        self._calls.clear()

    @property
    def missing(self) -> tuple[str, ...]:
        """What hardening the workers could not get, for readiness to say."""
        return tuple(sorted({m for link in self._links for m in link.missing}))

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers at work."""
        return tuple(link.pid for link in self._links if link.is_alive)

    def _spawn(self) -> WorkerLink:
        return WorkerLink(
            config=self._config,
            on_counters=self._on_counters,
            on_tell=self._on_tell,
            on_death=self._on_death,
        )

    # -- ports -------------------------------------------------------------

    def reserve(self, streams: int) -> list[PortPair]:
        """Bind two ports for each of *streams* streams; see `MediaTap.reserve`."""
        if not 0 < streams <= MAX_STREAMS_PER_CALL:
            raise SpoolFullError(f"{streams} streams in one call")
        taken: list[PortPair] = []
        try:
            for _ in range(streams):
                taken.append(self._sockets.take().ports)  # noqa: PERF401 - what was taken is given back on failure
        except SpoolFullError:
            self.release(taken)
            raise
        return taken

    def release(self, ports: list[PortPair]) -> None:
        """Give back pairs that no call uses."""
        for pair in ports:
            self._sockets.give_back(pair)

    # -- calls -------------------------------------------------------------

    async def open_call(self, order: CallOrder) -> None:
        """Start to capture; see `MediaTap.open_call`."""
        if order.recording_id in self._calls:
            raise ValueError(f"call {order.recording_id} is open already")
        call = OpenCall(order, self._next_link())
        self._calls[order.recording_id] = call
        try:
            for stream in order.streams:
                self._fit_buffer(stream)
            async with call.lock:
                await self._begin_part(call, gap="")
        except (OSError, UnavailableError) as error:
            del self._calls[order.recording_id]
            self.release([stream.ports for stream in order.streams])
            raise UnavailableError("the call could not be captured") from error

    async def change_stream(
        self, recording_id: RecordingId, change: StreamChange
    ) -> None:
        """Re-key, re-map, hold or unhold; see `MediaTap.change_stream`."""
        call = self._call(recording_id)
        async with call.lock:
            if change.index not in call.streams:
                raise NotFoundError(f"no stream {change.index} in {recording_id}")
            call.streams[change.index] = changed(call.streams[change.index], change)
            order = {"do": "change", "change": control.change_fields(change)}
            await self._order(call, order)

    async def add_streams(
        self, recording_id: RecordingId, streams: tuple[StreamOrder, ...]
    ) -> None:
        """Receive further m-lines; see `MediaTap.add_streams`."""
        call = self._call(recording_id)
        async with call.lock:
            fds = []
            for stream in streams:
                self._fit_buffer(stream)
                call.streams[stream.index] = stream
                call.earlier[stream.index] = nothing_yet(stream)
                fds += self._fds(stream)
            fields = [control.stream_fields(stream) for stream in streams]
            await self._order(call, {"do": "add", "streams": fields}, fds)

    async def pause(self, recording_id: RecordingId, paused: bool) -> None:  # noqa: FBT001 - a state and no option
        """Stop or resume capturing; see `MediaTap.pause`."""
        call = self._call(recording_id)
        async with call.lock:
            call.paused = paused
            await self._order(call, {"do": "pause", "paused": paused})

    async def counters(self, recording_id: RecordingId) -> tuple[StreamCounters, ...]:
        """Return the counters of every stream; see `MediaTap.counters`."""
        call = self._call(recording_id)
        async with call.lock:
            await self._order(call, {"do": "count"})
            return self._counted(call)

    async def close_call(
        self, recording_id: RecordingId, how: HowEnded = HowEnded.BYE
    ) -> CallReport:
        """End a call; see `MediaTap.close_call`."""
        call = self._call(recording_id)
        async with call.lock:
            # Another close may have been first.
            self._call(recording_id)
            if call.retry is not None:
                call.retry.cancel()
            try:
                return await self._close(call, how)
            finally:
                del self._calls[recording_id]
                self.release([stream.ports for stream in call.streams.values()])

    async def _close(self, call: OpenCall, how: HowEnded) -> CallReport:
        order = {"do": "close", "how": str(how), "straggle_s": self._config.straggle_s}
        recording_id = call.order.recording_id
        try:
            answer = await call.link.request({"call": recording_id, **order})
            self._note_part(call, answer["final"], answer["failure"])
        except WorkerDiedError:
            self._note_part(call, False, WORKER_DIED)
        return CallReport(
            recording_id=recording_id,
            parts=tuple(call.done),
            streams=self._counted(call),
            how=how,
        )

    def _call(self, recording_id: RecordingId) -> OpenCall:
        call = self._calls.get(recording_id)
        if call is None:
            raise NotFoundError(f"no call {recording_id}")
        return call

    def _next_link(self) -> WorkerLink:
        for _ in self._links:
            link = self._links[self._turn % len(self._links)]
            self._turn += 1
            if link.is_alive:
                return link
        raise UnavailableError("no media worker is running")

    async def _order(
        self, call: OpenCall, order: Fields, fds: list[int] | None = None
    ) -> None:
        try:
            await call.link.request({"call": call.order.recording_id, **order}, fds)
        except WorkerDiedError:
            # The call's new state is recorded here; a new worker starts from it.
            return

    async def _begin_part(self, call: OpenCall, gap: str) -> None:
        """Open the next part at the call's worker, as a new call to that worker."""
        fd = await self._open_part(call)
        try:
            fds = [fd]
            for stream in call.streams.values():
                fds += self._fds(stream)
            order: Fields = {
                "do": "open",
                "call": call.order.recording_id,
                "part": call.part,
                "dek": control.octets_field(call.order.dek),
                "paused": call.paused,
                "gap": gap,
                "streams": [control.stream_fields(s) for s in call.streams.values()],
            }
            await call.link.request(order, fds)
        finally:
            os.close(fd)

    async def _open_part(self, call: OpenCall) -> int:
        fd = await asyncio.to_thread(call.order.open_part, call.part + 1)
        call.part += 1
        return fd

    def _note_part(self, call: OpenCall, final: bool, failure: str) -> None:  # noqa: FBT001 - as the worker says it
        report = PartReport(part=call.part, final=final, failure=failure)
        call.done.append(report)
        call.settle()

    def _counted(self, call: OpenCall) -> tuple[StreamCounters, ...]:
        counted = []
        for index, stream in sorted(call.streams.items()):
            total = call.earlier[index]
            if index in call.latest:
                total = call.latest[index].add_to(total)
            drops = self._sockets.bound(stream.ports).drops()
            counted.append(
                dataclasses.replace(
                    total,
                    kernel_drops=drops,
                    suite=stream.suite,
                    payloads=stream.payloads,
                )
            )
        return tuple(counted)

    def _fds(self, stream: StreamOrder) -> list[int]:
        pair = self._sockets.bound(stream.ports)
        return [pair.rtp.fileno(), pair.rtcp.fileno()]

    def _fit_buffer(self, stream: StreamOrder) -> None:
        if stream.media == "video":
            self._sockets.bound(stream.ports).widen(self._config.video_buffer_bytes)

    # -- what workers say --------------------------------------------------

    def _on_counters(self, snapshot: Snapshot) -> None:
        call = self._calls.get(snapshot.recording_id)
        if call is not None and call.part == snapshot.part:
            call.latest[snapshot.index] = snapshot

    def _on_tell(self, fields: Fields) -> None:
        if fields["tell"] != "failed":
            return
        call = self._calls.get(RecordingId(fields["call"]))
        if call is None or call.part != fields["part"] or call.retry is not None:
            return
        _log.error(PART_FAILED, recording=fields["call"], failure=fields["failure"])
        call.retry = self._later(self._go_on(call, fields["failure"]))

    async def _go_on(self, call: OpenCall, failure: str) -> None:
        """Try to open another part for a call whose part could not be written."""
        for delay_s in _RETRIES_S:
            await asyncio.sleep(delay_s)
            async with call.lock:
                if await self._roll(call, failure):
                    break
        call.retry = None

    async def _roll(self, call: OpenCall, failure: str) -> bool:
        failed = call.part
        try:
            fd = await self._open_part(call)
        except (OSError, UnavailableError):
            _log.warning(NO_PART, recording=call.order.recording_id)
            return False
        call.done.append(PartReport(part=failed, final=False, failure=failure))
        order = {"do": "roll", "part": call.part, "gap": _WRITE_ERROR}
        try:
            await self._order(call, order, [fd])
        finally:
            os.close(fd)
        return True

    def _on_death(self, link: WorkerLink) -> None:
        if self._stopping or link not in self._links:
            return
        _log.error(WORKER_DIED, pid=link.pid, lived_s=round(link.age_s, 1))
        self._later(self._replace(link))

    async def _replace(self, dead: WorkerLink) -> None:
        if dead.age_s < _SHORTEST_LIFE_S:
            # A worker that cannot start must not take the machine with it.
            await asyncio.sleep(_SHORTEST_LIFE_S)
        fresh = self._spawn()
        self._links[self._links.index(dead)] = fresh
        orphans = [call for call in self._calls.values() if call.link is dead]
        for call in orphans:
            call.link = fresh
        await asyncio.gather(*(self._take_over(call) for call in orphans))

    async def _take_over(self, call: OpenCall) -> None:
        async with call.lock:
            if call.order.recording_id not in self._calls:
                return
            self._note_part(call, False, WORKER_DIED)
            if call.retry is not None:
                # The part that could not be written went with its worker.
                call.retry.cancel()
                call.retry = None
            try:
                await self._begin_part(call, gap=_WORKER_RESTART)
            except (OSError, UnavailableError) as error:
                recording = call.order.recording_id
                _log.error(NO_PART, recording=recording, error=type(error).__name__)

    def _later(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
