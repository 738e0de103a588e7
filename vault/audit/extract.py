"""The trail in the formats of other programs: CSV, CEF, LEEF, OCSF, JSON by the line.

Such a file cannot prove itself, so what leaves here was compared first: every entry
with its leaf, and a whole log with the root that was signed.  The last record says
which query, how many rows, which checkpoint and what it goes on from.

Guarantees:
    * An entry that is not what was logged ends the export; nothing made up leaves.
    * Memory stays flat, whatever the size; the log may grow meanwhile.

Left to others: a file that proves itself (`vault.audit.export`), the formats
(`vault.audit.formats`), and the leaf that says somebody exported (`vault.warden`).

Spec: docs/reference/formats/audit-lines.md
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from vault.audit import tree
from vault.audit.checkpoint import Checkpoint
from vault.audit.continuity import consistency
from vault.audit.entry import Entry
from vault.audit.export import PROGRESS_EVERY, Progress
from vault.audit.formats.line import LineFormat
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.source import LoggedEntry, StoredEntry, TrailSource, require_leaf
from vault.audit.statement import ExportSummary, last_record
from vault.core.errors import TrailBrokenError

_BLOCK_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Extract:
    """What to write, and how."""

    form: LineFormat
    query: TrailQuery = EVERYTHING
    previous: str | None = None
    "An earlier checkpoint (signed note) that the log has to go on from."
    made: str
    "When, RFC 3339."


def export_lines(
    reader: TrailSource,
    out: BinaryIO,
    extract: Extract,
    *,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write what *extract* asks for to *out*.

    Args:
        reader: The log.
        out: Where to; flushing and syncing is the caller's.
        extract: What, and how.
        progress: Told how far it is.

    Raises:
        TrailBrokenError: The log is not what was signed, or does not go on from the
            earlier checkpoint.
        ConflictError: The earlier checkpoint is of another log.
    """
    note = reader.checkpoint()
    checkpoint = Checkpoint.unverified(note)
    proof = (
        None
        if extract.previous is None
        else consistency(reader, note, extract.previous)
    )
    members = extract.query.members()
    rows = reader.count(extract.query, size=checkpoint.size)
    lines = _Lines(out, extract.form, origin=checkpoint.origin)
    lines.begin()
    times = ("", "")
    for done, entry in enumerate(_sound(reader, checkpoint, extract.query), 1):
        lines.write(entry)
        time = str(entry.entry.members.get("time", ""))
        times = (times[0] or time, time)
        if progress is not None and done % PROGRESS_EVERY == 0:
            progress(done, rows)
    written = lines.count
    if written != rows:
        raise TrailBrokenError(f"{rows} entries were counted, and {written} found")
    lines.write(last_record(members, rows, note, proof, made=extract.made))
    lines.flush()
    if progress is not None:
        progress(rows, rows)
    return ExportSummary(
        query=members,
        rows=rows,
        size=checkpoint.size,
        bytes=lines.bytes,
        sha256=lines.digest.hexdigest(),
        checkpoint=note,
        consistency=proof,
        first_time=times[0],
        last_time=times[1],
    )


def _sound(
    reader: TrailSource, checkpoint: Checkpoint, query: TrailQuery
) -> Iterator[LoggedEntry]:
    """Give the entries that *query* selects, each compared with what was signed."""
    whole = query == EVERYTHING
    edge = tree.Edge()
    for stored in reader.stream(0, checkpoint.size, query=query):
        if whole:
            _grow(edge, stored)
        entry = _entry(stored)
        if not query.selects(entry.entry.members):
            raise TrailBrokenError(f"entry {stored.index} was found by changed columns")
        yield entry
    if whole and edge.root() != checkpoint.root:
        raise TrailBrokenError("the entries are not those that were signed")


def _grow(edge: tree.Edge, stored: StoredEntry) -> None:
    if stored.index != edge.size:
        raise TrailBrokenError(f"entry {edge.size} is missing")
    edge.append(tree.leaf_hash(stored.octets))


def _entry(stored: StoredEntry) -> LoggedEntry:
    require_leaf(stored)
    return LoggedEntry(index=stored.index, entry=Entry.parse(stored.octets))


class _Lines:
    """Lines on their way out, in blocks."""

    def __init__(self, out: BinaryIO, form: LineFormat, *, origin: str) -> None:
        self._out = out
        self._form = form
        self._origin = origin
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self.count = 0
        self.bytes = 0
        self.digest = hashlib.sha256()

    def begin(self) -> None:
        """Write what stands above all lines."""
        header = self._form.header()
        if header is not None:
            self._take(header)

    def write(self, entry: LoggedEntry) -> None:
        """Write one entry."""
        self._take(self._form.line(entry, origin=self._origin))
        self.count += 1

    def flush(self) -> None:
        """Hand over what waits."""
        block = b"".join(self._waiting)
        self._out.write(block)
        self.digest.update(block)
        self.bytes += len(block)
        self._waiting, self._waiting_bytes = [], 0

    def _take(self, line: str) -> None:
        octets = (line + self._form.newline).encode()
        self._waiting.append(octets)
        self._waiting_bytes += len(octets)
        if self._waiting_bytes >= _BLOCK_BYTES:
            self.flush()
