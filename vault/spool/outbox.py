"""Leaves that a tap owes the audit trail, safe until the warden has them.

A recording never waits for the warden, and yet each of its leaves must be
written in the end.  So a leaf is first a small file with a number, and is sent
until the warden says that it is durable.

Guarantees:
    * When `post` returns, or the future of `post_soon` is done, the leaf survives
      a crash.
    * A leaf is sent only when its number is known to survive one, too: a number
      that is used twice is a leaf that the warden would drop in silence.
    * Leaves arrive in order, each with ``source`` and ``seq``; the warden
      refuses a pair it has seen, so sending twice writes once.
    * `delivered` is true only after the warden acknowledged.

Left to others: the trail itself (`vault.warden`).
"""

import contextlib
import threading
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from vault.audit.entry import Draft
from vault.core import canonical
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    SpoolFullError,
    UnavailableError,
    VaultError,
)
from vault.spool.backoff import Backoff
from vault.spool.descriptors import folder, translated, write_whole
from vault.spool.disk import SpoolDisk
from vault.trust.drafts import draft_members, parse_draft
from vault.trust.interfaces import Trail
from vault.trust.shapes import Members

LEAF_REFUSED: Final = "outbox.leaf.refused"
TRAIL_UNREACHABLE: Final = "outbox.trail.unreachable"
_BATCH: Final = 64
_MOST_WAITING: Final = 1_000_000
"Some ten days of 1,000 calls an hour with four leaves each."
_COUNTER: Final = "counter"
_NS_PER_MS: Final = 1_000_000
_log = structlog.get_logger()


class Outbox:
    """A durable queue of leaves and the thread that empties it."""

    def __init__(
        self,
        directory: Path,
        *,
        source: str,
        trail: Trail,
        clock: Clock = system_clock_ns,
        disk: SpoolDisk | None = None,
    ) -> None:
        """Go on with what lies in *directory*.

        Args:
            directory: Made where it is missing.
            source: Name of this tap in the trail.
            trail: The warden.
            clock: Nanoseconds since the epoch.
            disk: Makes leaves durable together; without it each is synced alone.
        """
        self._directory = directory
        self._source = source
        self._trail = trail
        self._clock = clock
        self._lock = threading.Lock()
        self._news = threading.Condition()
        self._stopping = False
        self._thread: threading.Thread | None = None
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._disk = disk
        self._next = self._first_number()
        # What lies here may never have been synced, and this process sends it.
        with translated("the outbox"):
            self._count(self._next, sync=True)
        self._unsettled: set[int] = set()
        self._oldest = min(self.waiting(), default=self._next)

    def post(self, draft: Draft) -> int:
        """Queue *draft*, durably, and return its number.

        Raises:
            ValueError: It carries a person's text; that must not rest here.
            SpoolFullError: No room.
            UnavailableError: It may not survive a crash; it is sent none the less.
        """
        number, durable = self._post(draft)
        durable.result()
        return number

    def post_soon(self, draft: Draft) -> "Future[None]":
        """As `post`, but return at once a future that is done when it is durable.

        With it everything is durable that was written to the spool before.

        Raises:
            As `post`; the future raises `UnavailableError`.
        """
        durable = self._post(draft)[1]
        if self._disk is not None and self._disk.failure:
            # The leaf was synced by itself; what was written before it was not.
            durable = Future()
            durable.set_exception(UnavailableError(f"spool: {self._disk.failure}"))
        return durable

    def _post(self, draft: Draft) -> "tuple[int, Future[None]]":
        if draft.text:
            raise ValueError("no free text in the outbox")
        with self._lock, translated("the outbox"):
            number = self._next
            occurred = draft.occurred_ns or self._clock()
            queued = replace(
                draft, source=self._source, source_seq=number, occurred_ns=occurred
            )
            together = self._disk is not None and not self._disk.failure
            # The counter first: a number lost is a gap that alarms, a number
            # used twice is a leaf that the warden would drop in silence.
            self._count(number + 1, sync=not together)
            self._next = number + 1
            self._unsettled.add(number)
            with folder(self._directory) as at:
                octets = canonical.dumps(draft_members(queued))
                name = f"{number:016d}"
                write_whole(at, name, octets, replace=False, sync=not together)
        if together:
            assert self._disk is not None
            durable = self._disk.settled()
        else:
            durable = Future()
            durable.set_result(None)
        durable.add_done_callback(lambda _: self._settle(number))
        return number, durable

    def _count(self, number: int, *, sync: bool) -> None:
        with folder(self._directory) as at:
            octets = str(number).encode()
            write_whole(at, _COUNTER, octets, replace=True, sync=sync)

    def _settle(self, number: int) -> None:
        with self._news:
            self._unsettled.discard(number)
            self._news.notify_all()

    def delivered(self, number: int) -> bool:
        """Return whether the warden has leaf *number*, durably."""
        return not (self._directory / f"{number:016d}").exists()

    def wait(self, number: int, *, timeout_s: float) -> bool:
        """Wait until leaf *number* is delivered, *timeout_s* at most."""
        with self._news:
            return self._news.wait_for(lambda: self.delivered(number), timeout_s)

    def waiting(self) -> list[int]:
        """Return the numbers not delivered yet, in order."""
        return sorted(
            int(path.name) for path in self._directory.iterdir() if path.name.isdigit()
        )

    def check_room(self) -> None:
        """Find out whether the leaves of one more call can wait here.

        Room on the disk is the spool's to know; this is about a warden that has been
        away for so long that sending what waits would take hours.

        Raises:
            SpoolFullError: Too many leaves wait.
        """
        if self._next - self._oldest > _MOST_WAITING:
            raise SpoolFullError(
                f"{self._next - self._oldest} leaves wait for the warden",
                retry_after_s=60,
            )

    def _sendable(self) -> list[int]:
        waiting = self.waiting()
        self._oldest = waiting[0] if waiting else self._next
        return [number for number in waiting if number not in self._unsettled]

    def start(self) -> None:
        """Begin to send."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop sending; what is left is sent by the next process."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def deliver(self) -> None:
        """Send what waits.

        Raises:
            AuditUnavailableError: The warden did not acknowledge; nothing is lost.
        """
        while numbers := self._sendable()[:_BATCH]:
            loaded = {number: self._load(number) for number in numbers}
            known = {number: draft for number, draft in loaded.items() if draft}
            try:
                if known:
                    self._trail.append(*known.values())
            except (ConflictError, InvalidInputError, NotFoundError):
                # One was seen before, or is not fit for the log: find it.
                for number, draft in known.items():
                    self._deliver_one(number, draft)
            self._forget(known)

    def _deliver_one(self, number: int, draft: Draft) -> None:
        try:
            self._trail.append(draft)
        except ConflictError:
            pass  # written in an earlier try whose answer was lost
        except (InvalidInputError, NotFoundError) as exc:
            _log.error(LEAF_REFUSED, number=number, problem=str(exc))

    def _forget(self, numbers: Iterable[int]) -> None:
        with self._news:
            for number in numbers:
                (self._directory / f"{number:016d}").unlink(missing_ok=True)
            self._news.notify_all()

    def _run(self) -> None:
        pace = Backoff(first_s=0.2, longest_s=5.0)
        while not self._stopping:
            try:
                self.deliver()
                pace.reset()
                # Looking for what waits may fail, too, and must not end this thread.
                with self._news:
                    self._news.wait_for(
                        lambda: self._stopping or bool(self._sendable())
                    )
            except (VaultError, OSError) as exc:
                wait_s = pace.next_s()
                _log.warning(TRAIL_UNREACHABLE, problem=type(exc).__name__)
                with self._news:
                    self._news.wait_for(lambda: self._stopping, wait_s)

    def _load(self, number: int) -> Draft | None:
        path = self._directory / f"{number:016d}"
        try:
            return parse_draft(Members(canonical.parse(path.read_bytes())))
        except (InvalidInputError, NotFoundError):
            _log.error(LEAF_REFUSED, number=number, problem="not a leaf of ours")
            path.rename(path.with_name(f"{path.name}.refused"))
            return None

    def _first_number(self) -> int:
        # Without a counter this spool is new, or the old one was lost.  Beginning at
        # 1 would repeat numbers that the trail has seen, and it would take new
        # leaves for old ones.  Milliseconds are ahead of any count of leaves.
        stored = 1 + self._clock() // _NS_PER_MS
        with contextlib.suppress(FileNotFoundError, ValueError):
            stored = int((self._directory / _COUNTER).read_text())
        return max([stored, *(number + 1 for number in self.waiting())])
