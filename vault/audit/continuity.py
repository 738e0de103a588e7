"""The proof that the log only grew since a checkpoint that somebody kept.

Guarantees: a proof that is given out was checked here first; where there is none, the
error says why, and what else can be done.

Left to others: the signatures of both checkpoints (whoever verifies has the key), and
who kept which (`vault.access.trail_exports`, `vault.commands.trail_kept`).

Spec: RFC 6962, section 2.1.2; docs/reference/formats/audit-export.md
"""

import base64
from typing import Final

from vault.audit import tree
from vault.audit.checkpoint import Checkpoint
from vault.audit.lineage import precedes
from vault.audit.source import TrailSource
from vault.core.canonical import JsonObject
from vault.core.errors import (
    ConflictError,
    NotFoundError,
    TrailBrokenError,
    VaultError,
)

_WAY_OUT: Final = (
    "keep the earlier export as evidence, find out what happened to the log, and "
    "export without the proof (--no-previous, in the API previous=none)"
)


def consistency(reader: TrailSource, note: str, previous: str) -> JsonObject:
    """Return the proof that the log of *previous* begins the log of *note*.

    Args:
        reader: The log.
        note: The checkpoint (signed note) that the export stands under.
        previous: The earlier one.

    Returns:
        ``{"previous": "<signed note>", "proof": ["<base64>", …]}``

    Raises:
        ConflictError: *previous* is of a log that is none of this one's.
        TrailBrokenError: The log is not the one that *previous* was signed for.
        InvalidInputError: *previous* is no signed note.
    """
    new, old = Checkpoint.unverified(note), Checkpoint.unverified(previous)
    if old.origin != new.origin and not precedes(old.origin, new.origin):
        raise ConflictError(
            f"the earlier export is of the log {old.origin}, this is {new.origin}: "
            "name one of this log with --previous, or say --no-previous"
        )
    if old.size > new.size:
        raise TrailBrokenError(
            f"the log has {new.size} entries, and the earlier export stands for "
            f"{old.size}: it was restored from a backup, or cut off; {_WAY_OUT}"
        )
    try:
        proof = _proved(reader, old, new)
    except (TrailBrokenError, NotFoundError) as exc:
        raise _not_continued(old, exc) from None
    spelled = [base64.b64encode(one).decode() for one in proof]
    return {"previous": previous, "proof": spelled}


def _proved(reader: TrailSource, old: Checkpoint, new: Checkpoint) -> list[bytes]:
    if old.size == 0:
        # Every log begins with the empty one; only its root can be wrong.
        if old.root != tree.EMPTY_ROOT:
            raise TrailBrokenError("an empty log of another root")
        return []
    proof = reader.consistency_proof(old.size, new.size)
    tree.verify_consistency(
        old_size=old.size,
        new_size=new.size,
        old_root=old.root,
        new_root=new.root,
        proof=proof,
    )
    return proof


def _not_continued(old: Checkpoint, why: VaultError) -> TrailBrokenError:
    return TrailBrokenError(
        f"the log does not go on from the earlier export of {old.size} entries "
        f"({why}): {_WAY_OUT}"
    )
