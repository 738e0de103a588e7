"""The one thread that writes the log: group commit, and the two-second rule.

Leaves of all connections queue up here.  While one transaction commits, the
next ones gather; the thread then takes all of them into the next transaction.
Nobody waits for a timer, and 64 writers share one fsync.

Guarantees:
    * `LeafWriter.append` returns only when its leaves are durable, and were so
      within the caller's deadline.  A leaf that became durable later raises all
      the same, even if it is seen before the time-out fires (the process may
      have been stopped meanwhile).
    * Leaves of one call stay together and in order.
    * The queue is bounded: beyond it calls are refused at once.
    * Health is known without asking the database: it turns bad within 2 s of the
      last moment at which a commit worked.

Left to others: what a leaf says (`vault.warden.leaves`), the tree and its
checkpoint (`vault.audit.log`).
"""

import queue
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    VaultError,
)
from vault.trust.interfaces import WardenHealth
from vault.warden.interfaces import Leaf, LogWriter
from vault.warden.journal import say

EVENT_LOG_FAILED: Final = "warden.log.failed"
EVENT_LOG_RECOVERED: Final = "warden.log.recovered"

HEALTHY_WITHIN_S: Final = 2.0
"Age of the last commit beyond which the warden is not healthy."

_PROBE_INTERVAL_S: Final = 1.0
_MAX_WAITING: Final = 1024
_MAX_BATCH: Final = 256

_PERSONAL: Final = (ConflictError, InvalidInputError)
"What one call's leaves are refused for, and not the whole batch's."


@dataclass(slots=True, kw_only=True)
class _Ticket:
    """Somebody waits for these leaves."""

    leaves: Sequence[Leaf]
    deadline_s: float
    done: threading.Event = field(default_factory=threading.Event)
    durable_s: float = float("inf")
    error: VaultError | None = None


class LeafWriter:
    """Appends leaves for many threads at once."""

    def __init__(
        self,
        log: LogWriter,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Write to *log*, and probe it while nobody writes.

        Args:
            log: The audit log, opened; nobody else writes to it.
            monotonic: Seconds; the clock of deadlines and ages.
        """
        self._log = log
        self._monotonic = monotonic
        self._queue: queue.Queue[_Ticket | None] = queue.Queue(_MAX_WAITING)
        self._trouble = ""
        self._durable_s = float("-inf")
        self._tried_s = float("-inf")
        self._stopping = False
        self._broken = False
        self._thread = threading.Thread(target=self._run, name="warden-writer")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end the thread."""
        if self._thread.is_alive():
            self._stopping = True
            self._queue.put(None)
            self._thread.join()

    def append(self, leaves: Sequence[Leaf], *, deadline_s: float) -> None:
        """Append *leaves* and return when they are durable.

        Args:
            leaves: In their order.
            deadline_s: Monotonic second by which they must be durable.

        Raises:
            AuditUnavailableError: They are not, or not in time.  The caller
                MUST NOT act, whatever becomes of them later.
            ConflictError: A (source, seq) among them is in the log already.
            InvalidInputError: The log does not take one of them as an entry.
        """
        ticket = _Ticket(leaves=leaves, deadline_s=deadline_s)
        if self._stopping:
            raise AuditUnavailableError("the warden is stopping")
        try:
            self._queue.put_nowait(ticket)
        except queue.Full:
            raise AuditUnavailableError("too many leaves wait to be written") from None
        if not ticket.done.wait(max(0.0, deadline_s - self._monotonic())):
            raise AuditUnavailableError("the leaf was not durable in time")
        if isinstance(ticket.error, _PERSONAL):
            raise type(ticket.error)(str(ticket.error))
        if ticket.error is not None:
            raise AuditUnavailableError(f"no leaf: {ticket.error}")
        if ticket.durable_s > deadline_s:
            raise AuditUnavailableError("the leaf was durable too late")

    def health(self) -> WardenHealth:
        """Say from memory whether an append would work now."""
        age_s = self._monotonic() - self._durable_s
        late = age_s > HEALTHY_WITHIN_S
        return WardenHealth(
            healthy=not late and not self._trouble,
            last_append_age_s=age_s,
            log_size=self._log.size,
            detail=self._trouble or ("the log does not answer" if late else ""),
        )

    # ---------------------------------------------------------- the thread

    def _run(self) -> None:
        self._probe()
        while True:
            wait_s = self._tried_s + _PROBE_INTERVAL_S - self._monotonic()
            try:
                ticket = self._queue.get(timeout=max(0.001, wait_s))
            except queue.Empty:
                self._probe()
                continue
            batch, last = self._gather(ticket)
            self._commit(batch)
            if last:
                return

    def _gather(self, ticket: _Ticket | None) -> tuple[list[_Ticket], bool]:
        """Take everything that waits now, up to a batch."""
        batch: list[_Ticket] = []
        size = 0
        while ticket is not None:
            batch.append(ticket)
            size += len(ticket.leaves)
            if size >= _MAX_BATCH:
                return batch, False
            try:
                ticket = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def _commit(self, batch: Sequence[_Ticket]) -> None:
        # Whoever gave up while waiting here needs no leaf: nothing was released.
        now_s = self._monotonic()
        wanted = [ticket for ticket in batch if ticket.deadline_s > now_s]
        if not wanted:
            return
        error = self._write([leaf for ticket in wanted for leaf in ticket.leaves])
        if isinstance(error, _PERSONAL) and len(wanted) > 1:
            # One late entry that is already there must not refuse the others.
            for ticket in wanted:
                self._settle(ticket, self._write(ticket.leaves))
            return
        for ticket in wanted:
            self._settle(ticket, error)

    def _settle(self, ticket: _Ticket, error: VaultError | None) -> None:
        ticket.error = error
        ticket.durable_s = float("inf") if error else self._durable_s
        ticket.done.set()

    def _write(self, leaves: Sequence[Leaf]) -> VaultError | None:
        return self._attempt(
            lambda: self._log.append(
                [leaf.entry for leaf in leaves], [leaf.texts for leaf in leaves]
            )
        )

    def _probe(self) -> None:
        # While nobody writes, the last commit says nothing about the next one.
        # The probe takes the same lock, disk and fsync, and leaves no entry.
        self._attempt(self._log.probe)

    def _attempt(self, write: Callable[[], object]) -> VaultError | None:
        try:
            write()
        except (ConflictError, InvalidInputError) as exc:
            self._succeeded()  # the log answered: it said no
            return exc
        except VaultError as exc:
            # Evidence of tampering is not cured by the next probe that works.
            self._broken = self._broken or isinstance(exc, IntegrityError)
            self._failed(str(exc))
            return exc
        except Exception as exc:  # noqa: BLE001 - the thread ends here: without it everyone would wait for nobody
            self._failed(f"broken ({type(exc).__name__})")
            say("error", EVENT_LOG_FAILED, where=_where(exc))
            return AuditUnavailableError("the log is broken")
        self._succeeded()
        return None

    def _succeeded(self) -> None:
        self._tried_s = self._durable_s = self._monotonic()
        if self._trouble and not self._broken:
            self._trouble = ""
            say("info", EVENT_LOG_RECOVERED)

    def _failed(self, trouble: str) -> None:
        self._tried_s = self._monotonic()
        if not self._trouble:
            say("error", EVENT_LOG_FAILED, trouble=trouble)
        self._trouble = trouble


def _where(exc: Exception) -> str:
    """Return file and line of *exc*: its message may hold what no log may."""
    frames = traceback.extract_tb(exc.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "?"
