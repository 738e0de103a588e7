"""Why a call is refused before it is answered, in words that metrics count.

Left to others: finding out (`vault.recorder.preflight`).
"""

from typing import Final

REASONS: Final = (
    "clock", "keys", "disk", "media", "spool", "outbox", "ports", "limit",
)  # fmt: skip
"Labels: few, and the same in every version."
