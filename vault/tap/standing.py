"""How a media tap stands, in figures: nothing about single calls.

Whoever reads them loads no media library for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields

from vault.tap.capacity import WorkerLoad
from vault.tap.orders import StreamCounters


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Packets of all streams since the supervisor began, as counters."""

    authentic: int = 0
    rejected: int = 0
    kernel_drops: int = 0
    stray_drops: int = 0
    source_moves: int = 0

    def __add__(self, other: "Totals") -> "Totals":
        sums = {
            each.name: getattr(self, each.name) + getattr(other, each.name)
            for each in fields(self)
        }
        return Totals(**sums)

    @classmethod
    def of(cls, streams: Iterable[StreamCounters]) -> "Totals":
        """Return the sum over *streams*."""
        total = cls()
        for stream in streams:
            total += cls(
                authentic=stream.authentic,
                rejected=sum(stream.rejected.values()),
                kernel_drops=stream.kernel_drops,
                stray_drops=stream.stray_drops,
                source_moves=stream.source_moves,
            )
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class TapStanding:
    """What the supervisor of a tap can tell without asking anybody."""

    calls: int = 0
    workers: tuple[WorkerLoad, ...] = ()
    "Those that are alive."
    workers_wanted: int = 0
    streams_per_worker: int = 0
    free_pairs: int = 0
    "Pairs of media ports that are neither in use nor cooling down."
    totals: Totals = field(default_factory=Totals)


def standing_members(standing: TapStanding) -> Mapping[str, object]:
    """Return *standing* as JSON members."""
    return {
        "calls": standing.calls,
        "workers": [
            {
                "pid": worker.pid,
                "streams": worker.streams,
                "late_s": round(worker.late_s, 3),
                "free_descriptors": worker.free_descriptors,
            }
            for worker in standing.workers
        ],
        "workers_wanted": standing.workers_wanted,
        "streams_per_worker": standing.streams_per_worker,
        "free_pairs": standing.free_pairs,
        "totals": {
            each.name: getattr(standing.totals, each.name) for each in fields(Totals)
        },
    }
