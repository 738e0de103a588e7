"""What people read of a bundle: a report to print, and a README.

Guarantees: the report is one file, loads nothing, runs nothing, and every value from
the log or from a person is escaped; it shows the first `MAX_SHOWN` entries and says how
many more there are.

Left to others: the archive (`vault.audit.bundle`).

Spec: docs/reference/formats/audit-bundle.md
"""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

from vault.audit.bundle_texts import LIMITS, PAGE, README, STYLE, WARNING
from vault.audit.checkpoint import Checkpoint
from vault.audit.formats.line import text_of
from vault.audit.statement import ExportSummary
from vault.core import canonical
from vault.core.canonical import JsonObject, JsonValue

MAX_SHOWN: Final = 500
"Entries in the report at most; all of them are in ``entries.jsonl``."

_COLUMNS: Final = ("No.", "Time (UTC)", "Who", "What", "Result", "Of what", "More")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFile:
    """One file of the bundle."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFacts:
    """What the report is made of."""

    summary: ExportSummary
    made: str
    by: str
    vkey: str
    names: Mapping[str, str] = field(repr=False)
    shown: Sequence[tuple[int, JsonObject]] = field(repr=False)
    "The first entries, with their places in the log."
    files: Sequence[BundleFile]
    "Those that are written before the report."


def report_of(facts: ReportFacts) -> str:
    """Return the report as one page of HTML."""
    summary = facts.summary
    checkpoint = Checkpoint.unverified(summary.checkpoint)
    return PAGE.format(
        style=STYLE,
        origin=escape(checkpoint.origin),
        summary=_definitions(_facts(facts, checkpoint)),
        warning=escape(WARNING),
        key=escape(facts.vkey),
        checkpoint=escape(summary.checkpoint),
        files=_table(
            ("File", "Octets", "SHA-256"),
            ((one.name, f"{one.bytes:,}", one.sha256) for one in facts.files),
        ),
        command=escape(_command(facts)),
        limits="".join(f"<li>{escape(one)}</li>" for one in LIMITS),
        shown=escape(_how_many(facts)),
        entries=_table(_COLUMNS, (_row(facts, *one) for one in facts.shown)),
    )


def readme_of(facts: ReportFacts) -> str:
    """Return the README as plain text."""
    return README.format(
        warning=WARNING,
        summary="\n".join(
            f"  {name + ':':<22}{value}"
            for name, value in _facts(
                facts, Checkpoint.unverified(facts.summary.checkpoint)
            )
        ),
        command=_command(facts),
        limits="\n".join(f"  - {one}" for one in LIMITS),
    )


def _facts(facts: ReportFacts, checkpoint: Checkpoint) -> list[tuple[str, str]]:
    summary = facts.summary
    span = "none"
    if summary.rows:
        span = f"{summary.first_time} to {summary.last_time}"
    return [
        ("Log", checkpoint.origin),
        ("Exported by", _named(facts, facts.by)),
        ("Exported at", facts.made),
        ("Query", _query(summary.query)),
        ("Entries in here", f"{summary.rows:,}"),
        ("Their times", span),
        ("Entries in the log", f"{summary.size:,}"),
        ("Root of the log", checkpoint.root.hex()),
        ("Goes on from", _earlier(summary)),
    ]


def _query(members: Mapping[str, JsonValue]) -> str:
    if not members:
        return "every entry of the log"
    return canonical.dumps(members).decode()


def _earlier(summary: ExportSummary) -> str:
    if summary.previous_size is None:
        return "nothing: no earlier export was given, so none was compared"
    return (
        f"the earlier export of {summary.previous_size:,} entries (checkpoint-earlier"
        ".txt): proved that nothing of it was changed or taken away"
    )


def _command(facts: ReportFacts) -> str:
    earlier = ""
    if facts.summary.previous_size is not None:
        earlier = " --previous checkpoint-earlier.txt"
    key = shlex.quote(facts.vkey)
    return f"python3 verify-trail entries.jsonl --key {key}{earlier}"


def _how_many(facts: ReportFacts) -> str:
    rows, shown = facts.summary.rows, len(facts.shown)
    if rows <= shown:
        return f"All {rows:,} entries."
    return (
        f"The first {shown:,} of {rows:,} entries. The other {rows - shown:,} are in "
        "entries.jsonl, proved like these."
    )


def _row(facts: ReportFacts, index: int, entry: JsonObject) -> tuple[str, ...]:
    said = {name: text_of(value) for name, value in entry.items()}
    more = " · ".join(
        f"{name} {said[name]}"
        for name in ("right", "reason", "origin", "session", "via", "detail")
        if said.get(name)
    )
    return (
        str(index),
        said.get("time", ""),
        _named(facts, said.get("actor", "")),
        said.get("action", ""),
        said.get("result", ""),
        said.get("recording", ""),
        more,
    )


def _named(facts: ReportFacts, actor: str) -> str:
    name = facts.names.get(actor)
    return actor if name is None else f"{name} ({actor})"


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{escape(one)}</th>' for one in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"
