"""From packets to legs: who spoke, in which order, and what the network did to it.

A *run* is what one SSRC sent without restarting its sequence numbers, put in
order and freed of duplicates.  A *leg* is one voice of a stream: a run that
starts when another has stopped continues its leg; runs that overlap for more
than 1 s are different voices on one port.

Guarantees:
    * A packet is in one run once, however often it arrived: also where a new media
      worker replayed what the old one had already written (parts overlap).
    * Counting is that of RFC 3550: lost = expected - received, without duplicates.

Left to others: where a packet lies in time (`vault.renditions.timeline`).

Spec: RFC 3550, sections 6.4.1, A.1, A.3 and A.8
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vault.core.clock import NS_PER_S
from vault.renditions.packets import PacketTable

Index = NDArray[np.int64]

_MAX_DROPOUT: Final = 3000
"A step of sequence numbers beyond this, either way, is a restart (RFC 3550, A.1)."

_MAX_TICKS: Final = 48_000 // 4
"Timestamp units that one packet covers at most: 250 ms of the fastest RTP clock."

_RESTART_NS: Final = 10_000_000_000
"Delay from one packet to the next grows by less than this in any network."

_OVERLAP_NS: Final = 1_000_000_000
"How long two SSRCs may overlap and still be one voice that moved."


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """What one SSRC sent without a restart."""

    ssrc: int
    rows: Index
    "Rows of the packet table in order of sequence numbers, each packet once."
    extended: Index
    "Extended sequence numbers of these rows, from the first one seen."
    received: int
    "Packets that arrived, duplicates included."
    reordered: int
    "Packets that arrived after one with a higher sequence number."
    jitter_max_ns: int
    "Largest interarrival jitter, and that at the end of the run."
    jitter_last_ns: int
    first_ns: int
    last_ns: int

    @property
    def expected(self) -> int:
        """Packets that were sent, as far as sequence numbers tell."""
        return int(self.extended[-1] - self.extended[0]) + 1

    @property
    def duplicated(self) -> int:
        """Packets that arrived again."""
        return self.received - len(self.rows)

    @property
    def lost(self) -> int:
        """Packets that were sent and never arrived."""
        return self.expected - len(self.rows)


Leg = tuple[Run, ...]
"One voice: its runs in order of time."


def legs_of(packets: PacketTable) -> tuple[Leg, ...]:
    """Return the voices of one stream, the one that came first first."""
    legs: list[list[Run]] = []
    for run in sorted(_runs(packets), key=lambda run: run.first_ns):
        for leg in legs:
            if _continues(leg, run):
                leg.append(run)
                break
        else:
            legs.append([run])
    return tuple(tuple(leg) for leg in legs)


def _continues(leg: Sequence[Run], run: Run) -> bool:
    # A restart of the same source is the same voice even if stragglers overlap.
    last = max(leg, key=lambda each: each.last_ns)
    return run.ssrc == last.ssrc or run.first_ns > last.last_ns - _OVERLAP_NS


def _runs(packets: PacketTable) -> Iterator[Run]:
    # Sorted once, stably: a flood of SSRCs costs a sort and not a scan for each.
    order = np.argsort(packets.ssrc, kind="stable")
    changes = np.flatnonzero(np.diff(packets.ssrc[order])) + 1
    for rows in np.split(order, changes):
        if len(rows):
            yield from _runs_of_ssrc(packets, rows)


def _runs_of_ssrc(packets: PacketTable, rows: Index) -> Iterator[Run]:
    # Differences modulo 2**16, as signed numbers, walk across every wrap.
    steps = np.diff(packets.seq[rows]).view(np.int16).astype(np.int64)
    extended = np.concatenate(([0], np.cumsum(steps)))
    ticks = np.diff(packets.timestamp[rows]).view(np.int32).astype(np.int64)
    # What came late has an older timestamp, too.  Lower numbers with a timestamp
    # from elsewhere are a sender that began again, and no duplicates.
    again = (steps < 0) & ((ticks > 0) | (ticks < steps * _MAX_TICKS))
    restarts = np.flatnonzero((np.abs(steps) > _MAX_DROPOUT) | again) + 1
    for piece, numbers in zip(
        np.split(rows, restarts), np.split(extended, restarts), strict=True
    ):
        yield _run(packets, piece, numbers)


def _run(packets: PacketTable, rows: Index, extended: Index) -> Run:
    unique, first = np.unique(extended, return_index=True)
    highest = np.maximum.accumulate(extended)
    arrived_first = np.zeros(len(rows), bool)
    arrived_first[first] = True
    late = (extended < highest) & arrived_first
    jitter = _jitter_ns(packets, rows)
    return Run(
        ssrc=int(packets.ssrc[rows[0]]),
        rows=rows[first],
        extended=unique,
        received=len(rows),
        reordered=int(np.count_nonzero(late)),
        jitter_max_ns=int(max(jitter)),
        jitter_last_ns=int(jitter[-1]),
        first_ns=int(packets.arrival_ns[rows].min()),
        last_ns=int(packets.arrival_ns[rows].max()),
    )


def _jitter_ns(packets: PacketTable, rows: Index) -> list[float]:
    """Return the interarrival jitter after each packet, in order of arrival.

    Spec: RFC 3550, section A.8, in nanoseconds instead of timestamp units.
    """
    sent = np.diff(packets.timestamp[rows]).view(np.int32).astype(np.int64)
    arrived = np.diff(packets.arrival_ns[rows])
    # Without a clock a timestamp says nothing about time.
    clock_hz = packets.clock_hz[rows][1:].astype(np.int64)
    known = clock_hz > 0
    spoken = sent * NS_PER_S // np.where(known, clock_hz, 1)
    transit = np.abs(arrived - spoken)
    # A sender that restarts its timestamps says nothing about the network.
    transit = transit[known & (transit < _RESTART_NS)]
    return list(
        accumulate(transit.tolist(), lambda j, d: j + (d - j) / 16, initial=0.0)
    )
