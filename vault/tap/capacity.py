"""Whether one more call could be kept up with: asked before it is answered.

Guarantees: a call is refused while it would find no port, no descriptor, or no media
worker that has room and is on time.  A worker that says nothing is late by as long
as it is silent.

Left to others: room in the spool (`vault.spool`), counting refusals
(`vault.recorder.preflight`).
"""

import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from vault import process
from vault.core.errors import SpoolFullError
from vault.tap.config import TapConfig

REPORT_S: Final = 1.0
"Time between two reports of a worker."

_RESERVE: Final = 128
"Descriptors kept free for connections, files of the spool and databases."
_SUPERVISOR_PER_STREAM: Final = 4
"Two sockets, and duplicates of them on their way to a worker."
_WORKER_PER_STREAM: Final = 2
_PER_CALL: Final = 4
"The part file and the call's page, and duplicates of them on their way."
_RETRY_S: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerReport:
    """What a worker says about itself, once a second."""

    late_s: float
    "How far behind its time the latest of its sweeps since the last report began."

    free_descriptors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLoad:
    """How busy a worker is."""

    pid: int
    streams: int
    late_s: float
    free_descriptors: int


class Capacity:
    """Knows what workers have reported, and judges."""

    def __init__(
        self, config: TapConfig, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._clock = clock
        self._reports: dict[int, tuple[float, WorkerReport]] = {}

    def heard(self, pid: int, report: WorkerReport) -> None:
        """Take note of a worker's report."""
        self._reports[pid] = (self._clock(), report)

    def forget(self, pid: int) -> None:
        """Forget a worker that ended; an unknown one is no error."""
        self._reports.pop(pid, None)

    def load(self, pid: int, streams: int) -> WorkerLoad:
        """Return the load of a worker that has *streams* streams."""
        now_s = self._clock()
        if pid not in self._reports:
            # One just started is on time until its first report is due.
            fresh = WorkerReport(late_s=0.0, free_descriptors=free_descriptors())
            self._reports[pid] = now_s, fresh
        heard_s, report = self._reports[pid]
        silent_s = now_s - heard_s - REPORT_S - self._config.tick_s
        return WorkerLoad(
            pid=pid,
            streams=streams,
            late_s=max(report.late_s, silent_s, 0.0),
            free_descriptors=report.free_descriptors,
        )

    def check(
        self, streams: int, *, workers: Sequence[WorkerLoad], free_pairs: int
    ) -> None:
        """Return if a call of *streams* streams can be taken; see `MediaTap.check`.

        Raises:
            SpoolFullError: The message says what is lacking, with figures.
        """
        # 1. Ports: two for each stream.
        if free_pairs < streams:
            raise SpoolFullError(
                f"{free_pairs} pairs of media ports are free, {streams} are needed"
            )
        # 2. Descriptors of this process: what is bound must also be passed on.
        free, wanted = free_descriptors(), _SUPERVISOR_PER_STREAM * streams + _PER_CALL
        if free < wanted + _RESERVE:
            raise SpoolFullError(f"{free} descriptors are free (RLIMIT_NOFILE)")
        # 3. A worker that takes it.
        if not any(self.has_room(worker, streams) for worker in workers):
            said = "; ".join(self._excuse(worker, streams) for worker in workers)
            raise SpoolFullError(
                f"no media worker has room: {said or 'none is running'}",
                retry_after_s=_RETRY_S,
            )

    def has_room(self, worker: WorkerLoad, streams: int) -> bool:
        """Return whether *worker* can take a call of *streams* streams."""
        return not self._excuse(worker, streams)

    def _excuse(self, worker: WorkerLoad, streams: int) -> str:
        if worker.late_s > self._config.late_s:
            return f"{worker.pid} is {worker.late_s:.1f} s behind"
        if worker.streams + streams > self._config.streams_per_worker:
            return f"{worker.pid} has {worker.streams} streams"
        wanted = _WORKER_PER_STREAM * streams + _PER_CALL + _RESERVE
        if worker.free_descriptors < wanted:
            return f"{worker.pid} has {worker.free_descriptors} free descriptors"
        return ""


def free_descriptors() -> int:
    """Return how many descriptors this process may still open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(0, soft - process.open_descriptors())
