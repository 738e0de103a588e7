"""Reading the log from its database.

Guarantees:
    * What `vault.audit.source.LogSource` says; a row is also compared with the
      columns and the objects that it was found by, and with the query.
    * Every call reads one consistent state and never waits for the writer.

Left to others: who may read, and the leaf that says so (`vault.web`, by way of
`vault.trust`); judging an export (`vault.audit.verify`).
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Engine,
    Row,
    Select,
    and_,
    func,
    select,
)

from vault.audit import tree
from vault.audit.conditions import conditions_of
from vault.audit.entry import Entry
from vault.audit.query import EVERYTHING, TrailQuery, objects_of
from vault.audit.rows import (
    INDEXED,
    Head,
    checkpoint_of,
    head_of,
    indexed_columns,
    nodes_of,
)
from vault.audit.source import (
    MAX_BATCH,
    MAX_PAGE,
    Batch,
    LoggedEntry,
    LogSource,
    StoredEntry,
    TrailPage,
    require_leaf,
)
from vault.audit.tables import (
    log_checkpoint,
    log_entry,
    log_node,
    log_object,
    log_text,
)
from vault.audit.tiles import TileName
from vault.core.errors import InvalidInputError, NotFoundError, TrailBrokenError
from vault.database.engine import reading


class TrailReader(LogSource):
    """Reads the audit database; any number of them, in any process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def head(self) -> Head:
        """See `TrailSource`."""
        with reading(self._engine) as connection:
            return head_of(connection)

    def checkpoint(self, size: int | None = None) -> str:
        """See `TrailSource`."""
        with reading(self._engine) as connection:
            wanted = head_of(connection).size if size is None else size
            note = checkpoint_of(connection, wanted)
        if note is not None:
            return note
        if size is None and wanted > 0:
            raise TrailBrokenError(f"the checkpoint of size {wanted} is missing")
        raise NotFoundError(f"no checkpoint of size {wanted}")

    def page(
        self, query: TrailQuery, *, cursor: str | None = None, limit: int = 50
    ) -> TrailPage:
        """See `TrailSource`."""
        limit = max(1, min(limit, MAX_PAGE))
        # Positions first: what is sorted is numbers of an index, not whole entries.
        wanted = select(log_entry.c.position).where(*conditions_of(query))
        if cursor is not None:
            wanted = wanted.where(log_entry.c.position < _position(cursor))
        newest = wanted.order_by(log_entry.c.position.desc()).limit(limit + 1)
        found = newest.subquery("found")
        statement = _SELECTING.where(
            log_entry.c.position.in_(select(found.c.position))
        ).order_by(log_entry.c.position.desc())
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
            objects = _objects(connection, [row.position for row in rows])
        items = tuple(_sound(row, query, objects) for row in rows[:limit])
        more = len(rows) > limit
        return TrailPage(items=items, next=str(items[-1].index) if more else None)

    def count(self, query: TrailQuery, *, size: int) -> int:
        """See `TrailSource`."""
        statement = (
            select(func.count())
            .select_from(log_entry)
            .where(log_entry.c.position < size, *conditions_of(query))
        )
        with reading(self._engine) as connection:
            return int(connection.execute(statement).scalar_one())

    def batch(
        self,
        start: int,
        stop: int,
        *,
        query: TrailQuery = EVERYTHING,
        proofs_at: int = 0,
    ) -> Batch:
        """See `TrailSource`."""
        statement = (
            _SELECTING.where(*conditions_of(query, in_passing=True))
            .where(log_entry.c.position >= start, log_entry.c.position < stop)
            .order_by(log_entry.c.position)
            .limit(MAX_BATCH)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(statement).all()
            found = tuple(
                _stored(row, _proof(connection, row.position, proofs_at))
                for row in rows
            )
        more = len(found) == MAX_BATCH
        return Batch(rows=found, next=found[-1].index + 1 if more else None)

    def marks(
        self, at_least: int, *, spacing: int, below: int
    ) -> Iterator[tuple[int, str]]:
        """See `TrailSource`."""
        while True:
            statement = (
                select(log_checkpoint.c.size, log_checkpoint.c.note)
                .where(log_checkpoint.c.size >= at_least, log_checkpoint.c.size < below)
                .order_by(log_checkpoint.c.size)
                .limit(1)
            )
            with reading(self._engine) as connection:
                row = connection.execute(statement).one_or_none()
            if row is None:
                return
            yield row.size, str(row.note)
            at_least = row.size + spacing

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Return the proof that entry *index* is in the log of *size* entries.

        Raises:
            NotFoundError: The log never had that size, or no such entry.
            TrailBrokenError: A node that the proof needs is missing.
        """
        with reading(self._engine) as connection:
            if size < 1:
                raise NotFoundError("an empty log holds nothing")
            return list(_proof(connection, index, size))

    def consistency_proof(self, old_size: int, new_size: int) -> list[bytes]:
        """See `TrailSource`."""
        with reading(self._engine) as connection:
            if not 0 < old_size <= new_size <= head_of(connection).size:
                raise NotFoundError(f"no proof from {old_size} to {new_size}")
            return tree.consistency_proof(old_size, new_size, nodes_of(connection))

    def hashes(self, name: TileName) -> list[bytes]:
        """See `TrailSource`."""
        span = name.span
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
        return found

    def sealed_texts(
        self, indices: Collection[int]
    ) -> Mapping[int, Mapping[str, bytes]]:
        """See `LogSource`."""
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


_SELECTING: Final[Select[Any]] = select(
    log_entry, log_node.c.hash.label("leaf")
).join_from(
    log_entry,
    log_node,
    and_(log_node.c.level == 0, log_node.c.position == log_entry.c.position),
    isouter=True,
)


def _objects(
    connection: Connection, positions: Sequence[int]
) -> Mapping[int, Sequence[str]]:
    """Return by what objects the entries at *positions* are found."""
    statement = (
        select(log_object.c.position, log_object.c.object)
        .where(log_object.c.position.in_(positions))
        .order_by(log_object.c.position)
    )
    found: dict[int, list[str]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.position, []).append(row.object)
    return found


def _sound(
    row: Row[Any], query: TrailQuery, objects: Mapping[int, Sequence[str]]
) -> LoggedEntry:
    """Return the entry of a row that agrees with the tree, the query and itself."""
    stored = _stored(row)
    require_leaf(stored)
    entry = Entry.parse(stored.octets)
    repeated = {name: getattr(row, name) for name in INDEXED}
    if repeated != indexed_columns(entry):
        raise TrailBrokenError(f"entry {row.position} was found by changed columns")
    about = sorted(map(str, objects.get(row.position, ())))
    if about != list(objects_of(entry.members)):
        raise TrailBrokenError(f"entry {row.position} was found by changed objects")
    if not query.selects(entry.members):
        raise TrailBrokenError(f"entry {row.position} is not what was asked for")
    return LoggedEntry(index=row.position, entry=entry)


def _stored(row: Row[Any], proof: Sequence[bytes] = ()) -> StoredEntry:
    # SQLite keeps any type in any column: what an intruder left may be text or a
    # number.  It is shown as octets, and its leaf hash will not match.
    octets = row.octets if isinstance(row.octets, bytes) else str(row.octets).encode()
    leaf = row.leaf if isinstance(row.leaf, bytes) else None
    return StoredEntry(index=row.position, octets=octets, leaf=leaf, proof=tuple(proof))


def _proof(connection: Connection, index: int, size: int) -> Sequence[bytes]:
    if size == 0:
        return ()
    if not 0 <= index < size <= head_of(connection).size:
        raise NotFoundError(f"no entry {index} in a log of {size}")
    return tree.inclusion_proof(index, size, nodes_of(connection))


def _position(cursor: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", cursor):
        raise InvalidInputError("not a cursor")
    return int(cursor)
