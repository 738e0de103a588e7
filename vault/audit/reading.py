"""Reading the log: entries, pages, checkpoints and proofs.

Guarantees:
    * Entries that are shown to a person (`newest`, `search`) were compared with
      their leaf in the tree and with the columns they were found by; a row that
      contradicts itself raises instead of being shown.
    * `stream` does not judge: an export shows what is there, and the verifier
      names what is wrong with it.
    * Every call reads one consistent state and never waits for the writer.

Left to others: who may read, and the leaf that says so (`vault.web`, by way of
`vault.trust`); judging an export (`vault.audit.verify`).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, Row, Select, and_, func, select

from vault.audit import tree
from vault.audit.entry import Entry
from vault.audit.query import EQUAL, EVERYTHING, TrailQuery
from vault.audit.rows import (
    INDEXED,
    Head,
    checkpoint_of,
    head_of,
    indexed_columns,
    nodes_of,
)
from vault.audit.tables import log_checkpoint, log_entry, log_node, log_text
from vault.audit.tiles import TileName, encode_bundle, encode_hashes
from vault.core.errors import InvalidInputError, NotFoundError, TrailBrokenError
from vault.database.engine import reading

MAX_PAGE: Final = 200
"Entries of one page at most."

_BATCH: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedEntry:
    """One entry with its place in the log."""

    index: int
    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailPage:
    """Entries, newest first, and where the next page begins."""

    items: tuple[LoggedEntry, ...]
    next: str | None
    "Cursor for the next page; None on the last one."


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEntry:
    """What the database holds for one index, believed or not."""

    index: int
    octets: bytes
    leaf: bytes | None
    "The leaf hash as the tree has it; None where the node is missing."


class TrailReader:
    """Reads the audit database; any number of them, in any process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def head(self) -> Head:
        """Return size and root as of now.

        Raises:
            DatabaseUnavailableError: The database failed.
            TrailBrokenError: There is no head: this is not a log.
        """
        with reading(self._engine) as connection:
            return head_of(connection)

    def checkpoint(self, size: int | None = None) -> str:
        """Return the signed note of the log at *size* entries, or as of now.

        Raises:
            NotFoundError: No commit ended at that size.
            TrailBrokenError: The log has a head without a checkpoint.
        """
        with reading(self._engine) as connection:
            wanted = head_of(connection).size if size is None else size
            note = checkpoint_of(connection, wanted)
        if note is not None:
            return note
        if size is None and wanted > 0:
            raise TrailBrokenError(f"the checkpoint of size {wanted} is missing")
        raise NotFoundError(f"no checkpoint of size {wanted}")

    def entries(self, start: int, stop: int) -> list[bytes]:
        """Return the octets of entries *start* to *stop* (excluded), in order.

        Raises:
            TrailBrokenError: One of them is missing, or is not what was hashed.
        """
        found = list(self.stream(start, stop))
        for expected, stored in enumerate(found, start):
            if stored.index != expected:
                raise TrailBrokenError(f"entry {expected} is missing")
            _require_leaf(stored)
        if len(found) < stop - start:
            raise TrailBrokenError(f"entry {start + len(found)} is missing")
        return [stored.octets for stored in found]

    def newest(
        self, limit: int = 50, *, before: int | None = None
    ) -> tuple[LoggedEntry, ...]:
        """Return the newest entries, newest first, older than index *before*."""
        cursor = None if before is None else str(before)
        return self.search(cursor=cursor, limit=limit).items

    def search(
        self,
        *,
        actor: str = "",
        action: str = "",
        recording: str = "",
        result: str = "",
        since: str = "",
        until: str = "",
        cursor: str | None = None,
        limit: int = 50,
    ) -> TrailPage:
        """Return a page of the entries that match all that is given.

        Args:
            actor: As it is spelled in entries: ``user:<uuid>``.
            action: One `Action`.
            recording: Id of a recording.
            result: ``ok``, ``refused`` or ``failed``.
            since: Earliest time, RFC 3339 in UTC or a beginning of it.
            until: First time that is too late.
            cursor: ``next`` of the page before.
            limit: Entries on the page, 200 at most.

        Raises:
            InvalidInputError: A time or the cursor does not parse.
            TrailBrokenError: An entry found is not what was logged.
        """
        query = TrailQuery(
            actor=actor,
            action=action,
            recording=recording,
            result=result,
            since=since,
            until=until,
        )
        limit = max(1, min(limit, MAX_PAGE))
        statement = (
            _selecting(query).order_by(log_entry.c.position.desc()).limit(limit + 1)
        )
        if cursor is not None:
            statement = statement.where(log_entry.c.position < _position(cursor))
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
        items = tuple(_sound(row) for row in rows[:limit])
        more = len(rows) > limit
        return TrailPage(items=items, next=str(items[-1].index) if more else None)

    def count(self, query: TrailQuery, *, size: int) -> int:
        """Return how many of the first *size* entries match *query*."""
        statement = (
            select(func.count())
            .select_from(log_entry)
            .where(log_entry.c.position < size, *_conditions(query))
        )
        with reading(self._engine) as connection:
            return int(connection.execute(statement).scalar_one())

    def stream(
        self, start: int, stop: int, *, query: TrailQuery = EVERYTHING
    ) -> Iterator[StoredEntry]:
        """Give what is stored from *start* to *stop* (excluded), unjudged.

        Memory stays flat: rows are read 1000 at a time.
        """
        while start < stop:
            statement = (
                _selecting(query)
                .where(log_entry.c.position >= start, log_entry.c.position < stop)
                .order_by(log_entry.c.position)
                .limit(_BATCH)
            )
            with reading(self._engine) as connection:
                rows = connection.execute(statement).all()
            for row in rows:
                yield _stored(row)
            if len(rows) < _BATCH:
                return
            start = rows[-1].position + 1

    def next_checkpoint(self, *, at_least: int, below: int) -> tuple[int, str] | None:
        """Return the first signed size from *at_least* on, and its note."""
        statement = (
            select(log_checkpoint.c.size, log_checkpoint.c.note)
            .where(log_checkpoint.c.size >= at_least, log_checkpoint.c.size < below)
            .order_by(log_checkpoint.c.size)
            .limit(1)
        )
        with reading(self._engine) as connection:
            row = connection.execute(statement).one_or_none()
        return None if row is None else (row.size, str(row.note))

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that entry *index* is in the log of *size* entries.

        Raises:
            NotFoundError: The log never had that size, or no such entry.
            TrailBrokenError: A node that the proof needs is missing.
        """
        with reading(self._engine) as connection:
            if not 0 <= index < size <= head_of(connection).size:
                raise NotFoundError(f"no entry {index} in a log of {size}")
            return tree.inclusion_proof(index, size, nodes_of(connection))

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """Return the proof that the log of *old_size* begins that of *new_size*.

        Raises:
            NotFoundError: The log never had one of the sizes.
            TrailBrokenError: A node that the proof needs is missing.
        """
        with reading(self._engine) as connection:
            if not 0 < old_size <= new_size <= head_of(connection).size:
                raise NotFoundError(f"no proof from {old_size} to {new_size}")
            return tree.consistency_proof(old_size, new_size, nodes_of(connection))

    def tile(self, name: TileName) -> bytes:
        """Return the octets of one tile or entry bundle.

        Raises:
            NotFoundError: The log has not grown that far.
            TrailBrokenError: An entry of it is not what was logged.
        """
        span = name.span
        if name.level is None:
            if span.stop > self.head().size:
                raise NotFoundError(f"no {name}")
            return encode_bundle(self.entries(span.start, span.stop))
        statement = (
            select(log_node.c.hash)
            .where(
                log_node.c.level == name.tree_level,
                log_node.c.position >= span.start,
                log_node.c.position < span.stop,
            )
            .order_by(log_node.c.position)
        )
        with reading(self._engine) as connection:
            found = list(connection.execute(statement).scalars())
        if len(found) != len(span):
            raise NotFoundError(f"no {name}")
        return encode_hashes(found)

    def sealed_texts(
        self, indices: Collection[int]
    ) -> Mapping[int, Mapping[str, bytes]]:
        """Return the sealed text kept for entries: index → field → sealed.

        Erased ones are absent.  `vault.audit.texts.open_text` opens them.
        """
        statement = select(log_text).where(log_text.c.position.in_(list(indices)))
        found: dict[int, dict[str, bytes]] = {}
        with reading(self._engine) as connection:
            for row in connection.execute(statement):
                found.setdefault(row.position, {})[row.field] = row.sealed
        return found

    def delivered(self, source: str, sequence: Sequence[int]) -> frozenset[int]:
        """Return which of a source's own sequence numbers are already logged."""
        statement = select(log_entry.c.source_seq).where(
            log_entry.c.source == source, log_entry.c.source_seq.in_(list(sequence))
        )
        with reading(self._engine) as connection:
            return frozenset(connection.execute(statement).scalars())


def _selecting(query: TrailQuery) -> Select[Any]:
    return (
        select(log_entry, log_node.c.hash.label("leaf"))
        .join_from(
            log_entry,
            log_node,
            and_(log_node.c.level == 0, log_node.c.position == log_entry.c.position),
            isouter=True,
        )
        .where(*_conditions(query))
    )


def _conditions(query: TrailQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [
        log_entry.c[name] == getattr(query, name)
        for name in EQUAL
        if getattr(query, name)
    ]
    if query.since:
        found.append(log_entry.c.time >= query.since)
    if query.until:
        found.append(log_entry.c.time < query.until)
    return found


def _sound(row: Row[Any]) -> LoggedEntry:
    """Return the entry of a row that agrees with the tree and with itself."""
    stored = _stored(row)
    _require_leaf(stored)
    entry = Entry.parse(stored.octets)
    repeated = {name: getattr(row, name) for name in INDEXED}
    if repeated != indexed_columns(entry):
        raise TrailBrokenError(f"entry {row.position} was found by changed columns")
    return LoggedEntry(index=row.position, entry=entry)


def _stored(row: Row[Any]) -> StoredEntry:
    # SQLite keeps any type in any column: what an intruder left may be text or a
    # number.  It is shown as octets, and its leaf hash will not match.
    octets = row.octets if isinstance(row.octets, bytes) else str(row.octets).encode()
    leaf = row.leaf if isinstance(row.leaf, bytes) else None
    return StoredEntry(index=row.position, octets=octets, leaf=leaf)


def _require_leaf(stored: StoredEntry) -> None:
    if stored.leaf != tree.leaf_hash(stored.octets):
        raise TrailBrokenError(f"entry {stored.index} is not what was logged")


def _position(cursor: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", cursor):
        raise InvalidInputError("not a cursor")
    return int(cursor)
