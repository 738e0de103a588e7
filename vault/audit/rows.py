"""What writer and reader both ask of the tables: head, checkpoints, nodes, columns.

Guarantees: a node that a proof needs and that is not there raises; no proof is
made of guesses.

Left to others: transactions, and what the answers mean (`vault.audit.log`,
`vault.audit.reading`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, and_, or_, select

from vault.audit import tree
from vault.audit.entry import Entry
from vault.audit.tables import THE_ROW, log_checkpoint, log_head, log_node
from vault.core.errors import TrailBrokenError

INDEXED: Final = ("time", "action", "actor", "result")
"Members of an entry that its row repeats, to find it by."


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The size of the log, in entries, and the root of its tree."""

    size: int
    root: bytes


def head_of(connection: Connection) -> Head:
    """Return the head as *connection* sees it."""
    row = connection.execute(
        select(log_head.c.size, log_head.c.root).where(log_head.c.id == THE_ROW)
    ).one_or_none()
    # SQLite keeps any type in any column: what an intruder left may not be ours.
    if row is None or not isinstance(row.size, int) or not isinstance(row.root, bytes):
        raise TrailBrokenError("the log has no head")
    return Head(size=row.size, root=row.root)


def checkpoint_of(connection: Connection, size: int) -> str | None:
    """Return the note signed at *size* entries, if a commit ended there."""
    note = connection.execute(
        select(log_checkpoint.c.note).where(log_checkpoint.c.size == size)
    ).scalar_one_or_none()
    return note if isinstance(note, str) else None


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
        found = {
            (row.level, row.position): row.hash
            for row in rows
            if isinstance(row.hash, bytes) and len(row.hash) == tree.HASH_SIZE
        }
        missing = set(wanted) - set(found)
        if missing:
            level, position = min(missing)
            raise TrailBrokenError(f"node {position} of level {level} is missing")
        return found

    return read


def indexed_columns(entry: Entry) -> dict[str, str | None]:
    """Return what `log_entry` repeats of *entry*, to find it by."""
    found: dict[str, str | None] = {}
    for name in INDEXED:
        value = entry.members.get(name)
        found[name] = value if isinstance(value, str) else None
    return found
