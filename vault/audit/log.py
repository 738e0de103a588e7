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
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sqlalchemy import Connection, Engine, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from vault.audit import mark as marks
from vault.audit import tree
from vault.audit.checkpoint import Checkpoint, Signer
from vault.audit.commit import (
    Texts,
    insert_entries,
    insert_texts,
    insert_tree,
    swap_head,
)
from vault.audit.entry import MAX_ENTRY_BYTES, Action, Draft, Entry, compose
from vault.audit.mark import Mark, WriterLock
from vault.audit.rows import checkpoint_of, head_of, indexed_columns, nodes_of
from vault.audit.schema import upgrade_audit
from vault.audit.tables import log_entry, log_probe, log_text
from vault.core.clock import Clock, rfc3339, system_clock_ns
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    DatabaseUnavailableError,
    InvalidInputError,
    TrailBrokenError,
)
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import new_id
from vault.database.engine import reading, transaction

_ADVISORY_LOCK: Final = 0x0CA11_A0D17
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
        clock: Clock = system_clock_ns,
    ) -> None:
        """Prepare; nothing is touched before `open`.

        Args:
            engine: The audit database.
            signer: The log's signing key.
            origin: Name of the log, the first line of its checkpoints.
            mark_path: The high-water mark, outside the database.
            clock: Gives the time of the first entry, in ns since the epoch.
        """
        self._engine = engine
        self._signer = signer
        self._origin = origin
        self._mark_path = mark_path
        self._clock = clock
        self._mutex = threading.Lock()
        self._lock: WriterLock | None = None
        self._presence: Connection | None = None
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
                    self._commit([self._genesis()], [{}])
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stop writing and let the next writer in."""
        self._edge = None
        self._leave()
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
            if self._edge is None or not self._is_present():
                self._resume_writing()
            return self._commit(parsed, kept)

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

    def _commit(self, entries: Sequence[Entry], texts: Texts) -> range:
        before = self._edge
        if before is None:
            raise RuntimeError("the log was not resumed")
        # 1. Grow the tree and sign, in memory.
        edge = before.copy()
        octets = [bytes(entry) for entry in entries]
        nodes = [node for one in octets for node in edge.append(tree.leaf_hash(one))]
        checkpoint = Checkpoint(origin=self._origin, size=edge.size, root=edge.root())
        note = self._signer.sign_checkpoint(checkpoint)
        # Until all is durable we do not know where the log stands: whatever
        # fails below, the next append looks before it signs again.
        self._edge = None
        # 2. Everything in one transaction, head first: it is what serialises.
        try:
            with transaction(self._engine) as connection:
                swap_head(connection, before, checkpoint)
                insert_entries(connection, before.size, entries, octets)
                insert_tree(connection, nodes, size=edge.size, note=note)
                insert_texts(connection, before.size, texts)
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
        self._arrive()
        mark = marks.read(self._mark_path)
        with reading(self._engine) as connection:
            edge, checkpoint, note = self._verified_head(connection)
            # 1. A log without a mark has lost its memory: only an empty one may
            #    begin.  The mark of an empty log is written before its first entry.
            if mark is None:
                if edge.size > 0:
                    raise TrailBrokenError(
                        f"the log has {edge.size} entries and no high-water mark"
                    )
                mark = marks.NOTHING_YET
                marks.write(self._mark_path, mark)
            # 2. The mark must be ours.
            self._require_own(mark)
            # 3. Behind the mark: restored, truncated or swapped.
            if edge.size < mark.size:
                raise TrailBrokenError(
                    f"the log has {edge.size} entries, and {mark.size} were signed"
                )
            # 4. Ahead of the mark: a crash came between commit and mark, if the
            #    log begins with what was signed.
            _require_growth(connection, mark, checkpoint)
        if checkpoint.size > mark.size:
            marks.write(self._mark_path, Mark.of(checkpoint, note))
        self._edge, self._size = edge, edge.size

    def _verified_head(
        self, connection: Connection
    ) -> tuple[tree.Edge, Checkpoint, str]:
        """Return the right edge, after comparing head, nodes, rows and signature."""
        head = head_of(connection)
        wanted = tree.subtrees(0, head.size)
        nodes = nodes_of(connection)(wanted)
        edge = tree.Edge(head.size, [nodes[node] for node in wanted])
        if edge.root() != head.root:
            raise TrailBrokenError("the head of the log does not match its tree")
        last = connection.execute(select(func.max(log_entry.c.position))).scalar()
        if (last if last is not None else -1) != head.size - 1:
            raise TrailBrokenError(f"the entries do not end at {head.size}")
        checkpoint = Checkpoint(origin=self._origin, size=head.size, root=head.root)
        if head.size == 0:
            return edge, checkpoint, ""
        note = checkpoint_of(connection, head.size)
        if note is None:
            raise TrailBrokenError(f"the checkpoint of size {head.size} is missing")
        if self._signer.verifier.open_checkpoint(note) != checkpoint:
            raise TrailBrokenError("the newest checkpoint is not of this log")
        return edge, checkpoint, note

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

    def _arrive(self) -> None:
        """Hold PostgreSQL's advisory lock, on a connection of its own.

        Two machines do not see each other's lock files.  The lock ends with the
        connection, so it is taken anew whenever the log is resumed.
        """
        if self._is_present():
            return
        self._leave()
        query = text("SELECT pg_try_advisory_lock(:key)")
        try:
            self._presence = self._engine.connect()
            taken = self._presence.execute(query, {"key": _ADVISORY_LOCK}).scalar()
            self._presence.commit()
        except SQLAlchemyError as exc:
            raise DatabaseUnavailableError(
                f"the database failed ({type(exc).__name__})"
            ) from None
        if not taken:
            self._leave()
            raise ConflictError("another process writes this log")

    def _is_present(self) -> bool:
        if self._presence is None:
            return self._engine.dialect.name != "postgresql"
        try:
            self._presence.execute(text("SELECT 1"))
            self._presence.commit()
        except SQLAlchemyError:
            return False
        return True

    def _leave(self) -> None:
        if self._presence is not None:
            with suppress(SQLAlchemyError):
                query = text("SELECT pg_advisory_unlock(:key)")
                self._presence.execute(query, {"key": _ADVISORY_LOCK})
            # Not back into the pool, in case the lock lives on there.
            self._presence.invalidate()
            self._presence.close()
            self._presence = None


def _parsed(octets: bytes) -> Entry:
    if len(octets) > MAX_ENTRY_BYTES:
        raise InvalidInputError(f"an entry of {len(octets)} octets")
    entry = Entry.parse(octets)
    columns = indexed_columns(entry)
    if any(columns[name] is None for name in ("time", "action", "actor", "result")):
        raise InvalidInputError("an entry without time, action, actor or result")
    return entry


def _require_growth(connection: Connection, mark: Mark, now: Checkpoint) -> None:
    if mark.size == 0:
        return  # every log begins with the empty one
    proof = tree.consistency_proof(mark.size, now.size, nodes_of(connection))
    tree.verify_consistency(
        old_size=mark.size,
        new_size=now.size,
        old_root=mark.root,
        new_root=now.root,
        proof=proof,
    )
