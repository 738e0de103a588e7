"""How a media tap stands, in figures: nothing about single calls."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields

from vault.tap.capacity import WorkerLoad
from vault.tap.open_call import OpenCall
from vault.tap.orders import StreamCounters, StreamOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Packets of all streams since the supervisor began, as counters."""

    authentic: int = 0
    rejected: int = 0
    kernel_drops: int = 0
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
                source_moves=stream.source_moves,
            )
        return total


def running_totals(
    calls: Iterable[OpenCall], drops: Callable[[StreamOrder], int]
) -> Totals:
    """Return the sum over calls that run; *drops* is asked what the kernel dropped."""
    # Sums of plain numbers: this is asked again and again, about every call.
    authentic = rejected = kernel_drops = source_moves = 0
    for call in calls:
        for index, stream in call.streams.items():
            seen = call.latest.get(index) or call.counted(index)
            authentic += seen.authentic
            source_moves += seen.source_moves
            kernel_drops += seen.kernel_drops + drops(stream)
            if seen.rejected:
                rejected += sum(seen.rejected.values())
    return Totals(
        authentic=authentic,
        rejected=rejected,
        kernel_drops=kernel_drops,
        source_moves=source_moves,
    )


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
