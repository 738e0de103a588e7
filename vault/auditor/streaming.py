"""The trail, sent to a SIEM entry by entry, at least once.

    place ────────────── sent ───────── size of the log
      │  known to be       │  on its      │
      │  there before      │  way         │  read next

Entries are read from the log where they lie, sent in order, and known to have
arrived when the receiver has answered the end of the connection that carried them
(`vault.auditor.syslog_connection`).  Only then does the place move.  Whatever breaks
before that is sent again from the place on, over a new connection: a receiver sees an
entry twice rather than never, and tells by its index.

Guarantees:
    * The place never passes an entry that is not known to have arrived.
    * Nothing is kept in memory but one batch, however long the receiver is away.
    * The trail says when the stream starts and fails, not at every attempt: two
      leaves in 15 minutes at most.

Left to others: what is sent of a batch (`vault.auditor.stream_frames`), when a round
begins (`vault.auditor.duties`).

Spec: docs/adr/0027-stream.md
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final, Protocol

import structlog

from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.entry import Action, Draft, Result
from vault.audit.lineage import precedes
from vault.audit.query import EVERYTHING, Terms, TrailQuery
from vault.audit.source import LoggedEntry, TrailSource
from vault.auditor.anchors import opened
from vault.auditor.stream_frames import StreamFrames, time_of
from vault.auditor.stream_place import StreamPlace, StreamPlaces
from vault.auditor.syslog import SyslogConfig
from vault.core.canonical import JsonValue
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import TrailBrokenError, UnavailableError, VaultError
from vault.core.flow import Actor, ActorKind, Caller
from vault.trust.interfaces import Trail

REWOUND: Final = "audit.stream.rewound"
STARTED: Final = "started"
FAILED: Final = "failed"

_BATCH: Final = 500
_NS_PER_MS: Final = 1_000_000
_ROUND_S: Final = 20.0
_TOO_SLOW: Final = frozenset({"stalled", "unconfirmed"})
_SUCCESSIONS: Final = 200
_LONGEST_WAIT_S: Final = 60.0
_FAILURES_WORTH_A_LEAF: Final = 3
_BETWEEN_FAILURES_MS: Final = 15 * 60 * 1000
_SUCCESSION: Final = TrailQuery(wanted=Terms(action=(str(Action.AUDIT_LOG_SUCCEEDED),)))
_AUDITOR: Final = Caller(actor=Actor(kind=ActorKind.PROCESS, id="auditor"))

log = structlog.get_logger()


class Connection(Protocol):
    """An open connection to the receiver; every failure is a slug."""

    def send(self, frames: bytes) -> None:
        """Hand *frames* over; that proves nothing."""
        ...

    def check(self) -> None:
        """Raise if the receiver has ended it."""
        ...

    def confirm(self) -> None:
        """End it; return when the receiver has read everything."""
        ...

    def close(self) -> None:
        """Drop it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamConfig:
    """What is sent, and how often its arrival is made sure of."""

    syslog: SyslogConfig
    query: TrailQuery = EVERYTHING
    confirm_every_s: float = 30.0
    "Seconds that the oldest entry sent may wait for its confirmation."
    most_unconfirmed: int = 5000
    "Entries that are sent again at most after a connection broke."
    checkpoint_every_s: float = 3600.0
    "Seconds between messages with the newest checkpoint; 0: none."
    warning: str = ""
    "What readiness has to say about how it is sent."


class Streaming:
    """Implements `Duty` and `Telling`; one thread calls `run`."""

    name: Final = "streaming"
    interval_s: Final = 2.0

    def __init__(
        self,
        trail: TrailSource,
        leaves: Trail,
        places: StreamPlaces,
        connect: Callable[[], Connection],
        config: StreamConfig,
        *,
        verifier: Verifier,
        clock: Clock = system_clock_ns,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        """Send what *trail* holds over what *connect* opens.

        Args:
            trail: The log, to read.
            leaves: The log, to say in it how the stream stands.
            places: Where the place is kept.
            connect: Opens a connection to the receiver, or raises `UnavailableError`
                with a slug.
            config: What to send.
            verifier: The log's public key.
            clock: For times in messages and leaves.
            ticks: Seconds that only pass.
        """
        self._trail = trail
        self._leaves = leaves
        self._places = places
        self._connect = connect
        self._config = config
        self._verifier = verifier
        self._clock = clock
        self._ticks = ticks
        self._place: StreamPlace | None = None
        self._connection: Connection | None = None
        self._sent = 0
        "Index of the first entry that is not on its way yet."
        self._carried = 0
        "Messages that the open connection has carried."
        self._oldest_s: float | None = None
        "Tick at which the first of those was sent."
        self._window = config.most_unconfirmed
        self._size = 0
        self._waiting_since_ns: int | None = None
        self._since_ns: int | None = None
        self._reason = ""
        self._last_reason = ""
        self._failures = 0
        self._not_before_s = 0.0
        self._frames = StreamFrames(config.syslog, config.query, clock)
        self._checkpoint_due_s = self._ticks()

    # ------------------------------------------------------------------ a round

    def run(self) -> None:
        """Send what is new; see `Duty`.

        Raises:
            UnavailableError: The receiver, the log or the disk is not there now.
            TrailBrokenError: The log is shorter than what was sent of it, or its
                checkpoint is not signed by its key.
        """
        if self._ticks() < self._not_before_s:
            raise UnavailableError(f"the receiver: {self._reason}")
        if self._place is None:
            self._place = self._places.read()
            self._sent = self._place.next
        place = self._rewound(self._place)
        note = self._trail.checkpoint()
        checkpoint = opened(self._verifier, note)
        place = self._followed(place, checkpoint)
        self._size = checkpoint.size
        if checkpoint.size < place.next:
            raise TrailBrokenError(
                f"{place.next} entries were sent, and the log has {checkpoint.size}"
            )
        self._look()
        until_s = self._ticks() + _ROUND_S
        while self._sent < checkpoint.size and self._ticks() < until_s:
            self._send_batch(checkpoint)
            self._confirm_if_due()
        self._send_checkpoint(note, checkpoint)
        self._confirm_if_due()

    def _rewound(self, place: StreamPlace) -> StreamPlace:
        to = self._places.asked_rewind()
        if to is None:
            return place
        if to < place.next:
            place = replace(place, next=to)
            self._places.write(place)
            log.info(REWOUND, to=to)
        self._drop(place)
        self._places.forget_rewind()
        return place

    def _followed(self, place: StreamPlace, checkpoint: Checkpoint) -> StreamPlace:
        """Go over to the log that succeeded the one of *place* (ADR 26)."""
        if place.origin == checkpoint.origin:
            return place
        start = place.next
        if place.origin:
            # It shares its beginning with the log before; what follows the first
            # entry of its own has other content under the same index.
            start = min(start, self._first_own_after(place.origin))
        place = replace(place, origin=checkpoint.origin, next=start)
        self._drop(place)
        self._places.write(place)
        return place

    def _first_own_after(self, origin: str) -> int:
        """Return where the logs after *origin* first say something of their own."""
        # Newest first: it may have been restored more than once meanwhile.
        later = [
            row.index
            for row in self._trail.page(_SUCCESSION, limit=_SUCCESSIONS).items
            if not precedes(_predecessor(row), origin)
        ]
        return min(later, default=0)

    def _look(self) -> None:
        """Notice that the receiver has gone before anything more is sent to it."""
        if self._connection is None:
            return
        try:
            self._connection.check()
        except UnavailableError as exc:
            carried = self._carried
            self._drop(self._at)
            # An idle connection that is closed costs nothing: there is another.
            if carried:
                raise self._failed(str(exc)) from None

    def _send_batch(self, checkpoint: Checkpoint) -> None:
        start = self._sent
        stop = min(
            checkpoint.size, start + _BATCH, self._at.next + max(self._window, 1)
        )
        batch = self._trail.batch(start, stop, query=self._config.query)
        following = stop if batch.next is None else min(batch.next, stop)
        frames = list(self._frames.of(batch.rows, start, following, checkpoint))
        if frames:
            if self._waiting_since_ns is None:
                self._waiting_since_ns = time_of(batch.rows) or self._clock()
            self._deliver(b"".join(frames), len(frames))
        self._sent = following

    def _send_checkpoint(self, note: str, checkpoint: Checkpoint) -> None:
        every_s = self._config.checkpoint_every_s
        if not every_s or self._ticks() < self._checkpoint_due_s:
            return
        frame = self._frames.checkpoint(note, checkpoint)
        self._deliver(frame, 1)
        self._checkpoint_due_s = self._ticks() + every_s

    # --------------------------------------------------------- to the receiver

    def _deliver(self, frames: bytes, count: int) -> None:
        with self._linked():
            if self._connection is None:
                self._connection = self._connect()
            self._connection.send(frames)
        self._carried += count
        if self._oldest_s is None:
            self._oldest_s = self._ticks()

    def _confirm_if_due(self) -> None:
        """Make sure of what was sent, and move the place, when it is time."""
        if self._sent - self._at.next < self._window and not self._is_old():
            return
        if self._connection is not None and self._carried:
            connection, self._connection = self._connection, None
            with self._linked():
                connection.confirm()
            self._worked()
            self._window = min(self._window * 2, self._config.most_unconfirmed)
        place = replace(self._at, next=self._sent)
        try:
            self._places.write(place)
        except UnavailableError:
            self._drop(self._at)
            raise
        self._drop(place)

    def _is_old(self) -> bool:
        if self._oldest_s is None:
            # What no message was sent about needs no proof; a batch of it is enough.
            return not self._carried and self._sent - self._at.next >= _BATCH
        return self._ticks() - self._oldest_s >= self._config.confirm_every_s

    @contextmanager
    def _linked(self) -> Iterator[None]:
        try:
            yield
        except UnavailableError as exc:
            if str(exc) in _TOO_SLOW:
                # It may need longer than it has for all of it.
                self._window = max(1, self._window // 2)
            self._drop(self._at)
            raise self._failed(str(exc)) from None
        except BaseException:
            # Whatever it was: what this connection carried is not known to be there.
            self._drop(self._at)
            raise

    def _drop(self, place: StreamPlace) -> None:
        """Go on from *place* over another connection."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._carried, self._oldest_s = None, 0, None
        if place.next != self._at.next:
            self._waiting_since_ns = None
        self._place, self._sent = place, place.next

    @property
    def _at(self) -> StreamPlace:
        return self._place or StreamPlace()

    # ----------------------------------------------------------- how it stands

    def _worked(self) -> None:
        if self._since_ns is None:
            self._since_ns = self._clock()
        self._failures, self._reason = 0, ""
        if self._at.said != STARTED:
            self._say(Action.AUDIT_STREAM_STARTED, STARTED, Result.OK)

    def _failed(self, reason: str) -> UnavailableError:
        self._failures += 1
        self._reason = self._last_reason = reason
        self._since_ns = None
        wait_s = min(2.0 ** min(self._failures, 16), _LONGEST_WAIT_S)
        self._not_before_s = self._ticks() + wait_s
        rested = self._now_ms() - self._at.said_at_ms >= _BETWEEN_FAILURES_MS
        worth = self._failures >= _FAILURES_WORTH_A_LEAF and self._at.said != FAILED
        if worth and (rested or not self._at.said):
            self._say(Action.AUDIT_STREAM_FAILED, FAILED, Result.FAILED, reason)
        return UnavailableError(f"the receiver: {reason}")

    def _say(self, action: Action, said: str, result: Result, reason: str = "") -> None:
        detail: dict[str, str | int] = {
            "entry": self._at.next,
            "format": self._config.syslog.format.name,
        }
        draft = Draft(
            action=action, caller=_AUDITOR, result=result, reason=reason, detail=detail
        )
        place = replace(self._at, said=said, said_at_ms=self._now_ms())
        # What cannot be said is said at the next occasion: nothing depends on it.
        with suppress(VaultError):
            self._leaves.append(draft)
            self._place = place
            self._places.write(place)

    def _now_ms(self) -> int:
        return self._clock() // _NS_PER_MS

    def facts(self) -> Mapping[str, JsonValue]:
        """See `Telling`."""
        waiting_ns, place = self._waiting_since_ns, self._at
        lag_s = 0 if waiting_ns is None else (self._clock() - waiting_ns) // NS_PER_S
        found: dict[str, JsonValue] = {
            "alarms": self._frames.alarms,
            "lag_entries": max(0, self._size - place.next),
            "lag_s": max(0, lag_s),
            "last_reason": self._last_reason,
            "next": place.next,
            "since_ns": self._since_ns,
        }
        return found | (
            {"warning": self._config.warning} if self._config.warning else {}
        )


def _predecessor(row: LoggedEntry) -> str:
    detail = row.entry.members.get("detail")
    return str(detail.get("predecessor", "")) if isinstance(detail, dict) else ""
