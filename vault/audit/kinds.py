"""Every kind of export by its name: what proves itself, what others read, the bundle.

Guarantees: a name that is none is refused before anything is read.

Left to others: writing them (`vault.audit.export`, `.extract`, `.bundle`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from vault.audit.bundle import MEDIA_TYPE, Bundle, export_bundle
from vault.audit.export import Progress, export_jsonl
from vault.audit.extract import Extract, export_lines
from vault.audit.formats.registry import FORMATS
from vault.audit.query import EVERYTHING, TrailQuery
from vault.audit.source import TrailSource
from vault.audit.statement import ExportSummary
from vault.core.errors import InvalidInputError

JSONL: Final = "jsonl"
BUNDLE: Final = "bundle"
LINES: Final = ("csv", "cef", "leef", "ocsf")
"Formats that say at their end, and beside them, what they are an export of."
KINDS: Final = (JSONL, *LINES, BUNDLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An export as somebody asks for it."""

    kind: str = JSONL
    query: TrailQuery = EVERYTHING
    previous: str | None = None
    "An earlier checkpoint (signed note) that the log has to go on from."
    cosigned: str | None = None
    "The newest checkpoint that witnesses signed, too."
    made: str
    "When, RFC 3339."
    by: str = ""
    "Who, as entries spell it; for the bundle."
    vkey: str = ""
    "The verifier key of the log; for the bundle."
    names: Mapping[str, str] = field(default_factory=dict, repr=False)
    "Names beside ids in the bundle's report."

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InvalidInputError("a trail is exported as one of " + ", ".join(KINDS))

    @property
    def media_type(self) -> str:
        """Return the media type of the file."""
        if self.kind == BUNDLE:
            return MEDIA_TYPE
        return FORMATS["json" if self.kind == JSONL else self.kind].media_type

    @property
    def file_name(self) -> str:
        """Return what the file is called where nobody says otherwise."""
        if self.kind == BUNDLE:
            return "callvault-trail.zip"
        suffix = ".jsonl" if self.kind == JSONL else FORMATS[self.kind].suffix
        return "callvault-audit" + suffix


def export_trail(
    reader: TrailSource,
    out: BinaryIO,
    order: Order,
    *,
    progress: Progress | None = None,
) -> ExportSummary:
    """Write what *order* asks for to *out*.

    Raises:
        TrailBrokenError: The log is not what was signed, or does not go on from the
            earlier checkpoint.
        ConflictError: The earlier checkpoint is of another log.
    """
    if order.kind == BUNDLE:
        bundle = Bundle(
            query=order.query,
            previous=order.previous,
            cosigned=order.cosigned,
            made=order.made,
            by=order.by,
            vkey=order.vkey,
            names=order.names,
        )
        return export_bundle(reader, out, bundle, progress=progress)
    if order.kind == JSONL:
        return export_jsonl(
            reader,
            out,
            query=order.query,
            previous=order.previous,
            cosigned=order.cosigned,
            progress=progress,
        )
    extract = Extract(
        form=FORMATS[order.kind],
        query=order.query,
        previous=order.previous,
        made=order.made,
    )
    return export_lines(reader, out, extract, progress=progress)
