"""The statements of one commit, in the writer's transaction.

Guarantees: the head moves only from the size and root that the writer knows, and
everything of a commit becomes durable together or not at all.

Left to others: order, signature and mark (`vault.audit.log`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, update

from vault.audit import tree
from vault.audit.checkpoint import Checkpoint
from vault.audit.entry import Entry
from vault.audit.query import objects_of
from vault.audit.rows import indexed_columns
from vault.audit.tables import (
    THE_ROW,
    log_checkpoint,
    log_entry,
    log_head,
    log_node,
    log_object,
    log_text,
)
from vault.audit.texts import TextToKeep
from vault.core.errors import TrailBrokenError
from vault.database.engine import transaction

Texts = Sequence[Mapping[str, TextToKeep]]
"For each entry the texts kept beside it, by field name."


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What one commit adds to a log."""

    before: tree.Edge
    after: tree.Edge
    nodes: Sequence[tuple[tree.NodeId, bytes]]
    "Those that became complete."
    entries: Sequence[Entry]
    octets: Sequence[bytes]
    texts: Texts

    @classmethod
    def of(
        cls,
        before: tree.Edge,
        entries: Sequence[Entry],
        octets: Sequence[bytes],
        texts: Texts,
    ) -> "Growth":
        """Grow the tree by *entries*, in memory.

        Args:
            before: Where it grows from.
            entries: What becomes of it.
            octets: The same, as they are hashed: whoever read them has them at hand.
            texts: What is kept beside each.
        """
        after = before.copy()
        nodes = [node for one in octets for node in after.append(tree.leaf_hash(one))]
        return cls(
            before=before,
            after=after,
            nodes=nodes,
            entries=entries,
            octets=octets,
            texts=texts,
        )


def write_commit(
    engine: Engine, growth: Growth, checkpoint: Checkpoint, note: str
) -> None:
    """Make *growth* durable, under *checkpoint* signed as *note*.

    Raises:
        ConflictError: A constraint of the schema forbids it; nothing was written.
        TrailBrokenError: The head is not where the growth begins.
        DatabaseUnavailableError: The database failed; unknown whether it was written.
    """
    start = growth.before.size
    with transaction(engine) as connection:
        # The head first: it is what serialises.
        swap_head(connection, growth.before, checkpoint)
        insert_entries(connection, start, growth.entries, growth.octets)
        insert_tree(connection, growth.nodes, size=checkpoint.size, note=note)
        insert_texts(connection, start, growth.texts)


def swap_head(
    connection: Connection, before: tree.Edge, checkpoint: Checkpoint
) -> None:
    """Move the head from where *before* ends to *checkpoint*.

    Raises:
        TrailBrokenError: It is not where the writer left it.
    """
    swapped = connection.execute(
        update(log_head)
        .where(
            log_head.c.id == THE_ROW,
            log_head.c.size == before.size,
            log_head.c.root == before.root(),
        )
        .values(size=checkpoint.size, root=checkpoint.root)
    )
    if swapped.rowcount != 1:
        raise TrailBrokenError("the head of the log was changed by others")


def insert_entries(
    connection: Connection,
    start: int,
    entries: Sequence[Entry],
    octets: Sequence[bytes],
) -> None:
    """Write *entries* from index *start* on, with what to find them by."""
    rows = [
        {
            "position": position,
            "octets": one,
            "source": entry.members.get("source"),
            "source_seq": entry.members.get("seq"),
            **indexed_columns(entry),
        }
        for position, (entry, one) in enumerate(
            zip(entries, octets, strict=True), start
        )
    ]
    connection.execute(insert(log_entry), rows)
    objects = [
        {"position": position, "object": one}
        for position, entry in enumerate(entries, start)
        for one in objects_of(entry.members)
    ]
    if objects:
        connection.execute(insert(log_object), objects)


def insert_texts(connection: Connection, start: int, texts: Texts) -> None:
    """Write the sealed text beside the entries from index *start* on."""
    rows = [
        {"position": position, "field": field, "sealed": kept.sealed}
        for position, fields in enumerate(texts, start)
        for field, kept in fields.items()
    ]
    if rows:
        connection.execute(insert(log_text), rows)


def insert_tree(
    connection: Connection,
    nodes: Sequence[tuple[tree.NodeId, bytes]],
    *,
    size: int,
    note: str,
) -> None:
    """Write the nodes that became complete, and the checkpoint over them."""
    rows = [
        {"level": level, "position": position, "hash": digest}
        for (level, position), digest in nodes
    ]
    connection.execute(insert(log_node), rows)
    connection.execute(insert(log_checkpoint), {"size": size, "note": note})
