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
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    and_,
    func,
    or_,
    select,
)

from vault.audit import tree
from vault.audit.entry import Entry
from vault.audit.tables import (
    THE_ROW,
    log_checkpoint,
    log_entry,
    log_head,
    log_node,
    log_text,
)
from vault.core.canonical import JsonValue
from vault.core.errors import InvalidInputError, NotFoundError, TrailBrokenError
from vault.database.engine import reading

MAX_PAGE: Final = 200
"Entries of one page at most."

_BATCH: Final = 1000
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{2,18}Z?)?")
_INDEXED: Final = ("time", "action", "actor", "result", "recording")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The size of the log, in entries, and the root of its tree."""

    size: int
    root: bytes


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


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailQuery:
    """Which entries; empty members select everything.

    Times are RFC 3339 in UTC or a beginning of it (``2026-11-23``); *since* is
    included, *until* is not.
    """

    actor: str = ""
    action: str = ""
    recording: str = ""
    result: str = ""
    since: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        for bound in (self.since, self.until):
            if bound and not _TIME.fullmatch(bound):
                raise InvalidInputError("not a time: write 2026-11-23T06:16:09Z")

    def members(self) -> dict[str, JsonValue]:
        """Return the members that select anything, for headers and logs."""
        named = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: value for name, value in named.items() if value}

    def selects(self, entry: Mapping[str, JsonValue]) -> bool:
        """Tell whether *entry* (its members) is one of those asked for."""
        equal = ("actor", "action", "recording", "result")
        time = str(entry.get("time", ""))
        return (
            all(
                not getattr(self, name) or entry.get(name) == getattr(self, name)
                for name in equal
            )
            and time >= self.since
            and (not self.until or time < self.until)
        )


EVERYTHING: Final = TrailQuery()


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
                yield StoredEntry(index=row.position, octets=row.octets, leaf=row.leaf)
            if len(rows) < _BATCH:
                return
            start = rows[-1].position + 1

    def checkpoint_sizes(self, *, after: int, limit: int) -> list[int]:
        """Return the next sizes, in order, at which a checkpoint was signed."""
        statement = (
            select(log_checkpoint.c.size)
            .where(log_checkpoint.c.size > after)
            .order_by(log_checkpoint.c.size)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            return list(connection.execute(statement).scalars())

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

    def nodes(self, level: int, start: int, stop: int) -> list[bytes]:
        """Return the nodes of *level* from *start* to *stop*, for tiles.

        Raises:
            NotFoundError: The log has not grown that far.
        """
        statement = (
            select(log_node.c.hash)
            .where(
                log_node.c.level == level,
                log_node.c.position >= start,
                log_node.c.position < stop,
            )
            .order_by(log_node.c.position)
        )
        with reading(self._engine) as connection:
            found = list(connection.execute(statement).scalars())
        if len(found) != stop - start:
            raise NotFoundError(f"no such nodes on level {level}")
        return found

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


def head_of(connection: Connection) -> Head:
    """Return the head as *connection* sees it."""
    row = connection.execute(
        select(log_head.c.size, log_head.c.root).where(log_head.c.id == THE_ROW)
    ).one_or_none()
    if row is None:
        raise TrailBrokenError("the log has no head")
    return Head(size=row.size, root=row.root)


def checkpoint_of(connection: Connection, size: int) -> str | None:
    """Return the note signed at *size* entries, if a commit ended there."""
    return connection.execute(
        select(log_checkpoint.c.note).where(log_checkpoint.c.size == size)
    ).scalar_one_or_none()


def nodes_of(connection: Connection) -> tree.ReadNodes:
    """Return a reader of nodes for `vault.audit.tree` over *connection*."""

    def read(wanted: Collection[tree.NodeId]) -> Mapping[tree.NodeId, bytes]:
        if not wanted:
            return {}
        # At most 64 levels with a few nodes each: a short OR, not a table scan.
        clauses = [
            and_(log_node.c.level == level, log_node.c.position == position)
            for level, position in wanted
        ]
        rows = connection.execute(select(log_node).where(or_(*clauses)))
        found = {(row.level, row.position): row.hash for row in rows}
        missing = set(wanted) - set(found)
        if missing:
            level, position = min(missing)
            raise TrailBrokenError(f"node {position} of level {level} is missing")
        return found

    return read


def indexed_columns(entry: Entry) -> dict[str, str | None]:
    """Return what `log_entry` repeats of *entry*, to find it by."""
    found: dict[str, str | None] = {}
    for name in _INDEXED:
        value = entry.members.get(name)
        found[name] = value if isinstance(value, str) else None
    return found


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
        for name in ("actor", "action", "recording", "result")
        if getattr(query, name)
    ]
    if query.since:
        found.append(log_entry.c.time >= query.since)
    if query.until:
        found.append(log_entry.c.time < query.until)
    return found


def _sound(row: Row[Any]) -> LoggedEntry:
    """Return the entry of a row that agrees with the tree and with itself."""
    _require_leaf(StoredEntry(index=row.position, octets=row.octets, leaf=row.leaf))
    entry = Entry.parse(row.octets)
    repeated = {name: getattr(row, name) for name in _INDEXED}
    if repeated != indexed_columns(entry):
        raise TrailBrokenError(f"entry {row.position} was found by changed columns")
    return LoggedEntry(index=row.position, entry=entry)


def _require_leaf(stored: StoredEntry) -> None:
    if stored.leaf != tree.leaf_hash(stored.octets):
        raise TrailBrokenError(f"entry {stored.index} is not what was logged")


def _position(cursor: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", cursor):
        raise InvalidInputError("not a cursor")
    return int(cursor)
