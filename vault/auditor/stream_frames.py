"""What is sent of a batch of the log: a message per entry, alarms for the rest.

Guarantees: an entry that is not what was logged, or is gone, is an alarm in the stream
and does not stop it; what it says now is not passed on.

Left to others: the messages octet by octet (`vault.auditor.syslog`), sending them
(`vault.auditor.streaming`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from vault.audit.checkpoint import Checkpoint
from vault.audit.entry import Entry
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.source import LoggedEntry, StoredEntry, require_leaf
from vault.auditor.syslog import (
    ALARM_BROKEN,
    ALARM_MISSING,
    SyslogConfig,
    alarm_frame,
    checkpoint_frame,
    entry_frame,
)
from vault.core.clock import NS_PER_S, Clock, rfc3339
from vault.core.errors import InvalidInputError, TrailBrokenError


class StreamFrames:
    """Makes frames, and counts the alarms among them."""

    def __init__(self, config: SyslogConfig, query: TrailQuery, clock: Clock) -> None:
        """Write as *config* says what *query* selects, dated by *clock*."""
        self._config = config
        self._is_whole = query == EVERYTHING
        self._clock = clock
        self.alarms = 0
        "Messages so far about entries that are broken or missing."

    def of(
        self,
        rows: Sequence[StoredEntry],
        start: int,
        stop: int,
        checkpoint: Checkpoint,
    ) -> Iterator[bytes]:
        """Give the frames for what the log holds from *start* to *stop* (excluded).

        Args:
            rows: What was found there, in order.
            start: Index from which on was asked.
            stop: First index that was not asked for.
            checkpoint: That covers them.
        """
        expected, origin = start, checkpoint.origin
        for row in rows:
            yield from self._missing(expected, row.index, origin)
            expected = row.index + 1
            yield self._entry(row, checkpoint)
        yield from self._missing(expected, stop, origin)

    def checkpoint(self, note: str, checkpoint: Checkpoint) -> bytes:
        """Return the frame that carries *checkpoint* as it was signed (*note*)."""
        return checkpoint_frame(
            note,
            size=checkpoint.size,
            time=rfc3339(self._clock()),
            origin=checkpoint.origin,
            config=self._config,
        )

    def _entry(self, row: StoredEntry, checkpoint: Checkpoint) -> bytes:
        try:
            require_leaf(row)
            entry = Entry.parse(row.octets)
        except (TrailBrokenError, InvalidInputError):
            return self._alarm(ALARM_BROKEN, row.index, row.index, checkpoint.origin)
        return entry_frame(
            LoggedEntry(index=row.index, entry=entry),
            origin=checkpoint.origin,
            checkpoint=checkpoint.size,
            config=self._config,
        )

    def _missing(self, expected: int, found: int, origin: str) -> Iterator[bytes]:
        # Of a part of the log, only the log itself knows what is missing.
        if found > expected and self._is_whole:
            yield self._alarm(ALARM_MISSING, expected, found - 1, origin)

    def _alarm(self, msgid: str, first: int, last: int, origin: str) -> bytes:
        self.alarms += 1
        return alarm_frame(
            msgid,
            first,
            last,
            time=rfc3339(self._clock()),
            origin=origin,
            config=self._config,
        )


def time_of(rows: Sequence[StoredEntry]) -> int | None:
    """Return when the first of *rows* was logged, in nanoseconds, if it says so."""
    try:
        time = str(Entry.parse(rows[0].octets).members.get("time", ""))
        return int(datetime.fromisoformat(time).timestamp() * NS_PER_S)
    except (InvalidInputError, ValueError, OverflowError, IndexError):
        return None
