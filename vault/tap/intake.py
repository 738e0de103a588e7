"""Taking datagrams in: from a socket into the buffer of a call's part.

The way of one datagram, in the order in which trust is decided:

1. It fits into a slot (else ``oversize``).
2. Its first octet says RTP version 2 (else ``not-rtp``, or an answered check where
   the stream has ICE), its size allows the headers (else ``too-short``), its second
   octet tells RTP from RTCP.
3. Plain RTP: it came from the signalled address (else ``foreign-source``).
4. Its tag is right under the key, or for two seconds after a re-key under the
   previous one (else ``unauthenticated``, ``replayed``, ``too-old`` or
   ``unknown-mki``; some of these are only in doubt: `vault.tap.doubt`).
5. Its SSRC is one of at most eight at work (else ``ssrc-limit``).
6. Neither is the call paused nor the stream on hold (else it is counted and
   discarded), and it is no digit (else it is counted, and the press noted).

A batch in which every datagram passes 1 to 4 at once is the rule and has a path of
its own; both paths count the same.

Guarantees: no datagram raises; each is counted once.

Left to others: when to read which socket (`vault.tap.sweep`).
Spec: RFC 3711, RFC 5761 section 4, RFC 7983 section 7.
"""

import struct
from typing import Final

from vault.core.clock import NS_PER_S
from vault.tap import rtcp, srtp
from vault.tap.calls import Stream
from vault.tap.capture import Event, Kind
from vault.tap.consent import set_aside
from vault.tap.doubt import Doubted
from vault.tap.judging import is_ordinary, unfit
from vault.tap.orders import Rejection
from vault.tap.refusals import Refusals
from vault.tap.rtp import FIXED_SIZE, RTCP_SECOND_OCTETS
from vault.tap.slots import BATCH
from vault.tap.source_lock import Port, address_of
from vault.tap.touched import Touched
from vault.tap.welcome import is_welcome

_MOST_RTCP_SSRCS: Final = 64
_SEQ_AND_SSRC: Final = struct.Struct(">2xH4xI")
_TIMESTAMP: Final = struct.Struct(">4xI")
_ARRIVAL: Final = struct.Struct("<qq")


class Intake:
    """What a worker does with datagrams."""

    def __init__(self, refusals: Refusals, touched: Touched) -> None:
        self._refusals = refusals
        self._touched = touched

    def drain(
        self, port: Port, now_s: float, batches: int, *, stray: bool = False
    ) -> bool:
        """Read up to *batches* batches from a port; whether more may wait."""
        fd = port.stray_fd if stray else port.fd
        receive = port.stream.slots.receive
        for _ in range(batches):
            count = receive(fd)
            if count <= 0:
                return False
            self._take(port, count, now_s, stray)
            if count < BATCH:
                return False
        return True

    # -- a batch -----------------------------------------------------------

    def _take(self, port: Port, count: int, now_s: float, stray: bool) -> None:  # noqa: FBT001 - which socket
        stream = port.stream
        slots = stream.slots
        lengths = slots.lengths_of[count](slots.hdrs)
        heads = slots.heads_of[count](slots.octets)
        if (
            not stray
            and stream.previous is None
            and is_ordinary(lengths, heads, stream.apart)
            and (stream.session.authenticates or slots.are_all_from(count, port.peer))
        ):
            self._take_batch(port, count, lengths, heads, now_s)
            return
        self._touched.mark(stream)
        for i in range(count):
            self._take_one(port, i, lengths[i], now_s, stray)

    def _take_batch(
        self,
        port: Port,
        count: int,
        lengths: tuple[int, ...],
        heads: tuple[int, ...],
        now_s: float,
    ) -> None:
        stream = port.stream
        slots, session = stream.slots, stream.session
        room, verbatim = 0, b""
        if session.spoils:
            room = max(lengths)
            verbatim = slots.packets(count, room)
        status = session.unprotect_batch(slots, count)
        if any(status):
            self._touched.mark(stream)
            for i, code in enumerate(status):
                if code == srtp.STATUS_OK:
                    self._accept(port, i, now_s)
                    continue
                packet: bytes | memoryview = slots.packet(i, lengths[i])
                if verbatim:
                    packet = verbatim[i * room : i * room + lengths[i]]
                self._refusals.refuse(port, i, code, bytes(packet), now_s)
        elif not self._accept_batch(stream, count, lengths, heads, now_s):
            for i in range(count):
                self._accept(port, i, now_s)
        elif port.learning:
            for i in range(count):
                self._hear(port, i, now_s)

    def _accept_batch(
        self,
        stream: Stream,
        count: int,
        lengths: tuple[int, ...],
        heads: tuple[int, ...],
        now_s: float,
    ) -> bool:
        """Capture a batch of one known SSRC, else change nothing."""
        ssrc = heads[2]
        track = stream.track
        if track is None or track.ssrc != ssrc:
            track = stream.known.get(ssrc)
            if track is None:
                return False
            stream.track = track
        if heads[2::3].count(ssrc) != count:
            return False
        track.add_batch(heads[1::3], now_s)
        call = stream.call
        page = call.page
        if page is not None:
            page.note(
                stream.order.index,
                ssrc,
                track.last - track.shift,
                track.packets,
                track.first,
                track.last,
            )
        if not stream.capturing:
            stream.discard(count)
            self._touched.mark(stream)
            return True
        slots = stream.slots
        if lengths.count(lengths[0]) == count:
            # What SRTP added was of one length, too.
            call.part.buffer += slots.gather(count, slots.length(0))
        else:
            call.part.buffer += slots.gather_mixed(slots.lengths_of[count](slots.hdrs))
        if not call.is_dirty:
            call.is_dirty = True
            self._touched.dirty.append(call)
        return True

    def _capture(
        self, stream: Stream, record: bytes, packets: int, *, capturing: bool
    ) -> None:
        call = stream.call
        if not capturing:
            stream.discard(packets)
            return
        call.part.buffer += record
        self._touched.touch(call)

    # -- one datagram at a time --------------------------------------------

    def _take_one(
        self,
        port: Port,
        i: int,
        length: int,
        now_s: float,
        stray: bool,  # noqa: FBT001 - which socket
    ) -> None:
        stream = port.stream
        slots = stream.slots
        reason = unfit(slots, i, length)
        if reason is Rejection.NOT_RTP and set_aside(
            port, i, length, now_s, self._touched.relayed
        ):
            stream.count.checks += 1
            return
        if reason is None and not stream.session.authenticates:
            welcome = is_welcome(port, slots.source(i), now_s)
            reason = None if welcome else Rejection.FOREIGN_SOURCE
        if reason is not None:
            stream.count.reject(reason)
            return
        packet = bytes(slots.packet(i, length))
        if packet[1] in RTCP_SECOND_OCTETS:
            self._take_rtcp(port, i, packet, now_s)
            return
        code, old = self._try(stream, i, packet)
        if code == srtp.STATUS_OK:
            self._accept(port, i, now_s, old=old)
        else:
            self._refusals.refuse(port, i, code, packet, now_s, stray=stray)

    @staticmethod
    def _try(
        stream: Stream, i: int, packet: bytes, *, rtcp: bool = False
    ) -> tuple[int, bool]:
        """Return the status, and whether it is of the previous key."""
        slots, session, previous = stream.slots, stream.session, stream.previous
        unprotect = session.unprotect_rtcp if rtcp else session.unprotect
        code = unprotect(slots, i)
        if code == srtp.STATUS_OK or previous is None:
            return code, False
        # The sender may not have changed its key yet; the first try may have
        # spoilt the packet.
        slots.restore(i, packet)
        unprotect = previous.unprotect_rtcp if rtcp else previous.unprotect
        old_code = unprotect(slots, i)
        if old_code == srtp.STATUS_OK:
            return old_code, True
        return code, False

    def _accept(
        self,
        port: Port,
        i: int,
        now_s: float,
        *,
        old: bool = False,
        doubted: Doubted | None = None,
    ) -> None:
        stream = port.stream
        slots = stream.slots
        octets = slots.packet(i, slots.length(i))
        seq, ssrc = _SEQ_AND_SSRC.unpack_from(octets)
        track = None if old else stream.known.get(ssrc)
        if track is not None:
            track.add(seq, now_s)
        else:
            track = stream.admit(ssrc, seq, now_s, old=old)
            if track is None:
                stream.count.reject(Rejection.SSRC_LIMIT)
                self._touched.mark(stream)
                stream.forget(ssrc)
                return
        stream.note(track)
        capturing = stream.capturing
        if doubted is not None:
            capturing = doubted.was_capturing and not stream.call.part.failure
        if octets[1] & 0x7F in stream.digits:
            self._leave_out(stream, i, ssrc, capturing=capturing)
        else:
            record = slots.record(i, Kind.RTP, octets)
            self._capture(stream, record, 1, capturing=capturing)
        if doubted is None:
            self._hear(port, i, now_s)

    def _leave_out(self, stream: Stream, i: int, ssrc: int, *, capturing: bool) -> None:
        """Count a packet of a press that is not to be captured; note a new press."""
        stream.count.not_captured += 1
        stream.count.discarded += 1
        self._touched.mark(stream)
        (timestamp,) = _TIMESTAMP.unpack_from(stream.slots.packet(i, FIXED_SIZE))
        if stream.presses.is_new(ssrc, timestamp) and capturing:
            s, ns = _ARRIVAL.unpack(stream.slots.arrival(i))
            now_ns = s * NS_PER_S + ns
            stream.call.note(Event.DIGIT, stream.order.index, now_ns=now_ns)
            self._touched.touch(stream.call)

    def _hear(self, port: Port, i: int, now_s: float) -> None:
        """Let the source of an authentic packet move the lock."""
        source = port.stream.slots.source(i)
        if source == port.peer:
            return
        before = port.peer
        if not port.hear(source, now_s):
            return
        self._touched.moved.append(port)
        stream = port.stream
        if before:
            stream.count.source_moves += 1
            self._touched.mark(stream)
        found = address_of(source)
        stream.call.note(
            Event.SOURCE,
            stream.order.index,
            {
                "port": "rtcp" if port.is_rtcp else "rtp",
                "state": "shared" if port.is_shared else "locked",
                "address": None if found is None else [found[0], found[1]],
            },
        )
        self._touched.touch(stream.call)

    def retake(self, stream: Stream, one: Doubted, now_s: float) -> bool:
        """Try a packet in doubt again; whether it was authentic after all."""
        slots = stream.slots
        slots.place(one.arrival, one.packet)
        session = stream.session
        unprotect = session.unprotect_rtcp if one.is_rtcp else session.unprotect
        if unprotect(slots, 0) != srtp.STATUS_OK:
            return False
        stream.count.take_back(one.reason)
        if one.is_rtcp:
            self._accept_rtcp(stream, 0, one.packet, capturing=one.was_capturing)
            return True
        self._accept(stream.ports[0], 0, now_s, doubted=one)
        return True

    def _take_rtcp(self, port: Port, i: int, packet: bytes, now_s: float) -> None:
        stream = port.stream
        if len(packet) < rtcp.MINIMUM_SIZE:
            stream.count.reject(Rejection.TOO_SHORT)
            return
        code, _ = self._try(stream, i, packet, rtcp=True)
        if code != srtp.STATUS_OK:
            reason = srtp.rejection_of(code)
            replayed = reason in (Rejection.REPLAYED, Rejection.TOO_OLD)
            self._refusals.refuse_rtcp(stream, i, packet, now_s, replayed=replayed)
            return
        self._accept_rtcp(stream, i, packet, capturing=stream.capturing)
        if port.is_rtcp:
            # On the port of media they may have a source of their own (FFmpeg).
            self._hear(port, i, now_s)

    def _accept_rtcp(
        self, stream: Stream, i: int, packet: bytes, *, capturing: bool
    ) -> None:
        stream.count.rtcp += 1
        self._bound_rtcp(stream, int.from_bytes(packet[4:8], "big"))
        octets = stream.slots.packet(i, stream.slots.length(i))
        record = stream.slots.record(i, Kind.RTCP, octets)
        self._capture(stream, record, 0, capturing=capturing)

    @staticmethod
    def _bound_rtcp(stream: Stream, ssrc: int) -> None:
        """Keep a sender with the key from growing libsrtp's table by reports."""
        if ssrc in stream.count.ssrcs.tracks or ssrc in stream.rtcp_only:
            return
        if len(stream.rtcp_only) < _MOST_RTCP_SSRCS:
            stream.rtcp_only.add(ssrc)
        else:
            stream.forget(ssrc)
