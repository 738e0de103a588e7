"""What a page of administration says on top after something was tried."""

from dataclasses import dataclass
from typing import Final

from vault.web.people import CodeGiven

WAITS: Final = "It waits for another person: see Approvals."


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """An error, or what was done; empty before anything was tried."""

    error: str = ""
    done: str = ""
    code: CodeGiven | None = None
    "A code that is shown this once."


NOTHING_SAID: Final = Said()
