"""Logs that go on where another one was lost: ``name``, ``name/2``, and so on.

A database that was restored from a backup is behind what was signed, and a signer
never signs two different logs of one size.  So what goes on is another log, of a
name of its own: its tree begins with the restored entries, its first own entry says
what is lost (`vault.audit.succession`), and the same key signs it under the new name.

Guarantees:
    * A name has one successor, and is the successor of one name.
    * `open_checkpoint` accepts a predecessor's checkpoint only below a signature of
      the same public key, under the predecessor's name.

Left to others: whether two checkpoints are of one tree (`vault.audit.tree`): a name
proves nothing about entries.

Spec: docs/adr/0026-successor-logs.md
"""

import re
from typing import Final

from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.entry import Action
from vault.core.canonical import JsonObject
from vault.core.errors import TrailBrokenError

_LATER: Final = re.compile(r"(?P<name>.+)/(?P<number>[2-9]|[1-9][0-9]{1,5})")


def generation_of(origin: str) -> tuple[str, int]:
    """Return the name that all logs of the line share, and which of them it is."""
    match = _LATER.fullmatch(origin)
    return (origin, 1) if match is None else (match["name"], int(match["number"]))


def successor_of(origin: str) -> str:
    """Return the name of the log that goes on where *origin* was lost."""
    name, number = generation_of(origin)
    return f"{name}/{number + 1}"


def precedes(earlier: str, later: str) -> bool:
    """Tell whether *earlier* names a log that the line of *later* had before it."""
    older, newer = generation_of(earlier), generation_of(later)
    return older[0] == newer[0] and older[1] < newer[1]


def open_checkpoint(
    verifier: Verifier, note: str, *, origin: str | None = None
) -> Checkpoint:
    """Return the checkpoint in *note*, of the verifier's log or one before it.

    Args:
        verifier: The key, under the name of its log.
        note: The signed note.
        origin: The log that it must be of, or of one before; None accepts any.

    Raises:
        TrailBrokenError: Malformed, of neither, or not signed by the same key.
    """
    said = Checkpoint.unverified(note).origin
    known = verifier
    if precedes(said, verifier.name):
        known = Verifier(name=said, public_key=verifier.public_key)
    checkpoint = known.open_checkpoint(note)
    if origin not in {None, checkpoint.origin} and not precedes(
        checkpoint.origin, str(origin)
    ):
        raise TrailBrokenError("the checkpoint is of another log")
    return checkpoint


def loss_after(entry: JsonObject, index: int, earlier: Checkpoint) -> str:
    """Say what is missing of *earlier* where *entry* is the first of a successor.

    Args:
        entry: Members of an entry.
        index: Its place, which is the size of what was restored.
        earlier: A checkpoint of this line of logs.

    Returns:
        A sentence; empty where the entry is none of those, or *earlier* is whole.
    """
    detail = entry.get("detail")
    if entry.get("action") != Action.AUDIT_LOG_SUCCEEDED or not isinstance(
        detail, dict
    ):
        return ""
    predecessor = str(detail.get("predecessor", ""))
    covered = earlier.origin == predecessor or precedes(earlier.origin, predecessor)
    if not covered or earlier.size <= index:
        return ""
    return (
        f"a backup of {index} entries was restored here: entries {index} to "
        f"{earlier.size - 1}, which the earlier checkpoint stands for, are gone"
    )
