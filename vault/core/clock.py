"""Time, so that tests can hold it: aware UTC and integer nanoseconds.

Guarantees: no naive datetime leaves this module; text is RFC 3339 with ``Z``.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

NS_PER_S: Final = 1_000_000_000

Clock = Callable[[], int]
"Returns nanoseconds since 1970-01-01 UTC; `system_clock_ns` unless a test says else."


def system_clock_ns() -> int:
    """Return the wall clock in nanoseconds since the epoch."""
    return time.time_ns()


def utc(time_ns: int) -> datetime:
    """Return *time_ns* as an aware datetime (microseconds; the rest is cut)."""
    seconds, rest = divmod(time_ns, NS_PER_S)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000)


def rfc3339(time_ns: int) -> str:
    """Return *time_ns* as ``2026-11-23T06:16:09.123456789Z``."""
    seconds, rest = divmod(time_ns, NS_PER_S)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest:09d}Z"


def day_of(time_ns: int) -> str:
    """Return the UTC day ``2026-11-23``: all of the time that a row may show."""
    return utc(time_ns).date().isoformat()


def month_of(time_ns: int) -> str:
    """Return the UTC month ``2026-11``: the epoch of keys and index tokens."""
    return day_of(time_ns)[:7]
