"""CSV, as RFC 4180 has it, safe to open in a program that counts.

A cell that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line end would be a
formula to a spreadsheet: it gets an apostrophe in front.  So does a cell that begins
with one, so that taking one away from where one stands gives every cell back.

Guarantees: the cells of a line are those of `COLUMNS`, in their order.

Spec: RFC 4180; docs/reference/formats/audit-lines.md
"""

import re
from typing import Final

from vault.audit import tree
from vault.audit.formats.line import Facts
from vault.audit.source import LoggedEntry

COLUMNS: Final = (
    "index",
    "time",
    "action",
    "actor",
    "result",
    "via",
    "recording",
    "right",
    "reason",
    "session",
    "origin",
    "detail",
    "text",
    "id",
    "source",
    "seq",
    "occurred",
    "leaf",
)

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_QUOTED: Final = re.compile(r'[",\r\n]|^\s|\s$')


class CsvRows:
    """One row per entry; the leaf hash (hex) ties it to the log's tree."""

    name = "csv"
    media_type = "text/csv; charset=utf-8; header=present"
    suffix = ".csv"
    newline = "\r\n"

    def header(self) -> str | None:
        """See `LineFormat`."""
        return ",".join(COLUMNS)

    def line(self, entry: LoggedEntry, *, origin: str) -> str:
        """See `LineFormat`; every row is of one log, so *origin* is in none."""
        del origin
        facts = Facts.of(entry)
        # What ends an export is none of the log's: no id, no leaf.
        leaf = tree.leaf_hash(bytes(entry.entry)).hex() if facts.id else ""
        cells = [str(getattr(facts, name)) for name in COLUMNS[:-1]]
        return ",".join(map(cell, [*cells, leaf]))


def cell(text: str) -> str:
    """Return *text* as one cell."""
    if text.startswith(_FORMULA):
        text = "'" + text
    if _QUOTED.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text
