"""The sweep: every tick, what the kernel has queued becomes sealed records.

A recorder may be 200 ms late, so nothing here wakes up per packet.  Per tick:
epoll says which sockets have data; each is drained with one ``recvmmsg`` into
slots that are capture records already; libsrtp decrypts in the slot; one
gather appends a batch to its call; one ``update`` per call encrypts; one write
per chunk.  No threads, no asyncio, no locks.

The way of one datagram, in the order in which trust is decided:

1. It fits into a slot (else ``oversize``).
2. Its first octet says RTP version 2 (else ``not-rtp``), its size allows the
   headers (else ``too-short``), its second octet tells RTP from RTCP.
3. Its tag is right under the key, or for two seconds after a re-key under the
   previous one (else ``unauthenticated``, ``replayed`` or ``too-old``).
4. Its SSRC is one of at most eight at work (else ``ssrc-limit``).
5. The call is not paused (else it is counted and discarded).

A batch in which every datagram passes 1, 2 and 3 at once is the rule and has a
path of its own; both paths count the same.

Guarantees: no datagram raises; no socket keeps a tick for itself.

Left to others: when to tick (`vault.tap.worker`).
Spec: RFC 3711, RFC 5761 section 4, RFC 7983 section 7.
"""

import os
import select
import struct
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from vault.core.ids import RecordingId
from vault.tap import rtcp, srtp
from vault.tap.calls import Call, Stream, changed
from vault.tap.capture import HEADER_SIZE, Event, Kind, stream_members
from vault.tap.config import TapConfig
from vault.tap.judging import is_ordinary, unfit
from vault.tap.orders import Rejection, StreamChange, StreamOrder
from vault.tap.part import Part
from vault.tap.rtp import FIXED_SIZE, RTCP_SECOND_OCTETS
from vault.tap.slots import BATCH, Slots

_MOST_BATCHES: Final = 40
"""Per socket and tick: 12,800 packets/s at 200 ms.  A flood beyond that is left
to the kernel, which drops and counts it."""

_MOST_RTCP_SSRCS: Final = 64
_SEQ_AND_SSRC: Final = struct.Struct(">2xH4xI")


class Sweep:
    """The calls of one worker and the loop over their sockets."""

    def __init__(self, config: TapConfig) -> None:
        self._config = config
        self._epoll = select.epoll()
        self._by_fd: dict[int, Stream] = {}
        self._slots: dict[int, Slots] = {}
        self._dirty: list[Call] = []
        self._overlapping: list[Stream] = []
        # Chunks are looked at once per tick: half a tick early beats one late.
        self._flush_after_s = config.flush_age_s - config.tick_s / 2
        self.calls: dict[RecordingId, Call] = {}
        self.failed: list[Call] = []
        "Calls whose part stopped since the worker last looked."

    # -- orders ------------------------------------------------------------

    def add_call(
        self, call: Call, streams: list[tuple[StreamOrder, int, int]], gap: str
    ) -> None:
        """Begin to capture *call*; *streams* come with their two descriptors."""
        self.calls[call.id] = call
        for order, rtp_fd, rtcp_fd in streams:
            self._add(call, order, rtp_fd, rtcp_fd)
        call.note_start(gap)
        self._touch(call)

    def add_stream(
        self, call: Call, order: StreamOrder, rtp_fd: int, rtcp_fd: int
    ) -> None:
        """Receive one more stream in a running call."""
        self._add(call, order, rtp_fd, rtcp_fd)
        call.note(Event.STREAM_ADDED, order.index, stream_members(order))
        self._touch(call)

    def change_stream(self, call: Call, change: StreamChange) -> None:
        """Apply a re-offer to a stream; what came before it counts as before."""
        stream = call.streams[change.index]
        self.drain(call)
        before, after = stream.order, changed(stream.order, change)
        if change.key is not None and before.key != after.key:
            stream.rekey(after, time.monotonic() + self._config.overlap_s)
            self._overlapping.append(stream)
            call.note(
                Event.REKEY,
                change.index,
                {"stream": change.index, "suite": str(after.suite)},
            )
        stream.order = after
        if stream_members(before) != stream_members(after):
            call.note(Event.STREAM_CHANGED, change.index, stream_members(after))
        if before.held != after.held:
            call.note(Event.HOLD if after.held else Event.UNHOLD, change.index)
        self._touch(call)

    def pause(self, call: Call, paused: bool) -> None:  # noqa: FBT001 - a state and no option
        """Stop or resume capturing, from what arrives after this."""
        self.drain(call)
        call.pause(paused)
        self._touch(call)

    def roll(self, call: Call, part: Part, gap: str) -> bool:
        """Go on in a new part; whether the old one got its last chunk."""
        self.drain(call)
        final = call.part.finish(time.monotonic())
        call.part = part
        call.settle()
        call.note_start(gap)
        self._touch(call)
        return final

    def close(self, call: Call, how: str) -> bool:
        """End a call; whether its part got its last chunk."""
        self.drain(call)
        call.note(Event.END, members={"how": how})
        final = call.part.finish(time.monotonic())
        for stream in call.streams.values():
            for fd in stream.fds:
                self._epoll.unregister(fd)
                del self._by_fd[fd]
                os.close(fd)
        if call.is_dirty:
            self._dirty.remove(call)
        self._overlapping = [s for s in self._overlapping if s.call is not call]
        del self.calls[call.id]
        return final

    def abandon(self) -> None:
        """Write out what is held, without last chunks: the supervisor is gone."""
        for call in self.calls.values():
            self.drain(call)
            call.part.flush(time.monotonic(), time.time_ns())
            call.part.abandon()

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
        for fd in stream.fds:
            self._by_fd[fd] = stream
            self._epoll.register(fd, select.EPOLLIN)

    def _touch(self, call: Call) -> None:
        if not call.is_dirty:
            call.is_dirty = True
            self._dirty.append(call)

    # -- the loop ----------------------------------------------------------

    def tick(self) -> None:
        """Take in what has arrived, seal it, flush what has become old."""
        now_s = time.monotonic()
        by_fd = self._by_fd
        for fd, _ in self._epoll.poll(0, max(len(by_fd), 1)):
            self._drain(fd, by_fd[fd], now_s)
        if self._overlapping:
            self._end_overlaps(now_s)
        for call in self._dirty:
            call.is_dirty = False
            call.part.seal(now_s)
            if call.part.failure and call.capturing:
                self._stop(call)
        self._dirty.clear()
        self._flush_old(now_s)

    def drain(self, call: Call) -> None:
        """Take in what one call has received until now."""
        now_s = time.monotonic()
        for stream in call.streams.values():
            for fd in stream.fds:
                self._drain(fd, stream, now_s)

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

    def _drain(self, fd: int, stream: Stream, now_s: float) -> None:
        slots = stream.slots
        for _ in range(_MOST_BATCHES):
            count = slots.receive(fd)
            if count <= 0:
                return
            lengths = slots.lengths_of[count](slots.hdrs)
            if stream.previous is None and is_ordinary(slots, count, lengths):
                self._take_batch(stream, count, lengths, now_s)
            else:
                for i in range(count):
                    self._take_one(stream, i, lengths[i], now_s)
            if count < BATCH:
                return

    def _take_batch(
        self, stream: Stream, count: int, lengths: tuple[int, ...], now_s: float
    ) -> None:
        slots = stream.slots
        room = max(lengths)
        session = stream.session
        verbatim = slots.packets(count, room) if session.spoils else b""
        status = session.unprotect_batch(slots, count)
        if any(status):
            for i, code in enumerate(status):
                if code == srtp.STATUS_OK:
                    self._accept(stream, i, now_s)
                    continue
                packet: bytes | memoryview = slots.packet(i, lengths[i])
                if verbatim:
                    packet = verbatim[i * room : i * room + lengths[i]]
                self._refuse(stream, i, code, packet)
            return
        if not self._accept_batch(stream, count, now_s):
            for i in range(count):
                self._accept(stream, i, now_s)

    def _accept_batch(self, stream: Stream, count: int, now_s: float) -> bool:
        """Capture a batch of one length and one known SSRC, else change nothing."""
        slots = stream.slots
        lengths = slots.lengths_of[count](slots.hdrs)
        length = lengths[0]
        if lengths.count(length) != count:
            return False
        records = slots.gather(count, length)
        fields = _fields(count, length)(records)
        track = stream.count.ssrcs.tracks.get(fields[1])
        if track is None or fields[1::2].count(fields[1]) != count:
            return False
        track.add_batch(fields[::2], now_s)
        stream.count.authentic += count
        self._capture(stream, records, count)
        return True

    def _capture(self, stream: Stream, records: bytes, count: int) -> None:
        call = stream.call
        if not call.capturing:
            stream.count.not_captured += count
            return
        call.part.buffer += records
        if not call.is_dirty:
            call.is_dirty = True
            self._dirty.append(call)

    # -- one datagram at a time --------------------------------------------

    def _take_one(self, stream: Stream, i: int, length: int, now_s: float) -> None:
        slots = stream.slots
        reason = unfit(slots, i, length)
        if reason is not None:
            stream.count.reject(reason)
            return
        packet = bytes(slots.packet(i, length))
        if packet[1] in RTCP_SECOND_OCTETS:
            self._take_rtcp(stream, i, packet)
            return
        code = self._try(stream, i, packet)
        if code == srtp.STATUS_OK:
            self._accept(stream, i, now_s)
        else:
            self._refuse(stream, i, code, packet)

    @staticmethod
    def _try(stream: Stream, i: int, packet: bytes, *, rtcp: bool = False) -> int:
        slots, session, previous = stream.slots, stream.session, stream.previous
        unprotect = session.unprotect_rtcp if rtcp else session.unprotect
        code = unprotect(slots, i)
        if code == srtp.STATUS_OK or previous is None:
            return code
        # The sender may not have changed its key yet; the first try may have
        # spoilt the packet.
        slots.restore(i, packet)
        unprotect = previous.unprotect_rtcp if rtcp else previous.unprotect
        return unprotect(slots, i)

    def _accept(self, stream: Stream, i: int, now_s: float) -> None:
        slots = stream.slots
        octets = slots.packet(i, slots.length(i))
        seq, ssrc = _SEQ_AND_SSRC.unpack_from(octets)
        if not stream.count.ssrcs.count(ssrc, seq, now_s):
            stream.count.reject(Rejection.SSRC_LIMIT)
            stream.forget(ssrc)
            return
        stream.count.authentic += 1
        self._capture(stream, slots.record(i, Kind.RTP, octets), 1)

    def _refuse(
        self, stream: Stream, i: int, code: int, packet: bytes | memoryview
    ) -> None:
        reason = srtp.rejection_of(code)
        count = stream.count
        count.reject(reason)
        keeps = (
            reason is not Rejection.REPLAYED
            and stream.call.capturing
            and count.kept < self._config.kept_packets
            and count.kept_octets + len(packet) <= self._config.kept_octets
        )
        if keeps:
            count.kept += 1
            count.kept_octets += len(packet)
            record = stream.slots.record(i, Kind.UNDECRYPTABLE, packet)
            self._capture(stream, record, 0)

    def _take_rtcp(self, stream: Stream, i: int, packet: bytes) -> None:
        if len(packet) < rtcp.MINIMUM_SIZE:
            stream.count.reject(Rejection.TOO_SHORT)
            return
        code = self._try(stream, i, packet, rtcp=True)
        if code != srtp.STATUS_OK:
            replayed = srtp.rejection_of(code) is not Rejection.UNAUTHENTICATED
            stream.count.reject(
                Rejection.RTCP_REPLAYED if replayed else Rejection.RTCP_UNAUTHENTICATED
            )
            return
        stream.count.rtcp += 1
        self._bound_rtcp(stream, int.from_bytes(packet[4:8], "big"))
        octets = stream.slots.packet(i, stream.slots.length(i))
        self._capture(stream, stream.slots.record(i, Kind.RTCP, octets), 0)

    @staticmethod
    def _bound_rtcp(stream: Stream, ssrc: int) -> None:
        """Keep a sender with the key from growing libsrtp's table by reports."""
        if ssrc in stream.count.ssrcs.tracks or ssrc in stream.rtcp_only:
            return
        if len(stream.rtcp_only) < _MOST_RTCP_SSRCS:
            stream.rtcp_only.add(ssrc)
        else:
            stream.forget(ssrc)

    def streams(self) -> Iterator[Stream]:
        """Yield every stream of every call."""
        for call in self.calls.values():
            yield from call.streams.values()


@lru_cache(maxsize=1024)
def _fields(count: int, length: int) -> Callable[[bytes], tuple[int, ...]]:
    """Return a reader of (sequence, SSRC) of *count* records of one length."""
    one = f"{HEADER_SIZE}x2xH4xI{length - FIXED_SIZE}x"
    return struct.Struct(">" + one * count).unpack_from
