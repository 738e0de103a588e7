"""The statements of one commit, in the writer's transaction.

Guarantees: the head moves only from the size and root that the writer knows.

Left to others: order, signature and mark (`vault.audit.log`).
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, insert, update

from vault.audit import tree
from vault.audit.checkpoint import Checkpoint
from vault.audit.entry import Entry
from vault.audit.rows import indexed_columns
from vault.audit.tables import (
    THE_ROW,
    log_checkpoint,
    log_entry,
    log_head,
    log_node,
    log_text,
)
from vault.audit.texts import TextToKeep
from vault.core.errors import TrailBrokenError

Texts = Sequence[Mapping[str, TextToKeep]]
"For each entry the texts kept beside it, by field name."


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
    """Write *entries* from index *start* on, with the columns to find them by."""
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
