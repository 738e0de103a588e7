"""Everything that a court needs of the trail, in one ZIP archive.

    entries.jsonl            the entries with their proofs (`vault.audit.export`)
    checkpoint.txt           the signed note that they stand under
    checkpoint-earlier.txt   the one that the log is proved to go on from, if any
    statement.json           what was asked for, and what was written
    verifier-key.txt         the key of the log, which must come another way, too
    verify-trail             the program that checks all of it, without the vault
    report.html              for people: to read, and to print
    README.txt               what is in here, and what to do with it
    SHA256SUMS               of every file above

Guarantees: memory stays flat, whatever the size; the archive is written front to back,
so that it may leave over a connection while it is made.

Left to others: what the report says (`vault.audit.bundle_report`), who may export, and
the leaf that says that somebody did (`vault.warden`).

Spec: docs/reference/formats/audit-bundle.md
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Self, cast
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from vault.audit.bundle_report import (
    MAX_SHOWN,
    BundleFile,
    ReportFacts,
    readme_of,
    report_of,
)
from vault.audit.export import Progress, export_jsonl
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.source import TrailSource
from vault.audit.statement import ExportSummary, statement_of
from vault.core import canonical

FOLDER: Final = "callvault-trail"
MEDIA_TYPE: Final = "application/zip"

_PROGRAM: Final = Path(__file__).with_name("verify-trail")
_PLAIN, _RUNS = 0o644, 0o755
_ENTRY_LINE: Final = b'{"entry":'


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What to put together, and for whom."""

    query: TrailQuery = EVERYTHING
    previous: str | None = None
    "An earlier checkpoint (signed note) that the log has to go on from."
    cosigned: str | None = None
    "The newest checkpoint that witnesses signed, too."
    made: str
    "When, RFC 3339."
    by: str
    "Who exports, as entries spell it: ``user:<id>``."
    vkey: str
    "The verifier key of the log."
    names: Mapping[str, str] = field(default_factory=dict, repr=False)
    "Names beside ids in the report (``user:<id>`` → name); the log has none."


def export_bundle(
    reader: TrailSource,
    out: BinaryIO,
    bundle: Bundle,
    *,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write the archive to *out*, which need not be seekable.

    Args:
        reader: The log.
        out: Where to; flushing and syncing is the caller's.
        bundle: What to put together.
        progress: Told how far it is.

    Raises:
        TrailBrokenError: The log has no checkpoint, lacks a node of a proof, or does
            not go on from the earlier checkpoint.
        ConflictError: The earlier checkpoint is of another log.
    """
    with _Archive(out, bundle.made) as archive:
        with archive.file("entries.jsonl") as entries:
            tee = _Tee(entries)
            summary = export_jsonl(
                reader,
                cast("BinaryIO", tee),
                query=bundle.query,
                previous=bundle.previous,
                cosigned=bundle.cosigned,
                progress=progress,
            )
        archive.note("entries.jsonl", summary.bytes, summary.sha256)
        archive.text("checkpoint.txt", summary.checkpoint)
        if bundle.previous is not None:
            archive.text("checkpoint-earlier.txt", bundle.previous)
        statement = statement_of(summary, format="jsonl", made=bundle.made)
        archive.octets("statement.json", canonical.dumps(statement) + b"\n")
        archive.text("verifier-key.txt", bundle.vkey + "\n")
        archive.octets("verify-trail", _PROGRAM.read_bytes(), mode=_RUNS)
        facts = ReportFacts(
            summary=summary,
            made=bundle.made,
            by=bundle.by,
            vkey=bundle.vkey,
            names=bundle.names,
            shown=tee.first,
            files=tuple(archive.written),
        )
        archive.text("README.txt", readme_of(facts))
        archive.text("report.html", report_of(facts))
        sums = "".join(f"{file.sha256}  {file.name}\n" for file in archive.written)
        archive.text("SHA256SUMS", sums)
    return summary


class _Archive:
    """A ZIP archive, file by file."""

    def __init__(self, out: BinaryIO, made: str) -> None:
        self._out = _Outlet(out)
        self._zip = ZipFile(cast("BinaryIO", self._out), "w", ZIP_DEFLATED)
        # The archive is of the second at which it was asked for, on every machine.
        at = datetime.fromisoformat(made[:19])
        self._date = (at.year, at.month, at.day, at.hour, at.minute, at.second)
        self.written: list[BundleFile] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        # Where something failed, what is there stays without an end, so that no reader
        # takes it for an archive: `ZipFile` would write one whenever it is let go.
        self._out.is_shut = kind is not None
        self._zip.close()

    def file(self, name: str, mode: int = _PLAIN) -> BinaryIO:
        """Open a file of any size for writing."""
        info = ZipInfo(f"{FOLDER}/{name}", self._date)
        info.compress_type = ZIP_DEFLATED
        info.external_attr = (0o100000 | mode) << 16
        return cast("BinaryIO", self._zip.open(info, "w", force_zip64=True))

    def octets(self, name: str, octets: bytes, mode: int = _PLAIN) -> None:
        """Write a small file."""
        with self.file(name, mode) as file:
            file.write(octets)
        self.note(name, len(octets), hashlib.sha256(octets).hexdigest())

    def text(self, name: str, text: str) -> None:
        """Write a small file of text."""
        self.octets(name, text.encode())

    def note(self, name: str, size: int, sha256: str) -> None:
        """Count a file among those written."""
        self.written.append(BundleFile(name=name, bytes=size, sha256=sha256))


class _Outlet(io.RawIOBase):
    """Where an archive goes, front to back, until it is shut."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__()
        self._out = out
        self.is_shut = False

    def writable(self) -> bool:
        return True

    def write(self, octets: object) -> int:
        block = cast("bytes", octets)
        return len(block) if self.is_shut else self._out.write(block)


class _Tee(io.RawIOBase):
    """Hands lines on, and keeps the first entries for the report."""

    def __init__(self, out: BinaryIO) -> None:
        super().__init__()
        self._out = out
        self.first: list[tuple[int, canonical.JsonObject]] = []

    def write(self, line: object) -> int:
        octets = cast("bytes", line)
        if len(self.first) < MAX_SHOWN and octets.startswith(_ENTRY_LINE):
            members = json.loads(octets)
            self.first.append((members["index"], members["entry"]))
        return self._out.write(octets)
