"""What of the trail lies outside this vault, as its auditor told last.

Guarantees: a line here says what was seen, and how long ago.

Left to others: seeing it (`vault.auditor`), reading what it wrote (`vault.serving`).
"""

from dataclasses import dataclass
from enum import StrEnum, unique


@unique
class Tone(StrEnum):
    """How a line is meant."""

    OK = "ok"
    WARN = "warn"
    BAD = "bad"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorLine:
    """One thing that is known of the trail's anchors."""

    tone: Tone
    text: str
