"""The sweep: every tick, what the kernel has queued becomes sealed records.

A recorder may be 200 ms late, so nothing here wakes up per packet.  Per tick:
epoll says which sockets have data; each is drained with one ``recvmmsg`` into
slots that are capture records already; libsrtp decrypts in the slot; one
gather appends a batch to its call; one ``update`` per call encrypts; one write
per chunk.  No threads, no asyncio, no locks.

Video has ticks of its own in between: a key frame fills a buffer within
milliseconds.  They read and do not seal.

Guarantees: no socket keeps a tick for itself.  Each that has data is read once
before any is read again; a stream that brings more than its share (a sender with
the key at twenty times its rate) waits in the kernel, is counted as such, and loses
its own packets only.

Left to others: what becomes of a datagram (`vault.tap.intake`), when to tick
(`vault.tap.worker`).
"""

import os
import resource
import select
import time
from collections.abc import Callable, Iterator
from typing import Final

from vault.core.ids import RecordingId
from vault.tap.calls import Call, Stream, changed
from vault.tap.capture import Event, stream_members
from vault.tap.config import TapConfig
from vault.tap.consent import Relayed
from vault.tap.intake import Intake
from vault.tap.orders import StreamChange, StreamOrder
from vault.tap.part import Part
from vault.tap.refusals import Refusals
from vault.tap.slots import Slots
from vault.tap.source_lock import SILENT_S, Port
from vault.tap.touched import Touched
from vault.tap.trials import Trials

_EVERYTHING: Final = 40
"Batches: as much as a buffer holds, for a call that ends or changes."
_STRAYS_PER_TICK: Final = 16
"Stray sockets to read per tick: a thousand packets nobody asked for at most."
_STRAYS_LOOKED_AT: Final = 1024
"Of those that have data; epoll names others the next time."

_PORTS_AT_A_TIME: Final = 64
"To read before what they brought is sealed."

_STRAY_BUFFER_BYTES: Final = (64 * 1024, 1024 * 1024)
"Of audio, three seconds; of video, two key frames.  The kernel doubles it for itself."


class Sweep:
    """The calls of one worker and the loop over their sockets."""

    def __init__(
        self, config: TapConfig, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._clock = clock
        self._audio = select.epoll()
        self._video = select.epoll()
        self._strays = select.epoll()
        self._by_fd: dict[int, Port] = {}
        self._by_stray: dict[int, Port] = {}
        self._slots: dict[int, Slots] = {}
        self._touched = Touched()
        refusals = Refusals(config, self._touched)
        self._intake = Intake(refusals, self._touched)
        self._trials = Trials(self._intake, refusals, self._touched)
        self._overlapping: list[Stream] = []
        self._unguarded: list[Port] = []
        "Locked ports without a stray socket."
        self._shared: list[Port] = []
        # A quarter of the descriptors is left for calls to come.
        self._most_fds = resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4
        # Chunks are looked at once per tick: half a tick early beats one late.
        self._flush_after_s = config.flush_age_s - config.tick_s / 2
        self.calls: dict[RecordingId, Call] = {}
        self.failed: list[Call] = []
        "Calls whose part stopped since the worker last looked."
        self.video_streams = 0
        "Streams that `tick_video` is for."

    # -- orders ------------------------------------------------------------

    def add_call(
        self, call: Call, streams: list[tuple[StreamOrder, int, int]], gap: str
    ) -> None:
        """Begin to capture *call*; *streams* come with their two descriptors."""
        self.calls[call.id] = call
        for order, rtp_fd, rtcp_fd in streams:
            self._add(call, order, rtp_fd, rtcp_fd)
        call.note_start(gap)
        self._touched.touch(call)

    def add_stream(
        self, call: Call, order: StreamOrder, rtp_fd: int, rtcp_fd: int
    ) -> None:
        """Receive one more stream in a running call."""
        self._add(call, order, rtp_fd, rtcp_fd)
        call.note(Event.STREAM_ADDED, order.index, stream_members(order))
        self._touched.touch(call)

    def change_stream(self, call: Call, change: StreamChange) -> None:
        """Apply a re-offer to a stream; what came before it counts as before."""
        stream = call.streams[change.index]
        self.drain(call)
        before, after = stream.order, changed(stream.order, change)
        now_s = self._clock()
        has_new_key = _keys(before) != _keys(after)
        if has_new_key:
            stream.rekey(after, now_s + self._config.overlap_s)
            self._overlapping.append(stream)
            call.note(
                Event.REKEY,
                change.index,
                {"stream": change.index, "suite": str(after.suite)},
            )
        stream.order = after
        stream.settle()
        if change.ice is not None and stream.consent is not None:
            stream.consent.renew(change.ice)
        if stream_members(before) != stream_members(after):
            call.note(Event.STREAM_CHANGED, change.index, stream_members(after))
        if before.held != after.held:
            call.note(Event.HOLD if after.held else Event.UNHOLD, change.index)
        if has_new_key:
            # Last: media that overtook the re-offer are of the new payload map.
            self._trials.rekeyed(stream, now_s)
        self._touched.touch(call)

    def pause(self, call: Call, paused: bool) -> None:  # noqa: FBT001 - a state and no option
        """Stop or resume capturing, from what arrives after this."""
        self.drain(call)
        call.pause(paused)
        self._touched.touch(call)

    def roll(self, call: Call, part: Part, gap: str) -> bool:
        """Go on in a new part; whether the old one got its last chunk."""
        self.drain(call)
        final = call.part.finish(self._clock())
        call.part = part
        call.settle()
        call.note_start(gap)
        self._touched.touch(call)
        return final

    def close(self, call: Call, how: str) -> bool:
        """End a call; whether its part got its last chunk."""
        self.drain(call)
        for stream in call.streams.values():
            # Before the last doubt: nothing may be taken in behind the last chunk.
            for port in stream.ports:
                self._close_stray(port)
            self._trials.give_up(stream, self._clock())
        self._write_marked()
        call.note(Event.END, members={"how": how})
        final = call.part.finish(self._clock())
        self.let_go(call)
        return final

    def let_go(self, call: Call) -> None:
        """Forget a call as it is, also one of which a `close` has failed."""
        del self.calls[call.id]
        self._touched.forget(call)
        self._overlapping = [s for s in self._overlapping if s.call is not call]
        call.part.abandon()
        for stream in call.streams.values():
            for port in stream.ports:
                self._remove(port)

    def abandon(self) -> None:
        """Write out what is held, without last chunks: the supervisor is gone."""
        for call in self.calls.values():
            self.drain(call)
            for stream in call.streams.values():
                self._trials.give_up(stream, self._clock())
            call.part.flush(self._clock(), time.time_ns())
            call.part.abandon()
        self._write_marked()

    def _add(self, call: Call, order: StreamOrder, rtp_fd: int, rtcp_fd: int) -> None:
        slots = self._slots.get(order.index)
        if slots is None:
            slots = self._slots[order.index] = Slots(order.index)
        stream = Stream(
            call=call,
            order=order,
            fds=(rtp_fd, rtcp_fd),
            slots=slots,
            max_ssrcs=self._config.max_ssrcs,
        )
        call.streams[order.index] = stream
        if call.page is not None:
            stream.resume(call.page)
        is_video = order.media == "video"
        self.video_streams += is_video
        for port in stream.ports:
            self._by_fd[port.fd] = port
            epoll = self._video if is_video else self._audio
            epoll.register(port.fd, select.EPOLLIN)
            self._settle_lock(port)

    def _remove(self, port: Port) -> None:
        is_video = port.stream.order.media == "video"
        self.video_streams -= is_video and not port.is_rtcp
        self._drop_stray(port)
        (self._video if is_video else self._audio).unregister(port.fd)
        del self._by_fd[port.fd]
        for ports in (self._unguarded, self._shared):
            if port in ports:
                ports.remove(port)
        os.close(port.fd)

    # -- the loop ----------------------------------------------------------

    def tick(self) -> None:
        """Take in what has arrived, seal it, flush what has become old."""
        now_s = self._clock()
        self._read(self._audio, now_s, self._config.audio_batches)
        self._read(self._video, now_s, self._config.video_batches)
        self._read_strays(now_s)
        if self._overlapping:
            self._end_overlaps(now_s)
        if self._touched.doubting:
            self._trials.run(now_s)
        self._tend_locks(now_s)
        self._write_marked()
        self._seal(now_s)
        self._flush_old(now_s)

    def _seal(self, now_s: float) -> None:
        for call in self._touched.dirty:
            call.is_dirty = False
            call.part.seal(now_s)
            if call.part.failure and call.capturing:
                self._stop(call)
        self._touched.dirty.clear()

    def tick_video(self) -> None:
        """Take in video alone; the next `tick` seals it."""
        self._read(self._video, self._clock(), self._config.video_batches)

    def drain(self, call: Call) -> None:
        """Take in what one call has received until now."""
        now_s = self._clock()
        for stream in call.streams.values():
            for port in stream.ports:
                self._intake.drain(port, now_s, _EVERYTHING)
                if port.stray_fd >= 0:
                    self._intake.drain(port, now_s, 1, stray=True)

    def _read(self, epoll: select.epoll, now_s: float, batches: int) -> None:
        by_fd = self._by_fd
        left = [by_fd[fd] for fd, _ in epoll.poll(0, max(len(by_fd), 1))]
        left = self._drain_once(left, now_s, seals=epoll is self._audio)
        # Others have had theirs; half a tick may go to those that have more.
        until_s = now_s + self._config.tick_s / 2
        for _ in range(batches - 1):
            if not left or self._clock() > until_s:
                break
            left = self._drain_once(left, now_s, seals=epoll is self._audio)
        for port in left:
            port.stream.count.over_budget += 1
            self._touched.mark(port.stream)

    def _drain_once(
        self, ports: list[Port], now_s: float, *, seals: bool
    ) -> list[Port]:
        """Take a batch from each of *ports*; return those with more."""
        drain = self._intake.drain
        left: list[Port] = []
        for start in range(0, len(ports), _PORTS_AT_A_TIME):
            some = ports[start : start + _PORTS_AT_A_TIME]
            left += [port for port in some if drain(port, now_s, 1)]
            if seals:
                # While the octets are in the processor's cache; and a worker that
                # dies after a long wait has a batch per call in hand, and no more.
                self._seal(now_s)
        return left

    def _read_strays(self, now_s: float) -> None:
        for port in self._strays_to_read(now_s):
            stream, peer = port.stream, port.peer
            if port.count_strays():
                self._touched.mark(stream)
            if not self._intake.drain(port, now_s, 1, stray=True):
                continue
            if port.peer != peer:
                # The sender has moved, and this is where its packets are.
                self._intake.drain(port, now_s, _EVERYTHING, stray=True)
            elif not stream.order.held and now_s - stream.heard_s > SILENT_S:
                # Only noise here and nothing there: the sender may be in the noise.
                port.dissolve()
                self._settle_lock(port)

    def _strays_to_read(self, now_s: float) -> list[Port]:
        """Return those whose sender may have moved first, then whoever waited longest.

        A spray over thousands of ports must not keep a sender that moved waiting.
        """
        ready = [
            self._by_stray[fd] for fd, _ in self._strays.poll(0, _STRAYS_LOOKED_AT)
        ]
        if len(ready) > _STRAYS_PER_TICK:
            ready.sort(
                key=lambda port: (not _is_missed(port, now_s), port.stray_read_s)
            )
            del ready[_STRAYS_PER_TICK:]
        for port in ready:
            port.stray_read_s = now_s
        return ready

    def _tend_locks(self, now_s: float) -> None:
        moved = self._touched.moved
        while moved:
            self._settle_lock(moved.pop())
        for port in self._unguarded[:]:
            stream = port.stream
            if not stream.order.held and now_s - stream.heard_s > SILENT_S:
                port.dissolve()
                self._settle_lock(port)
        for port in self._shared[:]:
            port.unshare(now_s)
            if not port.is_shared:
                self._shared.remove(port)

    def _settle_lock(self, port: Port) -> None:
        """Bring stray socket and lists in line with a lock that moved."""
        if port in self._unguarded:
            self._unguarded.remove(port)
        if port.is_shared and port not in self._shared:
            self._shared.append(port)
        if not port.peer:
            self._close_stray(port)
            return
        if port.stray_fd >= 0:
            return
        used = len(self._by_fd) + len(self._by_stray) + len(self.calls)
        buffer_bytes = _STRAY_BUFFER_BYTES[port.stream.order.media == "video"]
        if used < self._most_fds and port.open_stray(buffer_bytes):
            self._by_stray[port.stray_fd] = port
            self._strays.register(port.stray_fd, select.EPOLLIN)
        elif port.is_rtcp or port.stream.order.rtcp_mux:
            # Reports are too rare to tell silence from a sender that moved, and
            # those that share the port of media may come from another one.
            port.disable()
        else:
            self._unguarded.append(port)

    def _close_stray(self, port: Port) -> None:
        if port.stray_fd >= 0:
            self._intake.drain(port, self._clock(), _EVERYTHING, stray=True)
            if port.count_strays():
                self._touched.mark(port.stream)
            self._drop_stray(port)

    def _drop_stray(self, port: Port) -> None:
        if port.stray_fd >= 0:
            self._strays.unregister(port.stray_fd)
            del self._by_stray[port.stray_fd]
            port.close_stray()

    def _write_marked(self) -> None:
        for stream in self._touched.marked:
            stream.is_marked = False
            if stream.call.page is not None:
                stream.call.page.note_counts(stream.order.index, bytes(stream.count))
        self._touched.marked.clear()

    def _flush_old(self, now_s: float) -> None:
        limit = now_s - self._flush_after_s
        now_ns = time.time_ns()
        for call in self.calls.values():
            if 0.0 < call.part.opened_s <= limit:
                call.part.flush(now_s, now_ns)
                if call.part.failure:
                    self._stop(call)

    def _stop(self, call: Call) -> None:
        call.settle()
        self.failed.append(call)

    def _end_overlaps(self, now_s: float) -> None:
        for stream in self._overlapping:
            if now_s >= stream.previous_until_s:
                stream.previous = None
        self._overlapping = [s for s in self._overlapping if s.previous is not None]

    def take_relayed(self) -> list[Relayed]:
        """Return the DTLS that came since the last time, for another handshake."""
        relayed, self._touched.relayed = self._touched.relayed, []
        return relayed

    def streams(self) -> Iterator[Stream]:
        """Yield every stream of every call."""
        for call in self.calls.values():
            yield from call.streams.values()


def _is_missed(port: Port, now_s: float) -> bool:
    stream = port.stream
    return not (port.is_rtcp or stream.order.held or now_s - stream.heard_s <= SILENT_S)


def _keys(order: StreamOrder) -> tuple[object, ...]:
    return order.suite, order.key, order.mkis
