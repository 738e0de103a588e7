"""Times as people write them in a query, as bounds of the trail.

    2026-11            a year, a month, a day, an hour, a minute or a second: all of it
    >= > < <=          from, after, before, up to the end of such a time
    A..B  A..*  *..B   from the beginning of A to the end of B
    24h  7d            the last hours (``m``, ``h``, ``d``, ``w``)

Guarantees: a bound is one that `vault.audit.query.TrailQuery` takes, in UTC.

Left to others: the rest of the language (`vault.audit.language`).
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from vault.core.clock import NS_PER_S, rfc3339
from vault.core.errors import InvalidInputError

EXAMPLES: Final = "2026-11, 2026-11-01..2026-11-20, >=2026-11-01T08:00 or 24h"

_TIME: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?)?)?)?Z?",
    re.ASCII,
)
_AGO: Final = re.compile(r"([1-9][0-9]{0,3})([mhdw])", re.ASCII)
_COMPARED: Final = re.compile(r"(>=|<=|>|<)(.*)", re.ASCII)
_UNIT_S: Final = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_OPEN: Final = ("", "*")
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9000


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From *since* (included) to *until* (excluded); empty is open."""

    since: str = ""
    until: str = ""

    def within(self, other: "Span") -> "Span":
        """Return what both spans have in common."""
        ends = [end for end in (self.until, other.until) if end]
        return Span(since=max(self.since, other.since), until=min(ends) if ends else "")


def span_of(text: str, *, now_ns: int) -> Span:
    """Return the span that *text* means.

    Args:
        text: What stands behind ``created:``.
        now_ns: What ``24h`` counts back from.

    Raises:
        InvalidInputError: It is no time; the message names what would be.
    """
    if ago := _AGO.fullmatch(text):
        since_ns = now_ns - int(ago[1]) * _UNIT_S[ago[2]] * NS_PER_S
        return Span(since=_bound(max(0, since_ns // NS_PER_S * NS_PER_S)))
    if compared := _COMPARED.fullmatch(text):
        return _compared(compared[1], compared[2])
    first, dots, last = text.partition("..")
    if not dots:
        return Span(since=_begin(text), until=_end(text))
    span = Span(
        since="" if first in _OPEN else _begin(first),
        until="" if last in _OPEN else _end(last),
    )
    if span.since and span.until and span.since >= span.until:
        raise InvalidInputError(f"created:{text} ends before it begins")
    return span


def _compared(sign: str, text: str) -> Span:
    if sign == ">=":
        return Span(since=_begin(text))
    if sign == ">":
        return Span(since=_end(text))
    if sign == "<":
        return Span(until=_begin(text))
    return Span(until=_end(text))


def _begin(text: str) -> str:
    """Return the bound where *text* begins, spelled as it is where that is one."""
    _moment(text)
    whole = text.removesuffix("Z")
    lacking = {4: "-01-01", 7: "-01"}
    return whole + lacking.get(len(whole), "")


def _end(text: str) -> str:
    """Return the bound at which *text* is over."""
    begin, step_ns = _moment(text)
    seconds = int(begin.timestamp())
    fraction = text.removesuffix("Z").partition(".")[2]
    return _bound(seconds * NS_PER_S + int(fraction.ljust(9, "0")) + step_ns)


def _moment(text: str) -> tuple[datetime, int]:
    """Return the whole second in which *text* begins, and how long it lasts in ns."""
    match = _TIME.fullmatch(text)
    if match is None or not _FIRST_YEAR <= int(match[1]) <= _LAST_YEAR:
        raise _no_time(text)
    year, month, day, hour, minute, second, fraction = match.groups()
    try:
        begin = datetime(
            int(year),
            int(month or 1),
            int(day or 1),
            int(hour or 0),
            int(minute or 0),
            int(second or 0),
            tzinfo=UTC,
        )
    except ValueError:
        raise _no_time(text) from None
    if fraction:
        return begin, 10 ** (9 - len(fraction))
    steps_s = ((second, 1), (minute, 60), (hour, 3600), (day, 86_400))
    for given, step_s in steps_s:
        if given:
            return begin, step_s * NS_PER_S
    months = range(begin.month, begin.month + 1) if month else range(1, 13)
    days = sum(monthrange(begin.year, number)[1] for number in months)
    return begin, days * 86_400 * NS_PER_S


def _no_time(text: str) -> InvalidInputError:
    return InvalidInputError(
        f"{text[:40]!r} is not a time; write created: and {EXAMPLES}, in UTC"
    )


def _bound(time_ns: int) -> str:
    """Return *time_ns* as short as it can be spelled: a day, or to the minute."""
    text = rfc3339(time_ns).removesuffix("Z").rstrip("0").removesuffix(".")
    whole = rfc3339(time_ns)[:19]
    text = text if len(text) > len(whole) else whole
    return text.removesuffix(":00").removesuffix("T00:00")
