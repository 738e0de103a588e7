"""One clock for all legs: where every packet of a call lies, to the sample.

Inside a run RTP timestamps say where a packet lies; arrival times tie each run to
the clock that all legs share, which is the tap's.  The tie (*anchor*) is the
smallest delay seen over the next packets, since a network only ever adds delay.

    position = unwrapped timestamp + anchor          [samples of 8 kHz]

Guarantees:
    * Loss, reordering, duplicates, jitter, stalls and silence suppression move
      nothing: what is missing stays silence of the right length.
    * The anchor moves only when the clocks have drifted apart by more than 100 ms
      for good, or when the sender restarts or freezes its timestamps.
    * No position is more than 100 ms after its packet arrived, so a hostile
      timestamp cannot stretch a call.

Left to others: what is heard at a position (`vault.renditions.mixdown`).

Spec: RFC 3550, section 5.1; docs/explanation/renditions.md
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from vault.renditions.g711 import RATE_HZ
from vault.renditions.legs import Index, Run
from vault.renditions.packets import PacketTable

NS_PER_SAMPLE: Final = 1_000_000_000 // RATE_HZ

_DRIFT: Final = RATE_HZ // 10
"Samples by which the clocks may drift apart before a run is anchored anew."

_DRIFT_UNSURE: Final = 6 * _DRIFT
"The same where fewer packets than the look-ahead follow."

_LOOK_AHEAD_NS: Final = 3_000_000_000
_LOOK_AHEAD_PACKETS: Final = 128
_LOOK_AHEAD_MAX: Final = 4096
"""How far the smallest delay is searched: both 3 s and 128 packets, so that neither a
stall that ends in a burst nor sparse packets look like a clock that moved."""

_MEMORY: Final = 2
"Earlier anchors to return to after a stray timestamp."


def positions(packets: PacketTable, run: Run) -> tuple[Index, Index]:
    """Return the rows of *run* that hold audio, and where each one starts.

    Returns:
        Rows of *packets* in order of sequence numbers, and positions in samples
        of 8 kHz since the epoch by the tap's clock.
    """
    audible = packets.samples[run.rows] > 0
    rows = run.rows[audible]
    if not len(rows):
        return rows, rows.copy()
    samples = packets.samples[rows].astype(np.int64)
    steps = _timestamp_steps(packets.timestamp[rows], samples)
    sent = np.concatenate(([0], np.cumsum(steps)))
    arrival_ns = packets.arrival_ns[rows]
    # A packet leaves when its last sample was taken, so its first is older.
    delay = arrival_ns // NS_PER_SAMPLE - samples - sent
    explained = np.diff(run.extended[audible]) * samples[:-1]
    cuts = _cuts(steps, explained, np.diff(arrival_ns) // NS_PER_SAMPLE)
    ahead, drift = _least_ahead(delay, arrival_ns, cuts)
    return rows, sent + _anchors(delay, ahead, drift, cuts)


def _timestamp_steps(timestamps: NDArray[np.uint32], samples: Index) -> Index:
    steps = np.diff(timestamps).view(np.int32).astype(np.int64)
    # A frozen timestamp says nothing; the octets sent meanwhile do.
    return np.where(steps == 0, samples[:-1], steps)


def _cuts(steps: Index, explained: Index, arrived: Index) -> NDArray[np.bool_]:
    """Return which packets do not follow from the one before them.

    A timestamp that goes back, or that goes forward by more than sequence numbers
    and arrival times explain, starts a piece that is anchored by itself.  A cut
    too many does no harm: the new anchor is the old one.
    """
    forward = (steps > explained + _DRIFT) & (arrived < steps - _DRIFT)
    return np.concatenate(([True], (steps < 0) | forward))


def _least_ahead(
    delay: Index, arrival_ns: NDArray[np.int64], cuts: NDArray[np.bool_]
) -> tuple[Index, Index]:
    """Return the least delay from each packet on, and how far it may be off.

    A few packets before the end may all be late by chance: with so little to see
    ahead, more than 100 ms has to be missing before the clock is said to have moved.
    """
    count = len(delay)
    here = np.arange(count)
    by_time = np.searchsorted(
        np.maximum.accumulate(arrival_ns), arrival_ns + _LOOK_AHEAD_NS, side="right"
    )
    stop = np.maximum(by_time, here + _LOOK_AHEAD_PACKETS)
    stop = np.minimum(stop, here + _LOOK_AHEAD_MAX)
    pieces = np.append(np.flatnonzero(cuts), count)
    stop = np.minimum(stop, pieces[np.searchsorted(pieces, here, side="right")])
    drift = np.where(stop - here < _LOOK_AHEAD_PACKETS, _DRIFT_UNSURE, _DRIFT)
    # Two overlapping windows of 2**k cover any span: a sparse table, level by level.
    level = np.int64(np.log2(np.maximum(stop - here, 1)))
    least, width, found = delay.copy(), 1, delay.copy()
    for k in range(int(level.max()) + 1):
        mine = np.flatnonzero(level == k)
        found[mine] = np.minimum(least[mine], least[stop[mine] - width])
        least[:-width] = np.minimum(least[:-width], least[width:])
        width *= 2
    return found, drift


def _anchors(
    delay: Index, ahead: Index, drift: Index, cuts: NDArray[np.bool_]
) -> Index:
    """Return the anchor of each packet: piecewise constant, moved seldom."""
    anchors = np.empty_like(delay)
    latest = ahead - drift
    before: list[int] = []
    at, count = 0, len(delay)
    while at < count:
        anchor = int(ahead[at])
        for known in before:
            if abs(anchor - known) <= _DRIFT:
                anchor = known
                break
        stop = _stop_of_anchor(delay, latest, cuts, at, anchor)
        anchors[at:stop] = anchor
        before = [anchor, *(each for each in before if each != anchor)][:_MEMORY]
        at = stop
    return anchors


def _stop_of_anchor(
    delay: Index, latest: Index, cuts: NDArray[np.bool_], at: int, anchor: int
) -> int:
    """Return the first packet after *at* that *anchor* does not hold for."""
    start, step, count = at + 1, 64, len(delay)
    while start < count:
        # In growing windows, so that a hostile clock costs no scan of the rest
        # of the call for each of its jumps.
        stop = min(start + step, count)
        moved = (
            (latest[start:stop] > anchor)
            | (delay[start:stop] < anchor - _DRIFT)
            | cuts[start:stop]
        )
        found = np.flatnonzero(moved)
        if len(found):
            return start + int(found[0])
        start, step = stop, step * 4
    return count
