"""Where a log stands, as its own database says it: compared before it is believed.

Guarantees: `verified_head` returns only if head, nodes, rows and the newest signed
checkpoint say the same; `require_growth` only if a log begins as a mark says.

Left to others: entries below the head (`vault.audit.verify`), the mark's own
signature and what follows from a difference (`vault.audit.log`,
`vault.audit.succession`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection, func, select

from vault.audit import tree
from vault.audit.checkpoint import Checkpoint
from vault.audit.mark import Mark
from vault.audit.rows import checkpoint_of, head_of, nodes_of
from vault.audit.tables import log_entry
from vault.core.errors import TrailBrokenError

OpenNote: TypeAlias = Callable[[str], Checkpoint]
"Returns the checkpoint in a signed note, or raises TrailBrokenError."


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The right edge of the tree, and the note that was signed over it."""

    edge: tree.Edge
    note: str
    "Empty for a log without entries."
    signed: Checkpoint | None
    "What the note says; None for a log without entries."


def verified_head(connection: Connection, opened: OpenNote) -> Standing:
    """Return where the log stands, after comparing all that says so.

    Raises:
        TrailBrokenError: Head, nodes, rows and checkpoint contradict each other.
    """
    head = head_of(connection)
    # 1. The head is the root of its tree.
    wanted = tree.subtrees(0, head.size)
    nodes = nodes_of(connection)(wanted)
    edge = tree.Edge(head.size, [nodes[node] for node in wanted])
    if edge.root() != head.root:
        raise TrailBrokenError("the head of the log does not match its tree")
    # 2. The rows end where the tree does.
    last = connection.execute(select(func.max(log_entry.c.position))).scalar()
    if (last if last is not None else -1) != head.size - 1:
        raise TrailBrokenError(f"the entries do not end at {head.size}")
    if head.size == 0:
        return Standing(edge=edge, note="", signed=None)
    # 3. It was signed.
    note = checkpoint_of(connection, head.size)
    if note is None:
        raise TrailBrokenError(f"the checkpoint of size {head.size} is missing")
    signed = opened(note)
    if (signed.size, signed.root) != (head.size, head.root):
        raise TrailBrokenError("the newest checkpoint is not of this log")
    return Standing(edge=edge, note=note, signed=signed)


def require_growth(connection: Connection, mark: Mark, edge: tree.Edge) -> None:
    """Check that the log that ends in *edge* begins with what *mark* stands for.

    Raises:
        TrailBrokenError: It does not, or a node that says so is missing.
    """
    if mark.size == 0:
        return  # every log begins with the empty one
    proof = tree.consistency_proof(mark.size, edge.size, nodes_of(connection))
    tree.verify_consistency(
        old_size=mark.size,
        new_size=edge.size,
        old_root=mark.root,
        new_root=edge.root(),
        proof=proof,
    )
