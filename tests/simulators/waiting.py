"""Waiting for what other tasks do: looked at again and again, up to a deadline."""

import asyncio
import time
from collections.abc import Callable

WITHIN_S = 60.0
_PAUSE_S = 0.02


def wait_until(
    true: Callable[[], object],
    what: object = "it became true",
    *,
    within_s: float = WITHIN_S,
) -> None:
    """Return once *true* is, which another process or thread sees to."""
    limit_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < limit_s, f"not within {within_s:.0f} s: {what}"
        time.sleep(_PAUSE_S)


async def until(
    true: Callable[[], object],
    what: object = "it became true",
    *,
    within_s: float = WITHIN_S,
) -> None:
    """Return once *true* is; fail with *what* where it is not in time."""
    limit_s = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < limit_s, f"not within {within_s:.0f} s: {what}"
        await asyncio.sleep(_PAUSE_S)
