"""Reasons: what people are asked to type before something grave.

Guarantees: a reason that counts has words; it is never kept outside the sealed part of
the trail.
"""

from typing import Final

from vault.core.errors import InvalidInputError

MIN_REASON: Final = 4
"Characters, blanks around them not counted."
MAX_REASON: Final = 500


def is_reason(text: str) -> bool:
    """Whether *text* counts as a reason."""
    return MIN_REASON <= len(text.strip()) <= MAX_REASON


def checked_reason(text: str) -> str:
    """Return *text* without the blanks around it.

    Raises:
        InvalidInputError: It is no reason.
    """
    if not is_reason(text):
        raise InvalidInputError(f"a reason has {MIN_REASON} to {MAX_REASON} characters")
    return text.strip()
