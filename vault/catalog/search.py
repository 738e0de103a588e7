"""Which rows a reader gets: visibility and search as SQL, decided in one place.

Guarantees:
    * Every scoped read, list and count goes through `visible`; an empty scope
      sees nothing, and so does a row that has no workgroup yet.
    * Paging walks a key, never an offset: page 10,000 costs what page 1 costs,
      and a row that arrives meanwhile moves nothing.
    * A cursor is data and not trust: it names a place, the scope still decides.

Left to others: making a `VisibilityScope` (`vault.access`), blind-index tokens
(`vault.warden`).
"""

import base64
import binascii
import re
from collections.abc import Collection, Sequence
from datetime import date
from typing import Final, TypedDict

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Date,
    and_,
    exists,
    false,
    literal,
    or_,
    tuple_,
)

from vault.catalog.tables import INDEX_TOKEN, RECORDING
from vault.catalog.values import parse_day
from vault.core.errors import InvalidInputError
from vault.core.flow import RecordingState, VisibilityScope
from vault.core.ids import UserId, WorkgroupId
from vault.trust.interfaces import IndexToken

MAX_PAGE: Final = 200
"Rows on one page at most: the warden opens no more at once."

_CURSOR: Final = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})\.([0-9]{1,18})")
_CURSOR_LENGTH: Final = 64

Place = tuple[date, int]


class Criteria(TypedDict, total=False):
    """What a search may ask for; a missing or None member asks for nothing."""

    day_from: str | None
    "First UTC day, ``2026-11-23``."
    day_to: str | None
    "Last UTC day, included."
    state: RecordingState | Collection[RecordingState] | None
    agent_id: UserId | None
    workgroup_id: WorkgroupId | None
    class_name: str | None
    "Of this class: by their own, or by that of their workgroup."
    class_workgroups: Collection[WorkgroupId]
    "Goes with *class_name*: the workgroups whose calls have it."
    tokens: Sequence[Collection[IndexToken]]
    """Blind-index groups: any token of each group, and every group.  A party is
    one group with both sides and all months; an empty group matches nothing."""


def visible(scope: VisibilityScope) -> ColumnElement[bool]:
    """Return the condition that a row must meet to exist for *scope*.

    It says in SQL what `VisibilityScope.covers` says of one row; a test holds them
    to each other.
    """
    group, class_name = RECORDING.c.workgroup_id, RECORDING.c.class_name
    if scope.everything:
        return group.is_not(None)
    ways: list[ColumnElement[bool]] = []
    if scope.workgroups:
        ways.append(group.in_(sorted(scope.workgroups)))
    if scope.own:
        ways.append(RECORDING.c.agent_id == scope.user_id)
    if scope.classes:
        ways.append(class_name.in_(sorted(scope.classes)))
    if scope.class_workgroups:
        ways.append(
            and_(class_name.is_(None), group.in_(sorted(scope.class_workgroups)))
        )
    return and_(group.is_not(None), or_(*ways)) if ways else false()


def matches(criteria: Criteria) -> ColumnElement[bool]:
    """Return the condition of *criteria*.

    Raises:
        InvalidInputError: A day that is none.
    """
    terms: list[ColumnElement[bool]] = []
    if day_from := criteria.get("day_from"):
        terms.append(RECORDING.c.day >= parse_day(day_from))
    if day_to := criteria.get("day_to"):
        terms.append(RECORDING.c.day <= parse_day(day_to))
    if (state := criteria.get("state")) is not None:
        states = [state] if isinstance(state, RecordingState) else list(state)
        terms.append(RECORDING.c.state.in_([str(one) for one in states]))
    if agent_id := criteria.get("agent_id"):
        terms.append(_is_id(RECORDING.c.agent_id, agent_id))
    if workgroup_id := criteria.get("workgroup_id"):
        terms.append(_is_id(RECORDING.c.workgroup_id, workgroup_id))
    if (class_name := criteria.get("class_name")) is not None:
        terms.append(_of_class(class_name, criteria.get("class_workgroups") or ()))
    terms.extend(_has_any(group) for group in criteria.get("tokens") or ())
    return and_(RECORDING.c.day.is_not(None), *terms)


def _is_id(column: Column[str], text: str) -> ColumnElement[bool]:
    # It may come from a query string; PostgreSQL takes no NUL, and its driver no
    # half of a surrogate pair.
    return column == text if text.isascii() and text.isprintable() else false()


def _of_class(
    class_name: str, workgroups: Collection[WorkgroupId]
) -> ColumnElement[bool]:
    return or_(
        _is_id(RECORDING.c.class_name, class_name),
        and_(
            RECORDING.c.class_name.is_(None),
            RECORDING.c.workgroup_id.in_(sorted(workgroups)),
        ),
    )


def _has_any(group: Collection[IndexToken]) -> ColumnElement[bool]:
    if not group:
        return false()
    return exists().where(
        INDEX_TOKEN.c.recording_id == RECORDING.c.id,
        or_(
            *(
                and_(
                    INDEX_TOKEN.c.field == token.field,
                    INDEX_TOKEN.c.month == token.month,
                    INDEX_TOKEN.c.token == token.token,
                )
                for token in group
            )
        ),
    )


def after(place: Place) -> ColumnElement[bool]:
    """Return the condition for rows behind *place* in the list, newest first."""
    day, seq = place
    return tuple_(RECORDING.c.day, RECORDING.c.seq) < tuple_(
        literal(day, Date), literal(seq, BigInteger)
    )


def checked_limit(limit: int) -> int:
    """Return *limit*.

    Raises:
        InvalidInputError: Not 1 to 200 rows.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InvalidInputError(f"a page has 1 to {MAX_PAGE} rows")
    return limit


def format_cursor(place: Place) -> str:
    """Return *place* as an opaque cursor."""
    day, seq = place
    octets = f"{day.isoformat()}.{seq}".encode("ascii")
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")


def parse_cursor(text: str) -> Place:
    """Read a cursor back.

    Raises:
        InvalidInputError: We never wrote it.
    """
    if len(text) <= _CURSOR_LENGTH:
        try:
            octets = base64.b64decode(
                text.encode("ascii") + b"=" * (-len(text) % 4),
                altchars=b"-_",
                validate=True,
            )
            found = _CURSOR.fullmatch(octets.decode("ascii"))
        except (UnicodeError, binascii.Error):
            found = None
        if (
            found
            and format_cursor(place := (parse_day(found[1]), int(found[2]))) == text
        ):
            return place
    raise InvalidInputError("not a cursor of this list")
