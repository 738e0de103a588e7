"""Canonical JSON (RFC 8785): the entry as it was hashed, with its place and its log.

Guarantees: the octets of member ``entry`` are the ones that the tree hashed.

Spec: docs/reference/formats/audit-lines.md
"""

from vault.audit.source import LoggedEntry
from vault.core import canonical


class JsonLine:
    """One object per entry."""

    name = "json"
    media_type = "application/jsonl"
    suffix = ".jsonl"
    newline = "\n"

    def header(self) -> str | None:
        """See `LineFormat`."""
        return None

    def line(self, entry: LoggedEntry, *, origin: str) -> str:
        """See `LineFormat`."""
        return canonical.dumps(
            {"entry": entry.entry.members, "index": entry.index, "trail": origin}
        ).decode()
