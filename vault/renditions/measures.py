"""What is measured of packets in time: gaps, and how far a sender's clock is off.

Guarantees: integers only; a hostile timestamp gives a wrong figure and no error.

Left to others: counting (`vault.renditions.legs`), the document
(`vault.renditions.quality`).

Spec: docs/reference/formats/quality.md; RFC 3550, section 5.1
"""

from typing import Final

import numpy as np

from vault.core.canonical import JsonObject
from vault.core.clock import NS_PER_S
from vault.renditions.g711 import RATE_HZ
from vault.renditions.legs import Run
from vault.renditions.mixdown import Track
from vault.renditions.packets import PacketTable

_GAP: Final = RATE_HZ // 100
"Samples without a packet that make a gap: 10 ms."

_GAPS_LISTED: Final = 200

_WINDOW_NS: Final = NS_PER_S
_LEAST_WINDOWS: Final = 10
"Below ten seconds the network's jitter is more than any clock's error."

_MAX_PPM: Final = 100_000
"A tenth: what is beyond is no clock but a sender that restarted its timestamps."


def skew_ppm(packets: PacketTable, run: Run) -> int | None:
    """Return how much faster than the tap's a sender's clock runs, in ppm.

    The straight line through the least delay of each second: a network only ever adds
    delay, so the least one is nearest to the clocks.

    Returns:
        Parts per million, negative where it runs slower; None where the run is too
        short or its timestamps do not follow one clock.
    """
    rows = run.rows
    clocks_hz = packets.clock_hz[rows]
    if len(rows) < _LEAST_WINDOWS or not clocks_hz[0] or np.ptp(clocks_hz):
        return None
    steps = np.diff(packets.timestamp[rows]).view(np.int32).astype(np.int64)
    ticks = np.concatenate(([0], np.cumsum(steps)))
    sent_ns = ticks * NS_PER_S // int(clocks_hz[0])
    arrival_ns = packets.arrival_ns[rows] - packets.arrival_ns[rows[0]]
    window = sent_ns // _WINDOW_NS
    if (np.diff(window) < 0).any():
        return None
    first = np.flatnonzero(np.diff(window, prepend=-1))
    if len(first) < _LEAST_WINDOWS:
        return None
    delay = np.minimum.reduceat(arrival_ns - sent_ns, first).astype(np.float64)
    at = sent_ns[first].astype(np.float64)
    at -= at.mean()
    slope = float((at * (delay - delay.mean())).sum() / (at * at).sum())
    # Delays that grow are a sender that is slow.
    found = round(-slope * 1e6)
    return found if abs(found) <= _MAX_PPM else None


def gaps(track: Track | None) -> JsonObject:
    """Return where a stream has no packets between its first and its last one."""
    if track is None or not len(track.spans):
        return {"count": 0, "total_ms": 0, "longest_ms": 0, "spans_ms": []}
    spans = track.spans
    order = np.argsort(spans.position, kind="stable")
    first = spans.position[order]
    end = np.maximum.accumulate(first + spans.samples[order])
    missing = first[1:] - end[:-1]
    found = np.flatnonzero(missing >= _GAP)
    lengths, starts = missing[found], end[found]
    return {
        "count": len(found),
        "total_ms": int(lengths.sum()) * 1000 // RATE_HZ,
        "longest_ms": int(lengths.max(initial=0)) * 1000 // RATE_HZ,
        "spans_ms": [
            [at * 1000 // RATE_HZ, length * 1000 // RATE_HZ]
            for at, length in zip(
                starts[:_GAPS_LISTED].tolist(),
                lengths[:_GAPS_LISTED].tolist(),
                strict=True,
            )
        ],
    }
