"""Going on after a restore: a successor log whose first entry says what is lost.

A database that is behind the signer's mark raises `TrailBrokenError` for good: the
signer would sign a second log of a size that it has signed already.  Where a backup
was restored on purpose, the way out is another log (`vault.audit.lineage`):

    1. what is restored is compared with itself        nothing happened
    2. the old mark is kept under a name of its own    nothing happened
    3. one commit: the entry ``audit.log.succeeded``   found and gone on with
       and a checkpoint under the successor's name
    4. the mark is the successor's                     all is well

Guarantees:
    * A log that lost nothing has no successor, and one that contradicts what was
      signed has none either: that is no restore.
    * A run that was killed between 3 and 4 is ended by the next one.

Left to others: who may do it and why (`vault.commands.trail_succeed`).

Spec: docs/adr/0026-successor-logs.md
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, select

from vault.audit import mark as marks
from vault.audit.checkpoint import Checkpoint, Signer
from vault.audit.commit import Growth, write_commit
from vault.audit.entry import Action, Draft, Entry
from vault.audit.head import Standing, require_growth, verified_head
from vault.audit.lineage import (
    generation_of,
    open_checkpoint,
    precedes,
    successor_of,
)
from vault.audit.mark import Mark, WriterLock
from vault.audit.presence import Presence
from vault.audit.rows import nodes_of
from vault.audit.schema import upgrade_audit
from vault.audit.tables import log_entry
from vault.audit.texts import TextToKeep
from vault.audit.tree import Edge, leaf_hash
from vault.core.errors import ConflictError, InvalidInputError, TrailBrokenError
from vault.core.flow import Caller
from vault.database.engine import reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What was signed, and what of it was restored."""

    signed: Checkpoint
    note: str
    "The last checkpoint that was signed of what is lost."
    restored: Checkpoint
    "Size and root of what is there; the origin is that of its newest checkpoint."

    @property
    def successor(self) -> str:
        """Origin of the log that goes on."""
        return successor_of(self.signed.origin)

    @property
    def lost(self) -> range:
        """Indices that were signed and are not there."""
        return range(self.restored.size, self.signed.size)

    def draft(self, caller: Caller, reason: str) -> Draft:
        """Return the successor's first own entry."""
        return Draft(
            action=Action.AUDIT_LOG_SUCCEEDED,
            caller=caller,
            detail={
                "predecessor": self.signed.origin,
                "restored_root": self.restored.root.hex(),
                "restored_size": self.restored.size,
                "signed_root": self.signed.root.hex(),
                "signed_size": self.signed.size,
            },
            text={"reason": reason},
        )


class Succession:
    """One succession, while nobody else writes the log."""

    def __init__(
        self,
        engine: Engine,
        signer_of: Callable[[str], Signer],
        mark_path: Path,
        loss: Loss,
        before: Edge,
    ) -> None:
        """Go on from *before*; see `succession`."""
        self._engine = engine
        self._signer_of = signer_of
        self._mark_path = mark_path
        self._before = before
        self.loss = loss

    def commit(self, entry: bytes, texts: Mapping[str, TextToKeep]) -> Checkpoint:
        """Begin the successor with *entry*, made of the loss's draft.

        Raises:
            TrailBrokenError: The database changed meanwhile.
            UnavailableError: Database or mark failed; run it again.
        """
        # 2. The old mark stays: it is the memory of what is lost.
        signed = self.loss.signed
        _, number = generation_of(signed.origin)
        kept = self._mark_path.with_name(f"{self._mark_path.stem}.{number}.json")
        marks.write(kept, Mark.of(signed, self.loss.note))
        # 3. The first commit under the new name.
        growth = Growth.of(self._before, [Entry.parse(entry)], [entry], [texts])
        successor = self.loss.successor
        checkpoint = Checkpoint(
            origin=successor, size=growth.after.size, root=growth.after.root()
        )
        note = self._signer_of(successor).sign_checkpoint(checkpoint)
        write_commit(self._engine, growth, checkpoint, note)
        # 4. From here on the signer remembers the new log.
        marks.write(self._mark_path, Mark.of(checkpoint, note))
        return checkpoint


def newest_mark(own: Mark | None, anchored: str | None) -> Mark | None:
    """Return the later of the signer's mark and a checkpoint that lies elsewhere.

    A stand-by has no mark, or an old one, but it can be shown the newest checkpoint
    that was published.  Nothing is verified here: who takes a mark does that.

    Raises:
        TrailBrokenError: *anchored* is no signed checkpoint.
    """
    if anchored is None:
        return own
    said = Checkpoint.unverified(anchored)
    if own is None or not own.note:
        return Mark.of(said, anchored)
    mine = Checkpoint.unverified(own.note).origin
    later = (generation_of(said.origin)[1], said.size)
    return (
        own if (generation_of(mine)[1], own.size) >= later else Mark.of(said, anchored)
    )


def origin_in_force(mark: Mark | None, configured: str) -> str:
    """Return the name of the log that *mark* is of, where it is of this line."""
    if mark is None or not mark.note:
        return configured
    said = Checkpoint.unverified(mark.note).origin
    return said if precedes(configured, said) else configured


@contextmanager
def succession(
    engine: Engine,
    signer_of: Callable[[str], Signer],
    *,
    mark_path: Path,
    anchored: str | None = None,
) -> Iterator[Succession]:
    """Find out what is lost, and hold the right to go on for the block's length.

    Args:
        engine: The audit database.
        signer_of: Gives the log's signer under a name.
        mark_path: The high-water mark.
        anchored: A checkpoint from elsewhere: an officer's, or a published one.

    Raises:
        ConflictError: Somebody writes the log, or nothing of it is lost.
        InvalidInputError: There is neither mark nor checkpoint to go by.
        TrailBrokenError: What is there is not what was signed.
    """
    lock, presence = WriterLock(mark_path), Presence(engine)
    try:
        presence.take()
        upgrade_audit(engine)
        yield _examine(engine, signer_of, mark_path, anchored)
    finally:
        presence.leave()
        lock.release()


def _examine(
    engine: Engine,
    signer_of: Callable[[str], Signer],
    mark_path: Path,
    anchored: str | None,
) -> Succession:
    mark = newest_mark(marks.read(mark_path), anchored)
    if mark is None or not mark.note:
        raise InvalidInputError(
            "there is no high-water mark: name a checkpoint that was signed"
        )
    # 1. The memory is ours, under the name that it gives itself.
    signed = Checkpoint.unverified(mark.note)
    known = signer_of(signed.origin).verifier
    if known.open_checkpoint(mark.note) != signed:
        raise TrailBrokenError("the high-water mark contradicts its own note")
    if (mark.size, mark.root) != (signed.size, signed.root):
        raise TrailBrokenError("the high-water mark contradicts its own note")
    after = signer_of(successor_of(signed.origin)).verifier
    with reading(engine) as connection:
        # 2. What is there agrees with itself, and was signed.
        stands = verified_head(connection, lambda note: open_checkpoint(after, note))
        # 3. A run before this one came as far as the commit.
        if stands.signed is not None and stands.signed.origin == after.name:
            _require_first(connection, stands, signed)
            marks.write(mark_path, Mark.of(stands.signed, stands.note))
            raise ConflictError(
                f"{after.name} has begun already; its mark is written now"
            )
        # 4. It is behind: nothing else has a successor.
        restored = Checkpoint(
            origin=signed.origin if stands.signed is None else stands.signed.origin,
            size=stands.edge.size,
            root=stands.edge.root(),
        )
        if restored.origin == signed.origin and restored.size >= signed.size:
            require_growth(connection, mark, stands.edge)
            raise ConflictError(
                f"nothing is lost: the log has {restored.size} entries, and "
                f"{signed.size} were signed"
            )
    loss = Loss(signed=signed, note=mark.note, restored=restored)
    return Succession(engine, signer_of, mark_path, loss, stands.edge)


def _require_first(
    connection: Connection, stands: Standing, signed: Checkpoint
) -> None:
    """Check that the newest entry begins the successor of *signed*.

    Raises:
        TrailBrokenError: It does not.
    """
    place = stands.edge.size - 1
    octets = connection.execute(
        select(log_entry.c.octets).where(log_entry.c.position == place)
    ).scalar_one()
    try:
        leaf = nodes_of(connection)([(0, place)])[(0, place)]
        members = Entry.parse(octets).members if leaf_hash(octets) == leaf else {}
    except InvalidInputError:
        members = {}
    detail = members.get("detail")
    wanted = (signed.origin, signed.size, signed.root.hex())
    names = ("predecessor", "signed_size", "signed_root")
    if (
        members.get("action") != Action.AUDIT_LOG_SUCCEEDED
        or not isinstance(detail, dict)
        or tuple(detail.get(name) for name in names) != wanted
    ):
        raise TrailBrokenError(f"{successor_of(signed.origin)} went on without a mark")
