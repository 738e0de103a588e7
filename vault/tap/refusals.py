"""What was refused: counted at once, held for a moment, kept or let go.

Guarantees: each refused datagram is counted once; what is kept verbatim (kind 2) is
bounded per stream, by packets and by octets.

Left to others: why it was refused (`vault.tap.intake`), trying it again
(`vault.tap.trials`).
"""

import struct
from typing import Final

from vault.tap import srtp
from vault.tap.calls import Stream
from vault.tap.capture import Kind
from vault.tap.config import TapConfig
from vault.tap.doubt import Doubted
from vault.tap.orders import Rejection
from vault.tap.source_lock import SILENT_S, Port
from vault.tap.touched import Touched

_OF_ANYBODY: Final = (Rejection.UNAUTHENTICATED, Rejection.UNKNOWN_MKI)
"What it takes no knowledge to send."


class Refusals:
    """The way of a datagram that is no media, or not yet."""

    def __init__(self, config: TapConfig, touched: Touched) -> None:
        self._config = config
        self._touched = touched

    def refuse(
        self,
        port: Port,
        i: int,
        code: int,
        packet: bytes,
        now_s: float,
        *,
        stray: bool = False,
    ) -> None:
        """Count an RTP packet that failed with *code*, and hold it for a moment.

        Args:
            port: Where it came in.
            i: Its slot.
            code: Status of the session.
            packet: Verbatim.
            now_s: By the sweep's clock.
            stray: Whether it is of those that the source lock keeps out.
        """
        stream = port.stream
        failed = reason = srtp.rejection_of(code)
        # Reports alone belong on the port of reports.
        is_foreign = stray or port.is_rtcp
        if is_foreign and failed in _OF_ANYBODY and not _is_silent(stream, now_s):
            reason = Rejection.FOREIGN_SOURCE
        stream.count.reject(reason)
        triable = self._is_triable(stream, failed, packet, now_s)
        if reason is Rejection.REPLAYED and not triable:
            return
        capturing = stream.capturing
        one = Doubted(
            arrival=stream.slots.arrival(i),
            packet=packet,
            reason=reason,
            since_s=now_s,
            was_capturing=capturing,
            # With a key that comes late, digits could be read out of what is kept.
            keep=capturing
            and failed is not Rejection.REPLAYED
            and packet[1] & 0x7F not in stream.digits,
            triable=triable,
            is_foreign=is_foreign,
            failed=failed,
        )
        self.doubt(stream, one, now_s)

    def doubt(self, stream: Stream, one: Doubted, now_s: float) -> None:
        """Hold a packet that failed for a moment."""
        if not stream.doubt.packets:
            self._touched.doubting.append(stream)
        for gone in stream.doubt.add(one):
            self.keep(stream, gone, now_s)

    @staticmethod
    def _is_triable(
        stream: Stream, reason: Rejection, packet: bytes, now_s: float
    ) -> bool:
        """Whether an unknown rollover counter may be why a packet failed."""
        if not stream.session.can_trial or reason is Rejection.UNKNOWN_MKI:
            return False
        # An SSRC that is being heard has lost no half number space of packets.
        track = stream.known.get(int.from_bytes(packet[8:12], "big"))
        return track is None or now_s - track.seen_s > SILENT_S

    def keep(self, stream: Stream, one: Doubted, now_s: float) -> None:
        """Keep a rejected packet verbatim (kind 2), if there is room and reason to.

        What comes from elsewhere is the stream's own only if that has fallen silent
        since: then it has moved.
        """
        count, size = stream.count, len(one.packet)
        is_ours = not one.is_foreign or (
            stream.heard_s <= one.since_s and _is_silent(stream, now_s)
        )
        if is_ours and one.failed not in (None, one.reason):
            count.take_back(one.reason)
            count.reject(one.failed)
            self._touched.mark(stream)
        if (
            one.keep
            and is_ours
            and not stream.call.part.failure
            and count.kept < self._config.kept_packets
            and count.kept_octets + size <= self._config.kept_octets
        ):
            count.kept += 1
            count.kept_octets += size
            self._touched.mark(stream)
            index = stream.order.index
            head = struct.pack("<BBH", index, Kind.UNDECRYPTABLE, size)
            stream.call.part.buffer += one.arrival + head + one.packet
            self._touched.touch(stream.call)

    def refuse_rtcp(
        self, stream: Stream, i: int, packet: bytes, now_s: float, *, replayed: bool
    ) -> None:
        """Count a report that failed; hold it for a key that is on its way."""
        reason = Rejection.RTCP_REPLAYED if replayed else Rejection.RTCP_UNAUTHENTICATED
        stream.count.reject(reason)
        if not stream.session.authenticates or not stream.doubt.has_room_for_rtcp():
            return
        one = Doubted(
            arrival=stream.slots.arrival(i),
            packet=packet,
            reason=reason,
            since_s=now_s,
            was_capturing=stream.capturing,
            keep=False,
            triable=False,
        )
        self.doubt(stream, one, now_s)


def _is_silent(stream: Stream, now_s: float) -> bool:
    return now_s - stream.heard_s > SILENT_S
