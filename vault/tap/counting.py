"""What a stream has sent: counters and extended sequence numbers per SSRC.

Guarantees: nothing here moves before a packet is authentic; at most
`_AT_MOST` SSRCs are remembered per stream and at most ``at_work`` of them sent
within ten seconds, because libsrtp searches its table linearly (47.7 µs per
packet at 20,000 SSRCs).

Left to others: authentication (`vault.tap.srtp`), loss and jitter
(`vault.renditions`).

Spec: RFC 3550, appendix A.1; RFC 3711, section 3.3.1.
"""

from collections.abc import Sequence
from typing import Final

from vault.tap.orders import Rejection, SsrcSpan
from vault.tap.rtp import extended_sequence

_AT_MOST: Final = 64
_IDLE_S: Final = 10.0
"An SSRC that is silent for so long makes room: real calls change SSRC at each hold."
_FAR: Final = 0x4000
"A quarter of the number space: nearer than this, nothing wraps unnoticed."


class SsrcTrack:
    """First, highest and number of packets of one SSRC."""

    __slots__ = ("first", "last", "packets", "seen_s")

    def __init__(self, seq: int, now_s: float) -> None:
        self.first = seq
        self.last = seq
        self.packets = 1
        self.seen_s = now_s

    def add(self, seq: int, now_s: float) -> None:
        """Count one authentic packet."""
        extended = extended_sequence(seq=seq, highest=self.last)
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

    def count(self, ssrc: int, seq: int, now_s: float) -> bool:
        """Count one authentic packet; False if its SSRC is one too many."""
        track = self.tracks.get(ssrc)
        if track is not None:
            track.add(seq, now_s)
            return True
        if len(self.tracks) >= _AT_MOST or self._working(now_s) >= self._at_work:
            return False
        self.tracks[ssrc] = SsrcTrack(seq, now_s)
        return True

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
        "authentic",
        "kept",
        "kept_octets",
        "not_captured",
        "rejected",
        "rtcp",
        "ssrcs",
    )

    def __init__(self, at_work: int) -> None:
        self.authentic = 0
        self.rtcp = 0
        self.kept = 0
        self.kept_octets = 0
        self.not_captured = 0
        self.rejected: dict[Rejection, int] = {}
        self.ssrcs = SsrcTable(at_work)

    def reject(self, reason: Rejection) -> None:
        """Count one datagram that is not media."""
        self.rejected[reason] = self.rejected.get(reason, 0) + 1
