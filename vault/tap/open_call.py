"""A call as the supervisor knows it: enough to hand it to a new worker.

Guarantees: whatever a re-offer changed is here before a worker is told, so
that a worker which dies with the order unread costs nothing but a part.

Left to others: telling workers (`vault.tap.pool`).
"""

import asyncio

from vault.tap.control import Snapshot
from vault.tap.link import WorkerLink
from vault.tap.orders import CallOrder, PartReport, StreamCounters, StreamOrder


class OpenCall:
    """One running call: its orders, its parts, what was counted."""

    def __init__(self, order: CallOrder, link: WorkerLink) -> None:
        self.order = order
        self.link = link
        self.lock = asyncio.Lock()
        self.paused = order.paused
        self.streams = {stream.index: stream for stream in order.streams}
        self.part = 0
        self.done: list[PartReport] = []
        self.earlier = {s.index: nothing_yet(s) for s in order.streams}
        self.latest: dict[int, Snapshot] = {}
        self.retry: asyncio.Task[None] | None = None

    def settle(self) -> None:
        """Add what the part's worker reported to what earlier ones did."""
        for index, snapshot in self.latest.items():
            self.earlier[index] = snapshot.add_to(self.earlier[index])
        self.latest.clear()


def nothing_yet(stream: StreamOrder) -> StreamCounters:
    """Return the counters of a stream that nothing has reached."""
    return StreamCounters(
        index=stream.index,
        label=stream.label,
        media=stream.media,
        suite=stream.suite,
        payloads=stream.payloads,
    )
