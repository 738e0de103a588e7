"""The writer of the log: one process, one commit, one signed checkpoint each time.

The order of a commit (DESIGN section 4), and what a crash after it leaves:

    1. grow the tree and sign the checkpoint in memory      nothing happened
    2. commit rows, nodes, head and checkpoint together,    nothing happened
       swapping the head by comparison
    3. write the high-water mark, fsync                     mark is behind: proved
                                                            and moved on at start
    4. answer                                               all is well

Guarantees:
    * When `append` returns, its entries are durable, in the tree, and under a
      signed checkpoint; when it raises, they may or may not be (an entry written
      twice is honest, a missing one is not).
    * The signer never signs two different logs of one size: a database that is
      behind the mark, or contradicts it, raises `TrailBrokenError` for good.
    * One writer: a lock beside the mark, an advisory lock on PostgreSQL, and the
      comparison at every commit.

Left to others: what is in an entry (`vault.audit.entry`), who may append and how
appends are batched (`vault.warden`).  Only the warden imports this module.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sqlalchemy import Engine, update

from vault.audit import mark as marks
from vault.audit import tree
from vault.audit.checkpoint import Checkpoint, Signer
from vault.audit.commit import Growth, Texts, write_commit
from vault.audit.entry import MAX_ENTRY_BYTES, Action, Draft, Entry, compose
from vault.audit.head import require_growth, verified_head
from vault.audit.mark import Mark, WriterLock
from vault.audit.presence import Presence
from vault.audit.rows import head_of, indexed_columns
from vault.audit.schema import upgrade_audit
from vault.audit.succession import newest_mark
from vault.audit.tables import log_probe, log_text
from vault.core.clock import Clock, rfc3339, system_clock_ns
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    TrailBrokenError,
)
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import new_id
from vault.database.engine import reading, transaction

_WRITER: Final = "warden"


class AuditLog:
    """The log, open for writing.  Thread-safe; callers queue for the commit."""

    def __init__(
        self,
        engine: Engine,
        *,
        signer: Signer,
        origin: str,
        mark_path: Path,
        anchored: str | None = None,
        clock: Clock = system_clock_ns,
    ) -> None:
        """Prepare; nothing is touched before `open`.

        Args:
            engine: The audit database.
            signer: The log's signing key.
            origin: Name of the log, the first line of its checkpoints.
            mark_path: The high-water mark, outside the database.
            anchored: A checkpoint that was published; a stand-by remembers by it.
            clock: Gives the time of the first entry, in ns since the epoch.
        """
        self._engine = engine
        self._signer = signer
        self._origin = origin
        self._mark_path = mark_path
        self._anchored = anchored
        self._clock = clock
        self._mutex = threading.Lock()
        self._lock: WriterLock | None = None
        self._presence = Presence(engine)
        self._edge: tree.Edge | None = None
        self._size = 0

    @property
    def size(self) -> int:
        """Entries in the log, as of the last commit."""
        return self._size

    @property
    def verifier_key(self) -> str:
        """The public key that officers check the log with."""
        return str(self._signer.verifier)

    def open(self) -> Self:
        """Become the writer: check the log against the mark, or begin a new one.

        Raises:
            ConflictError: Another process writes this log.
            TrailBrokenError: The database contradicts the mark or itself.
            DatabaseUnavailableError: The database failed.
            AuditUnavailableError: The mark cannot be read or written.
        """
        if self._lock is not None:
            raise RuntimeError("the log is already open")
        self._lock = WriterLock(self._mark_path)
        try:
            with self._mutex:
                upgrade_audit(self._engine)
                self._resume()
                if self._size == 0:
                    first = self._genesis()
                    self._commit([first], [bytes(first)], [{}])
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stop writing and let the next writer in."""
        self._edge = None
        self._presence.leave()
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def append(self, entries: Sequence[bytes], texts: Texts | None = None) -> range:
        """Append *entries* in one commit and return when they are durable.

        Args:
            entries: Canonical entries, in order; one commit, however many.
            texts: For each entry the free text to keep sealed beside the log.

        Returns:
            The indices given to them.

        Raises:
            InvalidInputError: One of them is not a canonical entry; none is
                written.
            ConflictError: A (source, seq) that is already in the log; none is
                written.
            TrailBrokenError: The database is not what was signed.
            UnavailableError: Database or mark failed; unknown whether they were
                written.  Safe to retry.
        """
        if self._lock is None:
            raise RuntimeError("the log is not open")
        if not entries:
            raise ValueError("nothing to append")
        kept = texts if texts is not None else [{}] * len(entries)
        if len(kept) != len(entries):
            raise ValueError("texts must match the entries one by one")
        parsed = [_parsed(octets) for octets in entries]
        with self._mutex:
            if self._edge is None or not self._presence.holds():
                self._resume_writing()
            return self._commit(parsed, entries, kept)

    def erase_text(self, index: int, field: str | None = None) -> int:
        """Forget the free text beside entry *index*; the log itself stays.

        Args:
            index: Which entry.
            field: Which of its texts; None for all.

        Returns:
            How many texts were erased.
        """
        statement = log_text.delete().where(log_text.c.position == index)
        if field is not None:
            statement = statement.where(log_text.c.field == field)
        with self._mutex, transaction(self._engine) as connection:
            return connection.execute(statement).rowcount

    def probe(self) -> None:
        """Commit a durable write beside the log: would an append work now?

        Raises:
            TrailBrokenError: The head is not the one we wrote.
            UnavailableError: The database failed.
        """
        with self._mutex, transaction(self._engine) as connection:
            connection.execute(update(log_probe).values(time_ns=self._clock()))
            edge, head = self._edge, head_of(connection)
            if edge is not None and (head.size, head.root) != (edge.size, edge.root()):
                raise TrailBrokenError("the head of the log was changed by others")

    def _commit(
        self, entries: Sequence[Entry], octets: Sequence[bytes], texts: Texts
    ) -> range:
        before = self._edge
        if before is None:
            raise RuntimeError("the log was not resumed")
        # 1. Grow the tree and sign, in memory.
        growth = Growth.of(before, entries, octets, texts)
        edge = growth.after
        checkpoint = Checkpoint(origin=self._origin, size=edge.size, root=edge.root())
        note = self._signer.sign_checkpoint(checkpoint)
        # Until all is durable we do not know where the log stands: whatever
        # fails below, the next append looks before it signs again.
        self._edge = None
        # 2. Everything in one transaction.
        try:
            write_commit(self._engine, growth, checkpoint, note)
        except (ConflictError, InvalidInputError):
            self._edge = before  # refused as a whole: we do know
            raise
        # 3. The mark, durable before anybody is told.
        marks.write(self._mark_path, Mark.of(checkpoint, note))
        # 4. Answer.
        self._edge, self._size = edge, edge.size
        return range(before.size, edge.size)

    def _resume_writing(self) -> None:
        try:
            self._resume()
        except ConflictError as exc:
            # Our own lost connection may hold the lock until the server notices.
            raise AuditUnavailableError(str(exc)) from None

    def _resume(self) -> None:
        """Find out where the log stands, trusting the mark before the database.

        Raises:
            TrailBrokenError: The database is behind the mark or contradicts it.
        """
        self._presence.take()
        own = marks.read(self._mark_path)
        mark = newest_mark(own, self._anchored)
        with reading(self._engine) as connection:
            stands = verified_head(connection, self._opened)
            edge = stands.edge
            # 1. A log without a mark has lost its memory: only an empty one may
            #    begin.  The mark of an empty log is written before its first entry.
            if mark is None:
                if edge.size > 0:
                    raise TrailBrokenError(
                        f"the log has {edge.size} entries and no high-water mark"
                    )
                mark = own = marks.NOTHING_YET
                marks.write(self._mark_path, mark)
            # 2. The mark must be ours.
            self._require_own(mark)
            # 3. Behind the mark: restored, truncated or swapped.
            if edge.size < mark.size:
                raise TrailBrokenError(
                    f"the log has {edge.size} entries, and {mark.size} were signed; "
                    "where a backup was restored: callvault audit succeed"
                )
            # 4. Ahead of the mark: a crash came between commit and mark, if the
            #    log begins with what was signed.
            require_growth(connection, mark, edge)
        if stands.signed is not None and (own is None or edge.size > own.size):
            marks.write(self._mark_path, Mark.of(stands.signed, stands.note))
        self._edge, self._size = edge, edge.size

    def _opened(self, note: str) -> Checkpoint:
        checkpoint = self._signer.verifier.open_checkpoint(note)
        if checkpoint.origin != self._origin:
            raise TrailBrokenError("the newest checkpoint is not of this log")
        return checkpoint

    def _require_own(self, mark: Mark) -> None:
        if mark == marks.NOTHING_YET:
            return
        signed = self._signer.verifier.open_checkpoint(mark.note, origin=self._origin)
        if (signed.size, signed.root) != (mark.size, mark.root):
            raise TrailBrokenError("the high-water mark contradicts its own note")

    def _genesis(self) -> Entry:
        draft = Draft(
            action=Action.AUDIT_LOG_CREATED,
            caller=Caller(actor=Actor(kind=ActorKind.PROCESS, id=_WRITER)),
        )
        time = rfc3339(self._clock())
        return compose(draft, id=new_id(), time=time, via=_WRITER, text_hmacs={})


def _parsed(octets: bytes) -> Entry:
    if len(octets) > MAX_ENTRY_BYTES:
        raise InvalidInputError(f"an entry of {len(octets)} octets")
    entry = Entry.parse(octets)
    columns = indexed_columns(entry)
    if any(columns[name] is None for name in ("time", "action", "actor", "result")):
        raise InvalidInputError("an entry without time, action, actor or result")
    return entry
