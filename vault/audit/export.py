"""The trail as a file that proves itself: JSON Lines, canonical, with a checkpoint.

    header      what was asked for, how many rows, the checkpoint they stand under
    entry       one per row: index, leaf hash, the entry; a proof where rows are
                selected
    mark        now and then a checkpoint that was signed there, so that a verifier
                can tell *where* a log was changed
    footer      the checkpoint again, rows and marks counted; on request the proof
                that the log began as an earlier checkpoint says

Guarantees:
    * Memory stays flat, whatever the size; the log may grow meanwhile.
    * The export judges nothing: rows that were tampered with are written as they
      are, for the verifier to name.

Left to others: verifying (`vault.audit.verify`, ``scripts/verify-trail``), and the
leaf that says somebody exported (`vault.warden`).

Spec: docs/reference/formats/audit-export.md
"""

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, Final

from vault.audit.checkpoint import Checkpoint
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.reading import StoredEntry, TrailReader
from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.errors import ConflictError, InvalidInputError, TrailBrokenError

KIND: Final = "audit-export"
VERSION: Final = 1
MAX_MARKS: Final = 4096
"Marks in one export at most: a signature each, checked by the verifier."

Progress = Callable[[int, int], None]
"Told rows done and rows in all, about every thousand rows."

_PROGRESS_EVERY: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What was written."""

    rows: int
    size: int
    "Entries in the log that the checkpoint stands for."
    bytes: int
    sha256: str
    checkpoint: str
    "The signed note; keep it, and ask for consistency with it next time."


def export_jsonl(
    reader: TrailReader,
    out: BinaryIO,
    *,
    query: TrailQuery = EVERYTHING,
    previous: str | None = None,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write the log, or what *query* selects of it, to *out*.

    Args:
        reader: The log.
        out: Where to; flushing and syncing is the caller's.
        query: Which entries.
        previous: An earlier checkpoint (signed note) of this log, to prove that
            the log only grew since.
        progress: Told how far it is.

    Raises:
        TrailBrokenError: The log has no checkpoint, or lacks a node of a proof.
        ConflictError: *previous* is of another log, or of a larger one.
    """
    note = reader.checkpoint()
    checkpoint = Checkpoint.unverified(note)
    export = _Export(reader, out, checkpoint, query)
    consistency = None if previous is None else export.consistency(previous)
    rows = checkpoint.size
    if query != EVERYTHING:
        rows = reader.count(query, size=checkpoint.size)
    header: JsonObject = {
        "callvault": KIND,
        "checkpoint": note,
        "origin": checkpoint.origin,
        "query": query.members(),
        "rows": rows,
        "size": checkpoint.size,
        "v": VERSION,
    }
    export.line(header)
    for stored in reader.stream(0, checkpoint.size, query=query):
        export.entry(stored)
        if progress is not None and export.rows % _PROGRESS_EVERY == 0:
            progress(export.rows, rows)
    footer: JsonObject = {
        "checkpoint": note,
        "marks": export.marks,
        "rows": export.rows,
    }
    if consistency is not None:
        footer["consistency"] = consistency
    export.line(footer)
    if progress is not None:
        progress(export.rows, rows)
    return ExportSummary(
        rows=export.rows,
        size=checkpoint.size,
        bytes=export.bytes,
        sha256=export.digest.hexdigest(),
        checkpoint=note,
    )


class _Export:
    """One export on its way out."""

    def __init__(
        self,
        reader: TrailReader,
        out: BinaryIO,
        checkpoint: Checkpoint,
        query: TrailQuery,
    ) -> None:
        self._reader = reader
        self._out = out
        self._checkpoint = checkpoint
        self._selected = query != EVERYTHING
        self._spacing = -(-checkpoint.size // MAX_MARKS) or 1
        self._mark = None if self._selected else self._next_mark(self._spacing)
        self.rows = 0
        self.marks = 0
        self.bytes = 0
        self.digest = hashlib.sha256()

    def line(self, members: JsonObject) -> None:
        octets = canonical.dumps(members) + b"\n"
        self._out.write(octets)
        self.digest.update(octets)
        self.bytes += len(octets)

    def entry(self, stored: StoredEntry) -> None:
        members: JsonObject = {
            "index": stored.index,
            "leaf": _base64(stored.leaf or b""),
        }
        try:
            members["entry"] = canonical.parse(stored.octets)
        except InvalidInputError:
            # Never written by us: shown as it is, for the verifier to refuse.
            members["octets"] = _base64(stored.octets)
        if self._selected:
            proof = self._reader.inclusion_proof(stored.index, self._checkpoint.size)
            members["proof"] = [_base64(digest) for digest in proof]
        self.line(members)
        self.rows += 1
        self._mark_after(stored.index)

    def consistency(self, previous: str) -> JsonObject:
        old = Checkpoint.unverified(previous)
        if old.origin != self._checkpoint.origin:
            raise ConflictError("the earlier checkpoint is of another log")
        if old.size > self._checkpoint.size:
            raise TrailBrokenError(
                f"the log has {self._checkpoint.size} entries, and the earlier "
                f"checkpoint stands for {old.size}"
            )
        proof: list[bytes] = []
        if old.size > 0:
            proof = self._reader.consistency_proof(old.size, self._checkpoint.size)
        return {"previous": previous, "proof": [_base64(one) for one in proof]}

    def _mark_after(self, index: int) -> None:
        while self._mark is not None and self._mark[0] <= index + 1:
            size, note = self._mark
            # Below: rows are missing here, and the mark would be misplaced too.
            if size == index + 1:
                self.line({"mark": note})
                self.marks += 1
            self._mark = self._next_mark(size + self._spacing)

    def _next_mark(self, at_least: int) -> tuple[int, str] | None:
        return self._reader.next_checkpoint(
            at_least=at_least, below=self._checkpoint.size
        )


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
