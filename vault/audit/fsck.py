"""Re-deriving the whole log from its rows: everything that the tables say is checked.

One walk over the entries, in order, makes the tree, the tiles, the columns and the
objects anew, and compares each with what is stored.  Memory stays flat.

Guarantees:
    * Whatever differs is found: entries that are not canonical, missing or too many,
      leaves, nodes, head, notes, columns, objects, texts that belong to no entry.
    * The first finding is the first in the log's order; after one that breaks the
      tree, what follows would only repeat it, and the walk ends.
    * Gaps in what a source numbered are told, and are no contradiction: a tap may
      still have them.

Left to others: what lies in the object store (`vault.auditor.anchor_check`), texts
themselves, which only the warden opens, and whoever reads the report
(`vault.commands.trail_fsck`).

Spec: docs/reference/formats/audit-entry.md, docs/howto/anchor-the-trail.md
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, func, select

from vault.audit import tree
from vault.audit.checkpoint import Verifier
from vault.audit.entry import Entry
from vault.audit.findings import Finding, Watcher
from vault.audit.lineage import open_checkpoint
from vault.audit.query import objects_of
from vault.audit.rows import Head, head_of, indexed_columns
from vault.audit.tables import (
    log_checkpoint,
    log_entry,
    log_node,
    log_object,
    log_text,
)
from vault.core.errors import InvalidInputError, TrailBrokenError
from vault.database.engine import reading

_BATCH: Final = 2048
_MOST_FINDINGS: Final = 20
_MOST_GAPS: Final = 10_000


@dataclass(slots=True)
class _Numbers:
    """What one source has numbered."""

    expected: int
    missing: set[int]


class Fsck:
    """One walk over one log."""

    def __init__(
        self,
        engine: Engine,
        verifier: Verifier,
        *,
        watchers: Sequence[Watcher] = (),
        progress: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> None:
        """Walk over the log in *engine*.

        Args:
            engine: The audit database, read only.
            verifier: The log's public key.
            watchers: Who goes along.
            progress: Told entries done and in all.
        """
        self._engine = engine
        self._verifier = verifier
        self._watchers = watchers
        self._progress = progress
        self._edge = tree.Edge()
        self._numbers: dict[str, _Numbers] = {}
        self.size = 0
        "Entries that were looked at."
        self.checkpoints = 0
        "Checkpoints whose root and signature hold."
        self.erased = 0
        "Texts that were erased, as they may be."

    def run(self) -> list[Finding]:
        """Return what is wrong, in the log's order; empty when all is well.

        Raises:
            DatabaseUnavailableError: The database cannot be read.
        """
        found: list[Finding] = []
        for finding in self._walk():
            found.append(finding)
            if len(found) == _MOST_FINDINGS:
                break
        return found

    def gaps(self) -> Mapping[str, int]:
        """Return how many numbers are missing of each source that has gaps."""
        return {
            source: len(numbers.missing)
            for source, numbers in self._numbers.items()
            if numbers.missing
        }

    # -------------------------------------------------------------- the walk

    def _walk(self) -> Iterator[Finding]:
        try:
            with reading(self._engine) as connection:
                head = head_of(connection)
        except TrailBrokenError:
            yield Finding(what="head", text="there is no head: this is not a log")
            return
        # 1. Entries, leaves, nodes, columns, objects and notes, batch by batch.
        for start in range(0, head.size, _BATCH):
            stop = min(start + _BATCH, head.size)
            with reading(self._engine) as connection:
                broken = False
                for finding in self._batch(connection, start, stop):
                    broken = broken or finding.what in _ENDS
                    yield finding
            if broken:
                return
            self._progress(stop, head.size)
        # 2. The head, and what there is beyond it.
        if self._edge.root() != head.root:
            text = "the head is not the root of the entries: it was put there by hand"
            yield Finding(what="head", text=text)
        with reading(self._engine) as connection:
            yield from self._beyond(connection, head)

    def _batch(
        self, connection: Connection, start: int, stop: int
    ) -> Iterator[Finding]:
        place = log_entry.c.position
        rows = connection.execute(
            select(log_entry).where(place >= start, place < stop).order_by(place)
        ).all()
        notes = _notes(connection, start, stop)
        nodes = _nodes(connection, start, stop)
        objects = _grouped(connection, log_object, "object", start, stop)
        texts = _grouped(connection, log_text, "field", start, stop)
        for index, row in enumerate(rows, start):
            if row.position != index:
                break
            entry, wrong = _entry_of(row)
            if entry is None:
                yield wrong
                return
            yield from self._grow(index, row.octets, nodes, notes)
            yield from _columns(row, entry, objects.pop(index, set()))
            yield from self._texts(index, entry, texts.pop(index, set()))
            self._number(entry)
            self.size = index + 1
        if self.size < stop:
            yield _missing(self.size)
            return
        yield from _left_over(objects, "objects")
        yield from _left_over(texts, "texts")
        if nodes:
            level, position = min(nodes)
            text = f"there is a node {position} of level {level} that no tree has"
            yield Finding(what="node", text=text)

    def _grow(
        self,
        index: int,
        octets: bytes,
        nodes: dict[tree.NodeId, bytes],
        notes: Mapping[int, object],
    ) -> Iterator[Finding]:
        for node, digest in self._edge.append(tree.leaf_hash(octets)):
            stored = nodes.pop(node, None)
            if stored != digest:
                yield _wrong_node(node, stored, index)
        size = index + 1
        if size in notes:
            yield from self._note(size, notes[size])
        for watcher in self._watchers:
            yield from watcher.entry(octets)
            yield from watcher.grown(size, self._edge.root)

    def _note(self, size: int, note: object) -> Iterator[Finding]:
        try:
            signed = open_checkpoint(self._verifier, str(note))
        except TrailBrokenError as exc:
            text = f"the checkpoint of {size} entries does not hold: {exc}"
            yield Finding(what="signature", text=text, entry=size - 1)
            return
        if signed.size != size or signed.root != self._edge.root():
            text = (
                f"the checkpoint of {size} entries was signed over other entries: one "
                "of those before was changed, and the tree with it"
            )
            yield Finding(what="root", text=text, entry=size - 1)
            return
        self.checkpoints += 1

    def _texts(self, index: int, entry: Entry, kept: set[str]) -> Iterator[Finding]:
        said = entry.members.get("text")
        fields = set(said) if isinstance(said, Mapping) else set()
        if extra := sorted(kept - fields):
            text = f"a text is kept that entry {index} does not name: {extra[0]}"
            yield Finding(what="text", text=text, entry=index)
        self.erased += len(fields - kept)

    def _number(self, entry: Entry) -> None:
        source, number = entry.members.get("source"), entry.members.get("seq")
        if not isinstance(source, str) or not isinstance(number, int):
            return
        known = self._numbers.get(source)
        if known is None:
            self._numbers[source] = _Numbers(expected=number + 1, missing=set())
        elif number >= known.expected:
            room = max(0, _MOST_GAPS - len(known.missing))
            upto = min(number, known.expected + room)
            known.missing.update(range(known.expected, upto))
            known.expected = number + 1
        else:
            known.missing.discard(number)

    # ------------------------------------------------------- beyond the head

    def _beyond(self, connection: Connection, head: Head) -> Iterator[Finding]:
        if head.size and not _counts(
            connection, log_checkpoint, log_checkpoint.c.size == head.size
        ):
            text = f"the checkpoint of {head.size} entries, the newest, is missing"
            yield Finding(what="signature", text=text)
        tables = (
            (log_entry, log_entry.c.position, "entries"),
            (log_object, log_object.c.position, "objects"),
            (log_text, log_text.c.position, "texts"),
        )
        for table, place, what in tables:
            if _counts(connection, table, (place >= head.size) | (place < 0)):
                yield _outside(head, what)
        size = log_checkpoint.c.size
        if _counts(connection, log_checkpoint, (size > head.size) | (size < 1)):
            yield _outside(head, "checkpoints")
        nodes = connection.execute(select(func.count()).select_from(log_node))
        if (count := int(nodes.scalar_one())) != (expected := _nodes_in(head.size)):
            text = f"there are {count} nodes, and a tree of {head.size} has {expected}"
            yield Finding(what="node", text=text)


_ENDS: Final = frozenset({"entry", "missing", "root"})
"After those, everything that follows is wrong for the same reason."


def _entry_of(row: Row[Any]) -> tuple[Entry | None, Finding]:
    wrong = Finding(
        what="entry",
        text=f"entry {row.position} is no canonical entry: it was changed",
        entry=row.position,
    )
    if not isinstance(row.octets, bytes):
        return None, wrong
    try:
        return Entry.parse(row.octets), wrong
    except InvalidInputError:
        return None, wrong


def _columns(row: Row[Any], entry: Entry, objects: set[str]) -> Iterator[Finding]:
    repeated = {
        **indexed_columns(entry),
        "source": entry.members.get("source"),
        "source_seq": entry.members.get("seq"),
    }
    stored = row._mapping  # noqa: SLF001 - SQLAlchemy's public name for it
    for name, value in repeated.items():
        if stored[name] != value:
            text = (
                f"the column {name} of entry {row.position} is not what the entry "
                "says: searches would find, or miss, the wrong one"
            )
            yield Finding(what="column", text=text, entry=row.position)
    if objects != set(objects_of(entry.members)):
        text = (
            f"the objects of entry {row.position} are not those of the entry: a "
            "history would be incomplete, or show what does not belong there"
        )
        yield Finding(what="object", text=text, entry=row.position)


def _wrong_node(node: tree.NodeId, stored: bytes | None, index: int) -> Finding:
    level, position = node
    if level == 0:
        text = f"entry {index} is not what was hashed: it, or its leaf, was changed"
        what = "leaf"
    else:
        text = f"node {position} of level {level} is not that of its entries"
        what = "node"
    if stored is None:
        text = f"node {position} of level {level} is missing"
    return Finding(what=what, text=text, entry=index)


def _missing(index: int) -> Finding:
    text = f"entry {index} is missing: it was deleted, or an entry has its place"
    return Finding(what="missing", text=text, entry=index)


def _left_over(rows: Mapping[int, set[str]], what: str) -> Iterator[Finding]:
    for index in sorted(rows):
        text = f"there are {what} of entry {index}, which is none"
        yield Finding(what="extra", text=text, entry=index)


def _outside(head: Head, what: str) -> Finding:
    text = f"there are {what} outside of the {head.size} entries that the head knows"
    return Finding(what="extra", text=text)


def _notes(connection: Connection, start: int, stop: int) -> dict[int, object]:
    size = log_checkpoint.c.size
    rows = connection.execute(
        select(size, log_checkpoint.c.note).where(size > start, size <= stop)
    )
    return {row.size: row.note for row in rows}


def _nodes(connection: Connection, start: int, stop: int) -> dict[tree.NodeId, bytes]:
    """Return every stored node that becomes complete by entries *start* to *stop*."""
    found: dict[tree.NodeId, bytes] = {}
    for level in range(max(1, stop.bit_length())):
        place = log_node.c.position
        rows = connection.execute(
            select(place, log_node.c.hash).where(
                log_node.c.level == level,
                place >= start >> level,
                place < stop >> level,
            )
        )
        found.update(((level, row.position), row.hash) for row in rows)
    return found


def _grouped(
    connection: Connection, table: Any, column: str, start: int, stop: int
) -> dict[int, set[str]]:
    place = table.c.position
    rows = connection.execute(
        select(place, table.c[column]).where(place >= start, place < stop)
    )
    found: dict[int, set[str]] = {}
    for position, value in rows:
        found.setdefault(position, set()).add(value)
    return found


def _counts(connection: Connection, table: Any, where: Any) -> bool:
    counted = connection.execute(select(func.count()).select_from(table).where(where))
    return bool(counted.scalar_one())


def _nodes_in(size: int) -> int:
    count = 0
    while size:
        count += size
        size >>= 1
    return count
