"""What a stream has sent: counters and extended sequence numbers per SSRC.

Guarantees: nothing here moves before a packet is authentic; at most
`_AT_MOST` SSRCs are remembered per stream and at most ``at_work`` of them sent
within ten seconds, because libsrtp searches its table linearly (47.7 µs per
packet at 20,000 SSRCs).

Left to others: authentication (`vault.tap.srtp`), loss and jitter
(`vault.renditions`).

Spec: RFC 3550, appendix A.1; RFC 3711, section 3.3.1.
"""

import struct
from collections.abc import Sequence
from typing import Final

from vault.tap.orders import Rejection, SsrcSpan
from vault.tap.rtp import extended_sequence

_AT_MOST: Final = 64
_IDLE_S: Final = 10.0
"An SSRC that is silent for so long makes room: real calls change SSRC at each hold."
_HALF: Final = 0x8000
_FAR: Final = 0x4000
"A quarter of the number space: nearer than this, nothing wraps unnoticed."


class SsrcTrack:
    """First, highest and number of packets of one SSRC."""

    __slots__ = ("first", "last", "packets", "seen_s", "shift", "ssrc")

    def __init__(self, ssrc: int, extended: int, now_s: float) -> None:
        self.ssrc = ssrc
        self.first = extended
        self.last = extended
        self.packets = 1
        self.seen_s = now_s
        self.shift = 0
        """Whole rollovers that *last* is ahead of the SRTP index: a sender may begin
        at rollover 0 again with a new key, and its numbers go on nevertheless."""

    @property
    def index(self) -> int:
        """SRTP index of the highest packet: rollovers of the key, and sequence."""
        return self.last - self.shift

    def add(self, seq: int, now_s: float) -> None:
        """Count one authentic packet."""
        self.add_extended(extended_sequence(seq=seq, highest=self.last), now_s)

    def add_extended(self, extended: int, now_s: float) -> None:
        """Count one authentic packet whose rollovers are known."""
        if extended > self.last:
            self.last = extended
        elif extended < self.first:
            # Reordered ahead of the first packet that we saw.
            self.first = extended
        self.packets += 1
        self.seen_s = now_s

    def add_batch(self, seqs: Sequence[int], now_s: float) -> None:
        """Count authentic packets in the order of arrival."""
        low = self.last & 0xFFFF
        ahead, behind = max(seqs) - low, low - min(seqs)
        if ahead < _FAR and behind < _FAR and self.last - behind >= self.first:
            # The ordinary batch: no rollover in it, nothing before the first.
            if ahead > 0:
                self.last += ahead
            self.packets += len(seqs)
            self.seen_s = now_s
            return
        for seq in seqs:
            self.add(seq, now_s)


class SsrcTable:
    """The SSRCs of one stream."""

    __slots__ = ("_at_work", "tracks")

    def __init__(self, at_work: int) -> None:
        self._at_work = at_work
        self.tracks: dict[int, SsrcTrack] = {}

    def admit(self, ssrc: int, extended: int, now_s: float) -> SsrcTrack | None:
        """Count the first packet of an SSRC; None if it is one too many."""
        if len(self.tracks) >= _AT_MOST or self._working(now_s) >= self._at_work:
            return None
        track = self.tracks[ssrc] = SsrcTrack(ssrc, extended, now_s)
        return track

    def restore(self, span: SsrcSpan, index: int) -> SsrcTrack:
        """Go on with an SSRC where an earlier worker stopped.

        Args:
            span: What it had counted.
            index: SRTP index of the highest packet under the present key; below
                zero where there was none.
        """
        track = self.tracks[span.ssrc] = SsrcTrack(span.ssrc, span.first, -_IDLE_S)
        track.last, track.packets = span.last, span.packets
        if index >= 0:
            # Packets under the old key may have come after: whole rollovers only.
            track.shift = (span.last - index + _HALF) >> 16 << 16
        return track

    def spans(self) -> tuple[SsrcSpan, ...]:
        """Return what each SSRC sent, in the order in which they appeared."""
        return tuple(
            SsrcSpan(ssrc=ssrc, first=t.first, last=t.last, packets=t.packets)
            for ssrc, t in self.tracks.items()
        )

    def _working(self, now_s: float) -> int:
        return sum(now_s - t.seen_s < _IDLE_S for t in self.tracks.values())


class StreamCount:
    """Running counters of one stream, all in packets but *kept_octets*."""

    __slots__ = (
        "checks",
        "discarded",
        "kept",
        "kept_octets",
        "not_captured",
        "over_budget",
        "rejected",
        "rtcp",
        "source_moves",
        "ssrcs",
        "stray_drops",
    )

    def __init__(self, at_work: int) -> None:
        self.rtcp = 0
        self.kept = 0
        self.kept_octets = 0
        self.not_captured = 0
        self.discarded = 0
        "Of these: on purpose."
        self.checks = 0
        "Connectivity checks (ICE) that were answered."
        self.source_moves = 0
        "How often media came from another source than before."
        self.over_budget = 0
        "Sweeps that left packets in the kernel because the stream had had its share."
        self.stray_drops = 0
        "What the kernel dropped at stray sockets, as far as it was asked."
        self.rejected: dict[Rejection, int] = {}
        self.ssrcs = SsrcTable(at_work)

    @property
    def authentic(self) -> int:
        """RTP packets whose tag was right; each is counted in the track of its SSRC."""
        return sum(track.packets for track in self.ssrcs.tracks.values())

    def reject(self, reason: Rejection) -> None:
        """Count one datagram that is not media."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1

    def take_back(self, reason: Rejection) -> None:
        """Count a rejected datagram no longer: it was media after all."""
        self.rejected[reason] -= 1
        if not self.rejected[reason]:
            del self.rejected[reason]

    def __bytes__(self) -> bytes:
        """Return every counter but those of the SSRCs, for the call's page."""
        counts = (getattr(self, name) for name in _COUNTS)
        rejected = (self.rejected.get(reason, 0) for reason in Rejection)
        return _PACKED.pack(*counts, *rejected)

    def restore(self, packed: bytes) -> None:
        """Go on from what ``bytes()`` gave; other octets change nothing."""
        if len(packed) != _PACKED.size:
            return
        values = _PACKED.unpack(packed)
        for name, value in zip(_COUNTS, values, strict=False):
            setattr(self, name, value)
        rejected = zip(Rejection, values[len(_COUNTS) :], strict=True)
        self.rejected = {reason: packets for reason, packets in rejected if packets}


_COUNTS: Final = (
    "rtcp",
    "kept",
    "kept_octets",
    "not_captured",
    "checks",
    "source_moves",
    "over_budget",
    "stray_drops",
    "discarded",
)
_PACKED: Final = struct.Struct(f"<{len(_COUNTS) + len(Rejection)}Q")
