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
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from vault.audit.checkpoint import Checkpoint
from vault.audit.continuity import consistency
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.source import StoredEntry, TrailSource
from vault.audit.statement import ExportSummary
from vault.core import canonical
from vault.core.canonical import JsonObject, JsonValue
from vault.core.errors import ConflictError, InvalidInputError, TrailBrokenError

KIND: Final = "audit-export"
VERSION: Final = 2
MAX_MARKS: Final = 4096
"Marks in one export at most: a signature each, checked by the verifier."

Progress = Callable[[int, int], None]
"Told rows done and rows in all, every `PROGRESS_EVERY` rows."

PROGRESS_EVERY: Final = 1000


def export_jsonl(
    reader: TrailSource,
    out: BinaryIO,
    *,
    query: TrailQuery = EVERYTHING,
    previous: str | None = None,
    cosigned: str | None = None,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write the log, or what *query* selects of it, to *out*.

    Args:
        reader: The log.
        out: Where to; flushing and syncing is the caller's.
        query: Which entries.
        previous: An earlier checkpoint (signed note) of this log, to prove that
            the log only grew since.
        cosigned: A checkpoint with cosignatures of witnesses, to be put at the end
            with the proof that it is of this log; left out where it is not.
        progress: Told how far it is.

    Raises:
        TrailBrokenError: The log has no checkpoint, lacks a node of a proof, or is
            not the one that *previous* was signed for.
        ConflictError: *previous* is of another log.
    """
    note = reader.checkpoint()
    export = _Export(reader, out, note, query)
    # First of all: where the log does not go on from it, nothing is written.
    proof = None if previous is None else consistency(reader, note, previous)
    witnessed = None if cosigned is None else _witnessed(reader, note, cosigned)
    rows = export.header()
    for stored in export.stream():
        export.entry(stored)
        if progress is not None and export.rows % PROGRESS_EVERY == 0:
            progress(export.rows, rows)
    export.footer(proof, witnessed)
    if progress is not None:
        progress(export.rows, rows)
    return ExportSummary(
        query=query.members(),
        rows=export.rows,
        size=export.size,
        bytes=export.bytes,
        sha256=export.digest.hexdigest(),
        checkpoint=note,
        consistency=proof,
        first_time=export.times[0],
        last_time=export.times[1],
    )


def _witnessed(reader: TrailSource, note: str, cosigned: str) -> JsonValue:
    try:
        return consistency(reader, note, cosigned)
    except (ConflictError, TrailBrokenError):
        # Whoever asks for witnesses misses them, and the auditor has raised the
        # alarm: what is here to be exported is evidence all the more.
        return None


class _Export:
    """One export on its way out."""

    def __init__(
        self,
        reader: TrailSource,
        out: BinaryIO,
        note: str,
        query: TrailQuery,
    ) -> None:
        self._reader = reader
        self._out = out
        self._note = note
        checkpoint = self._checkpoint = Checkpoint.unverified(note)
        self._query = query
        self._selected = query != EVERYTHING
        spacing = -(-checkpoint.size // MAX_MARKS) or 1
        self._marks: Iterator[tuple[int, str]] = iter(())
        if not self._selected:
            self._marks = reader.marks(spacing, spacing=spacing, below=checkpoint.size)
        self._mark = next(self._marks, None)
        self.rows = 0
        self.marks = 0
        self.bytes = 0
        self.digest = hashlib.sha256()
        self.times = ("", "")
        "Of the first and the last row, as far as they can be read."

    @property
    def size(self) -> int:
        return self._checkpoint.size

    def header(self) -> int:
        """Write the first line; return how many rows will follow."""
        rows = self.size
        if self._selected:
            rows = self._reader.count(self._query, size=self.size)
        self.line(
            {
                "callvault": KIND,
                "checkpoint": self._note,
                "origin": self._checkpoint.origin,
                "query": self._query.members(),
                "rows": rows,
                "size": self.size,
                "v": VERSION,
            }
        )
        return rows

    def stream(self) -> Iterator[StoredEntry]:
        proofs_at = self.size if self._selected else 0
        return self._reader.stream(0, self.size, query=self._query, proofs_at=proofs_at)

    def footer(self, proof: JsonValue, witnessed: JsonValue) -> None:
        members: JsonObject = {
            "checkpoint": self._note,
            "marks": self.marks,
            "rows": self.rows,
            "v": VERSION,
        }
        if proof is not None:
            members["consistency"] = proof
        if witnessed is not None:
            members["witnessed"] = witnessed
        self.line(members)

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
            entry = canonical.parse(stored.octets)
        except InvalidInputError:
            # Never written by us: shown as it is, for the verifier to refuse.
            members["octets"] = _base64(stored.octets)
        else:
            members["entry"] = entry
            time = str(entry.get("time", ""))
            self.times = (self.times[0] or time, time)
        if self._selected:
            members["proof"] = [_base64(digest) for digest in stored.proof]
        self.line(members)
        self.rows += 1
        self._mark_after(stored.index)

    def _mark_after(self, index: int) -> None:
        while self._mark is not None and self._mark[0] <= index + 1:
            size, note = self._mark
            # Below: rows are missing here, and the mark would be misplaced too.
            if size == index + 1:
                self.line({"mark": note})
                self.marks += 1
            self._mark = next(self._marks, None)


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
