"""What every format of a line has, and what an entry says, as text for all of them.

Guarantees:
    * A format raises nothing: whatever an entry holds that was logged, its line
      comes out.
    * Only what the entry says is written: people by id, sealed text not at all.

Left to others: the formats themselves (the modules beside this one), which entries are
written (`vault.audit.extract`), and sending lines (`vault.auditor`).

Spec: docs/reference/formats/audit-lines.md
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, unique
from typing import Final, Protocol, Self

from vault.audit.source import LoggedEntry
from vault.core import canonical
from vault.core.canonical import JsonValue

VENDOR: Final = "Callvault"
PRODUCT: Final = "Callvault"

_TIME: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?Z", re.ASCII
)


@unique
class Severity(IntEnum):
    """How much an entry deserves a look; the values are OCSF's ``severity_id``."""

    INFORMATIONAL = 1
    LOW = 2
    MEDIUM = 3
    HIGH = 4
    CRITICAL = 5


TENTHS: Final[Mapping[Severity, int]] = {
    Severity.INFORMATIONAL: 1,
    Severity.LOW: 3,
    Severity.MEDIUM: 5,
    Severity.HIGH: 8,
    Severity.CRITICAL: 10,
}
"The same on the scale from 0 to 10 of CEF and LEEF."

BLANKS: Final[Mapping[int, str]] = dict.fromkeys(
    (*range(32), *range(127, 160), 0x2028, 0x2029), " "
)
"For `str.translate`: what ends a line, or rings a terminal's bell, becomes a blank."

_CRITICAL: Final = ("recording.damaged", "audit.trail.broken", "audit.integrity.")
_LOW: Final = (
    "access.address.",
    "access.device.",
    "access.right.",
    "access.user.",
    "audit.text.",
    "audit.trail.exported",
    "key.",
    "recording.exported",
    "recording.key.",
)
_MEDIUM: Final = ("access.emergency.", "access.factor.reset", "recording.failed")


class LineFormat(Protocol):
    """One way to write an entry as one line."""

    @property
    def name(self) -> str:
        """Return how people ask for it: ``cef``."""
        ...

    @property
    def media_type(self) -> str:
        """Return its media type, for HTTP."""
        ...

    @property
    def suffix(self) -> str:
        """Return what file names end with: ``.cef``."""
        ...

    @property
    def newline(self) -> str:
        """Return what ends a line in a file."""
        ...

    def header(self) -> str | None:
        """Return the line above all others, or None where there is none."""
        ...

    def line(self, entry: LoggedEntry, *, origin: str) -> str:
        """Return one entry without a newline at its end.

        Args:
            entry: The entry, which agrees with its leaf.
            origin: The log that it is of.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """An entry as text, member by member; what it does not have is empty."""

    index: int
    time: str
    action: str
    actor: str
    result: str
    via: str
    recording: str
    right: str
    reason: str
    session: str
    origin: str
    "Address of the peer."
    id: str
    source: str
    seq: str
    occurred: str
    detail: str
    "Canonical JSON."
    text: str
    "Canonical JSON: field → HMAC of what a person typed."

    @classmethod
    def of(cls, entry: LoggedEntry) -> Self:
        """Return what *entry* says."""
        members = entry.entry.members
        named = {
            name: text_of(members.get(name))
            for name in cls.__slots__
            if name != "index"
        }
        return cls(index=entry.index, **named)


def text_of(value: JsonValue) -> str:
    """Return text as it is, nothing as nothing, and all else as canonical JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return canonical.dumps(value).decode()


def epoch_ms(time: str) -> int:
    """Return an RFC 3339 time in UTC as milliseconds since 1970; 0 if it is none."""
    found = _TIME.fullmatch(time)
    if found is None:
        return 0
    try:
        seconds = datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0
    return int(seconds) * 1000 + int((found[2] or "0").ljust(3, "0")[:3])


def severity_of(action: str, result: str) -> Severity:
    """Return how much an entry deserves a look."""
    if action.startswith(_CRITICAL):
        return Severity.CRITICAL
    if result == "failed":
        return Severity.HIGH
    if result == "refused" or action.startswith(_MEDIUM):
        return Severity.MEDIUM
    if action.startswith(_LOW):
        return Severity.LOW
    return Severity.INFORMATIONAL


def title_of(action: str) -> str:
    """Return an action as words: ``key.kek.added`` → ``Key kek added``."""
    return action.replace(".", " ").capitalize()
