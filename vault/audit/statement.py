"""What an export says of itself: query, rows, checkpoint, and what it goes on from.

An export in JSON Lines says so in its header and footer.  Every other format gets it as
its last record, shaped as an entry with the action `STATEMENT` and without an id (so
that nobody takes it for one of the log), and as a file of JSON beside it.

Guarantees: equal statements have equal octets (canonical JSON).

Left to others: proving it; a statement proves nothing without the entries and their
proofs (`vault.audit.export`).

Spec: docs/reference/formats/audit-lines.md
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vault.audit.checkpoint import Checkpoint
from vault.audit.entry import Entry
from vault.audit.source import LoggedEntry
from vault.core.canonical import JsonObject, JsonValue

KIND: Final = "audit-statement"
VERSION: Final = 1
STATEMENT: Final = "audit.export.statement"
"The action of a last record; no entry of the log has it."


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSummary:
    """What was written."""

    query: Mapping[str, JsonValue]
    rows: int
    size: int
    "Entries in the log that the checkpoint stands for."
    bytes: int
    sha256: str
    checkpoint: str
    "The signed note; keep it, and ask for consistency with it next time."
    consistency: JsonValue
    "The proof that the log goes on from the earlier checkpoint; None without one."
    first_time: str
    last_time: str

    @property
    def previous_size(self) -> int | None:
        """Size of the earlier checkpoint; None without one."""
        if not isinstance(self.consistency, Mapping):
            return None
        return Checkpoint.unverified(str(self.consistency["previous"])).size


def statement_of(summary: ExportSummary, *, format: str, made: str) -> JsonObject:
    """Return what the file beside an export says.

    Args:
        summary: What was written.
        format: In which format.
        made: When, RFC 3339.
    """
    return {
        "callvault": KIND,
        "v": VERSION,
        "bytes": summary.bytes,
        "format": format,
        "made": made,
        "sha256": summary.sha256,
        **_said(summary.query, summary.rows, summary.checkpoint, summary.consistency),
        "first_time": summary.first_time,
        "last_time": summary.last_time,
    }


def last_record(
    query: Mapping[str, JsonValue],
    rows: int,
    checkpoint: str,
    consistency: JsonValue,
    *,
    made: str,
) -> LoggedEntry:
    """Return the record that ends an export: shaped as an entry, and none."""
    said = _said(query, rows, checkpoint, consistency)
    return LoggedEntry(
        index=Checkpoint.unverified(checkpoint).size,
        entry=Entry(
            members={
                "action": STATEMENT,
                "detail": said,
                "result": "ok",
                "time": made,
                "v": 1,
            }
        ),
    )


def _said(
    query: Mapping[str, JsonValue], rows: int, checkpoint: str, consistency: JsonValue
) -> JsonObject:
    stood = Checkpoint.unverified(checkpoint)
    found: JsonObject = {
        "checkpoint": checkpoint,
        "origin": stood.origin,
        "query": query,
        "rows": rows,
        "size": stood.size,
    }
    if consistency is not None:
        found["consistency"] = consistency
    return found
