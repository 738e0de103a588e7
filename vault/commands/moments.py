"""Times as people type them (``90d``, ``12h``, or a moment) and as they read them."""

import re
from typing import Final

from vault.access.right_words import moment_ns
from vault.core.clock import NS_PER_S, rfc3339
from vault.core.errors import InvalidInputError

_DURATION: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(text: str) -> float:
    """Return how long ``90d``, ``12h``, ``30m`` or ``45s`` is.

    Raises:
        InvalidInputError: It is none of these.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InvalidInputError("write a duration as 90d, 12h, 30m or 45s")
    return int(match[1]) * _UNIT_S[match[2]]


def later_ns(text: str, *, now_ns: int) -> int:
    """Return the moment that a duration from now, or a time, means.

    Raises:
        InvalidInputError: It is neither.
    """
    if _DURATION.fullmatch(text):
        return now_ns + int(seconds(text) * NS_PER_S)
    return moment_ns(text)


def to_the_second(time_ns: int) -> str:
    """Return a moment as ``2026-11-23T06:16:09Z``."""
    return rfc3339(time_ns)[:19] + "Z"
