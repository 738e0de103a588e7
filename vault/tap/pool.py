"""The supervisor's side of the tap: sockets, and calls among the workers.

Guarantees:
    * Nothing here waits for a disk or a worker on the event loop.
    * A worker that dies or hangs is replaced; its calls go on in their next part, and
      what arrived meanwhile waits in the kernel.
    * The SRTP keys and the data key of a call stay here, and on the call's page, until
      it is forgotten: a new worker can take it over, and so can a new supervisor.
    * What `adopt` gives back goes on in the same part where its worker lives, and in
      the next one where only the descriptor store has it.

Left to others: part files (`CallOrder.open_part`), envelopes and manifests
(`vault.recorder`), sessions (`vault.sip`, `vault.forks`), processes (`vault.tap.crew`).
"""

import asyncio
import contextlib
import dataclasses
import itertools
import socket
import time
from collections.abc import Callable, Coroutine

from vault import process
from vault.core.errors import NotFoundError, SpoolFullError, UnavailableError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.tap import adoption, control
from vault.tap.adoption import Adopted
from vault.tap.calls import changed
from vault.tap.capture import Event
from vault.tap.config import TapConfig
from vault.tap.crew import WORKER_DIED, WORKER_REFUSED
from vault.tap.interfaces import DescriptorStore, Hear
from vault.tap.link import WorkerDiedError, WorkerRefusedError
from vault.tap.open_call import MAX_RECORDER_STATE, OpenCall, running_totals
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
from vault.tap.placement import Placement
from vault.tap.sockets import PortAllocator
from vault.tap.standing import TapStanding, Totals


class MediaPool:
    """Implements `vault.tap.interfaces.MediaTap`."""

    def __init__(
        self, config: TapConfig, *, store: DescriptorStore | None = None
    ) -> None:
        self._config = config
        self._store = store
        self._sockets = PortAllocator(
            address=config.listen,
            ports=config.ports,
            buffer_bytes=config.audio_buffer_bytes,
            cool_down_s=config.cool_down_s,
            clock=time.monotonic,
        )
        self._calls: dict[RecordingId, OpenCall] = {}
        self._ended: dict[RecordingId, OpenCall] = {}
        "Until they are forgotten."
        self._totals = Totals()
        "Of calls that have ended."
        self._placement = Placement(config, self._sockets, self._calls)
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life --------------------------------------------------------------

    async def adopt(
        self, open_part: Callable[[RecordingId], Callable[[int], int]]
    ) -> tuple[Adopted, ...]:
        """Take over what an earlier supervisor had opened; see `MediaTap.adopt`."""
        process.raise_descriptor_limit()
        found: list[OpenCall] = []
        for link, handed in await self._placement.crew.meet():
            for one in handed:
                call = adoption.from_worker(
                    one, link, sockets=self._sockets, parts=open_part
                )
                if call is not None:
                    found.append(call)
                    with contextlib.suppress(WorkerRefusedError):
                        # The call goes on as it was, and the tap has to start.
                        await self._placement.restate(call, one.said)
        if self._store is not None:
            stored, strays = adoption.from_store(
                self._store.handed_back(),
                [call.id for call in found],
                sockets=self._sockets,
                parts=open_part,
            )
            found += stored
            for name in strays:
                self._store.drop(name)
        for call in found:
            (self._calls if call.how is None else self._ended)[call.id] = call
        return tuple(Adopted(recording_id=c.id, state=c.state) for c in found)

    async def start(self) -> None:
        """Start the workers that are missing; returns when all of them are ready.

        Raises:
            UnavailableError: A worker did not come up.
        """
        process.raise_descriptor_limit()
        await self._placement.start()

    async def stop(self) -> None:
        """Stop the workers; calls still open keep what was written of them."""
        for task in self._tasks:
            task.cancel()
        await self._placement.stop()
        self._sockets.close()
        for call in (*self._calls.values(), *self._ended.values()):
            self._drop(call)
        self._calls.clear()
        self._ended.clear()

    @property
    def missing(self) -> tuple[str, ...]:
        """What hardening the workers could not get, for readiness to say."""
        return tuple(
            sorted({m for link in self._placement.crew.links for m in link.missing})
        )

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers at work."""
        return tuple(link.pid for link in self._placement.crew.links if link.is_alive)

    # -- room and ports ----------------------------------------------------

    def check(self, streams: int) -> None:
        """Find out whether a call could be kept up with; see `MediaTap.check`."""
        self._placement.check(streams)

    def standing(self) -> TapStanding:
        """Return figures for metrics and readiness; asks no worker."""
        return TapStanding(
            calls=len(self._calls),
            workers=tuple(self._placement.loads()),
            workers_wanted=self._config.worker_count,
            streams_per_worker=self._config.streams_per_worker,
            free_pairs=self._sockets.free,
            totals=self._totals + running_totals(self._calls.values(), self._drops),
        )

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

    def media_socket(self, ports: PortPair) -> socket.socket:
        """Return a reserved pair's media socket; see `MediaTap.media_socket`."""
        return self._sockets.bound(ports).rtp

    def release(self, ports: list[PortPair]) -> None:
        """Give back pairs that no call uses."""
        for pair in ports:
            self._sockets.give_back(pair)

    # -- calls -------------------------------------------------------------

    async def open_call(self, order: CallOrder) -> None:
        """Start to capture; see `MediaTap.open_call`."""
        if order.recording_id in self._calls:
            raise ValueError(f"call {order.recording_id} is open already")
        work = asyncio.create_task(self._open_call(order))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            # Whoever asked is gone: what was begun is finished, and then undone.
            with contextlib.suppress(UnavailableError):
                await work
                await self.close_call(order.recording_id, HowEnded.CUT)
                self.forget(order.recording_id)
            raise

    async def _open_call(self, order: CallOrder) -> None:
        call: OpenCall | None = None
        try:
            call = OpenCall.begin(order)
            self._calls[call.id] = call
            for stream in order.streams:
                self._fit_buffer(stream)
            async with call.lock:
                await self._placement.begin(call, gap="")
            self._keep(call)
        except (OSError, UnavailableError) as error:
            self.release([stream.ports for stream in order.streams])
            if call is not None:
                del self._calls[call.id]
                self._drop(call)
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
            call.keep()
            order = {"do": "change", "change": control.change_fields(change)}
            await self._placement.order(call, order)

    async def relay(
        self, recording_id: RecordingId, index: int, hear: Hear | None
    ) -> None:
        """Hand over DTLS of a running stream; see `MediaTap.relay`."""
        name = (recording_id, index)
        self._placement.hearers.pop(name, None)
        change = StreamChange(index=index, relays=hear is not None)
        await self.change_stream(recording_id, change)
        if hear is not None:
            self._placement.hearers[name] = hear

    async def add_streams(
        self, recording_id: RecordingId, streams: tuple[StreamOrder, ...]
    ) -> None:
        """Receive further m-lines; see `MediaTap.add_streams`."""
        call = self._call(recording_id)
        async with call.lock:
            fds = []
            for stream in streams:
                self._fit_buffer(stream)
                fds += self._placement.fds(stream)
            call.add(streams)
            call.keep()
            if self._store is not None:
                self._store.keep(call.stored_as, fds)
            added = {"streams": [control.stream_fields(stream) for stream in streams]}
            try:
                await self._placement.order(call, {"do": "add", **added}, fds)
            except WorkerRefusedError:
                call.remove(streams)
                call.keep()
                raise

    async def pause(self, recording_id: RecordingId, paused: bool) -> None:  # noqa: FBT001 - a state and no option
        """Stop or resume capturing; see `MediaTap.pause`."""
        call = self._call(recording_id)
        async with call.lock:
            call.paused = paused
            call.keep()
            await self._placement.order(call, {"do": "pause", "paused": paused})

    async def note(self, recording_id: RecordingId, index: int, event: Event) -> None:
        """Add an event to the capture; see `MediaTap.note`."""
        call = self._call(recording_id)
        async with call.lock:
            order = {"do": "note", "stream": index, "event": event}
            await self._placement.order(call, order)

    def keep_state(self, recording_id: RecordingId, state: bytes) -> None:
        """Remember *state* beside the call; see `MediaTap.keep_state`."""
        if len(state) > MAX_RECORDER_STATE:
            raise ValueError(f"a state of {len(state)} octets")
        call = self._calls.get(recording_id) or self._ended.get(recording_id)
        if call is not None:
            call.state = state
            call.keep()

    async def counters(self, recording_id: RecordingId) -> tuple[StreamCounters, ...]:
        """Return the counters of every stream; see `MediaTap.counters`."""
        call = self._call(recording_id)
        async with call.lock:
            self._call(recording_id)
            await self._placement.order(call, {"do": "count"})
            return self._counted(call)

    def recent_counters(self, recording_id: RecordingId) -> tuple[StreamCounters, ...]:
        """Return them as last reported; see `MediaTap.recent_counters`."""
        return self._counted(self._call(recording_id))

    async def close_call(
        self, recording_id: RecordingId, how: HowEnded = HowEnded.BYE
    ) -> CallReport:
        """End a call; see `MediaTap.close_call`."""
        ended = self._ended.get(recording_id)
        if ended is not None and not ended.claimed:
            # It was closed for a supervisor that did not live to hear of it.
            ended.claimed = True
            return ended.report(self._counted(ended))
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
                self._ended[recording_id] = call
                call.charge(0)
                self.release([stream.ports for stream in call.streams.values()])

    def forget(self, recording_id: RecordingId) -> None:
        """Drop what is kept of a call that has ended; see `MediaTap.forget`."""
        call = self._ended.pop(recording_id, None)
        if call is None:
            return
        if call.link is not None:
            self._later(self._placement.order(call, {"do": "forget"}))
        self._drop(call)

    async def _close(self, call: OpenCall, how: HowEnded) -> CallReport:
        call.claimed = True
        for index in call.streams:
            self._placement.hearers.pop((call.id, index), None)
        drops = {i: self._drops(stream) for i, stream in call.streams.items()}
        order = {"do": "close", "how": str(how), "straggle_s": self._config.straggle_s}
        part = PartReport(part=call.part, final=False, failure=WORKER_DIED)
        try:
            if call.link is not None:
                answer = await call.link.request({"call": call.id, **order})
                part, how = control.part_of(answer["part"]), HowEnded(answer["how"])
                drops = {i: self._drops(stream) for i, stream in call.streams.items()}
        except WorkerDiedError:
            call.lose_worker()
        except WorkerRefusedError:
            # It does not know the call, so it has written all that will be.
            how, part = HowEnded.CUT, dataclasses.replace(part, failure=WORKER_REFUSED)
        call.note_end(how, part, drops)
        self._totals += Totals.of(self._counted(call))
        # The ports have to become free; the page is wanted until the manifest is.
        if self._store is not None:
            self._store.drop(call.stored_as)
            self._store.keep(call.stored_as, [call.page.fd])
        return call.report(self._counted(call))

    # -- inside ------------------------------------------------------------

    def _call(self, recording_id: RecordingId) -> OpenCall:
        call = self._calls.get(recording_id)
        if call is None:
            raise NotFoundError(f"no call {recording_id}")
        return call

    def _counted(self, call: OpenCall) -> tuple[StreamCounters, ...]:
        counted = []
        for index, stream in sorted(call.streams.items()):
            seen, ended = call.counted(index), call.how is not None
            drops = call.drops.get(index, 0) if ended else self._drops(stream)
            counted.append(dataclasses.replace(seen, kernel_drops=drops))
        return tuple(counted)

    def _drops(self, stream: StreamOrder) -> int:
        return self._sockets.bound(stream.ports).drops()

    def _fit_buffer(self, stream: StreamOrder) -> None:
        if stream.media == "video":
            self._sockets.bound(stream.ports).widen(self._config.video_buffer_bytes)

    def _keep(self, call: OpenCall) -> None:
        if self._store is not None:
            fds = [self._placement.fds(stream) for stream in call.streams.values()]
            self._store.keep(call.stored_as, [call.page.fd, *itertools.chain(*fds)])

    def _drop(self, call: OpenCall) -> None:
        if self._store is not None:
            self._store.drop(call.stored_as)
        call.page.close()

    def _later(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
