"""Lists, searches and views of recordings: rows, opened metadata, and a leaf.

Guarantees:
    * Nothing outside the asker's scope is read, counted or hinted at.
    * The leaf of a list, a search or a view is durable before its answer exists.
    * A refusal is on the trail, whether the recording exists or not.
    * A page costs one call to the database, one to open its rows and one leaf.

Left to others: scope (`vault.access`), tokens and row keys (the warden), HTTP.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from vault.access.workgroups import Workgroups
from vault.audit.entry import Action, Draft
from vault.catalog.recordings import Recordings
from vault.catalog.search import Criteria
from vault.catalog.values import RecordingRow
from vault.core.clock import Clock, day_of, system_clock_ns
from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.flow import Caller, RecordingState
from vault.core.ids import RecordingId, WorkgroupId
from vault.sealing.metadata import SessionMetadata
from vault.trust.interfaces import MAX_MONTHS, IndexToken, RowKeys, Trail
from vault.web.identity import Asker, log_refusal
from vault.web.items import RecordingItem
from vault.web.services import Services

RIGHT: Final = "recording:metadata:read"
_MONTHS_PER_YEAR: Final = 12
_LOST_PLUS: Final = re.compile(r" \d")
_SIDES: Final = ("caller", "callee")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingQuery:
    """What a list is narrowed to; empty members narrow nothing."""

    from_day: str | None = None
    "First UTC day, ``2026-11-23``."
    to_day: str | None = None
    "Last UTC day, included."
    party: str | None = None
    "Whole number (or name) of either side."
    agent: str | None = None
    workgroup: str | None = None
    state: RecordingState | None = None
    class_name: str | None = None
    "Class, its own or that of its workgroup."
    cursor: str | None = None
    limit: int = 50

    @property
    def narrows(self) -> bool:
        """Whether any filter is set."""
        return any(
            (
                self.from_day,
                self.to_day,
                self.party,
                self.agent,
                self.workgroup,
                self.state,
                self.class_name,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemPage:
    """One page of a list."""

    items: tuple[RecordingItem, ...]
    next: str | None


# What a query asks by, and how the trail calls it.
_SEALED_TERMS: Final = ("party", "agent")
_TERMS: Final = {
    **{name: name for name in (*_SEALED_TERMS, "workgroup", "state")},
    "class_name": "class",
    "from_day": "from",
    "to_day": "to",
}

_EMPTY: Final = ItemPage(items=(), next=None)


class Browse:
    """The list and the view, for API and pages alike."""

    def __init__(
        self,
        *,
        recordings: Recordings,
        rows: RowKeys,
        trail: Trail,
        workgroups: Workgroups,
        clock: Clock = system_clock_ns,
    ) -> None:
        self._recordings = recordings
        self._rows = rows
        self._trail = trail
        self._workgroups = workgroups
        self._clock = clock

    def find(self, asker: Asker, query: RecordingQuery) -> ItemPage:
        """Return one page of what *asker* may know of, newest first.

        Raises:
            InvalidInputError: A day, cursor or limit that is none.
            AuditUnavailableError: The leaf is not durable: there is no list.
        """
        page = self._page(asker, query)
        terms = [name for name in _SEALED_TERMS if getattr(query, name) is not None]
        asked = [word for name, word in _TERMS.items() if getattr(query, name)]
        self._trail.append(
            Draft(
                action=Action.RECORDING_SEARCHED if terms else Action.RECORDING_LISTED,
                caller=asker.caller,
                right=RIGHT,
                # Names of fields and a count: a number searched for is nobody's
                # business but the searcher's (DESIGN section 4).
                detail={"rows": len(page.items)}
                | ({"fields": "/".join(asked)} if asked else {}),
            )
        )
        return page

    def view(self, asker: Asker, recording_id: RecordingId) -> RecordingItem:
        """Return one recording.

        Raises:
            NotFoundError: Missing, or outside the asker's scope.
            AuditUnavailableError: The leaf is not durable: there is no view.
        """
        row = self._row(asker, recording_id)
        item = self._items(asker.caller, [row])[0]
        self._trail.append(
            Draft(
                action=Action.RECORDING_METADATA_READ,
                caller=asker.caller,
                recording=recording_id,
                right=RIGHT,
            )
        )
        return item

    def state(self, asker: Asker, recording_id: RecordingId) -> RecordingState:
        """Return where a recording stands: nothing sealed is opened for it.

        Raises:
            NotFoundError: Missing, or outside the asker's scope.
        """
        return self._row(asker, recording_id).state

    def workgroups(self, asker: Asker) -> Sequence[str]:
        """Return the names of the workgroups in the asker's scope, in order."""
        return sorted(self._named(asker).values())

    def _row(self, asker: Asker, recording_id: RecordingId) -> RecordingRow:
        try:
            return self._recordings.get(asker.scope, recording_id)
        except NotFoundError:
            log_refusal(self._trail, asker, right=RIGHT, recording=recording_id)
            raise

    def _page(self, asker: Asker, query: RecordingQuery) -> ItemPage:
        criteria: Criteria = {
            "day_from": utc_day(query.from_day),
            "day_to": utc_day(query.to_day),
            "state": query.state,
        }
        if query.workgroup is not None:
            chosen = self._own_workgroup(asker, query.workgroup)
            if chosen is None:
                return _EMPTY  # foreign and missing look alike
            criteria["workgroup_id"] = chosen
        if query.class_name is not None:
            criteria["class_name"] = query.class_name
            criteria["class_workgroups"] = [
                one.id
                for one in self._workgroups.list()
                if one.class_name == query.class_name
            ]
        if not asker.scope.is_empty:
            criteria["tokens"] = self._tokens(asker.caller, query)
        found = self._recordings.find(
            asker.scope, cursor=query.cursor, limit=query.limit, **criteria
        )
        return ItemPage(items=self._items(asker.caller, found.rows), next=found.next)

    def _own_workgroup(self, asker: Asker, name: str) -> WorkgroupId | None:
        for one, title in self._named(asker).items():
            if title.casefold() == name.casefold():
                return one
        return None

    def _named(self, asker: Asker) -> Mapping[WorkgroupId, str]:
        """Return the workgroups that the asker may know of, by id."""
        names, scope = self._workgroups.names(), asker.scope
        if scope.everything:
            return names
        within = scope.workgroups | scope.class_workgroups
        # Whoever sees their own calls knows the workgroups that they belong to.
        within |= asker.session.workgroups if scope.own else frozenset()
        return {one: title for one, title in names.items() if one in within}

    def _items(
        self, caller: Caller, rows: Sequence[RecordingRow]
    ) -> tuple[RecordingItem, ...]:
        if not rows:
            return ()
        opened = self._rows.open_rows(caller, [row.id for row in rows])
        groups = {one.id: one for one in self._workgroups.list()}
        return tuple(
            RecordingItem.of(
                row,
                SessionMetadata.parse(opened[row.id]) if row.id in opened else None,
                workgroup=groups.get(row.workgroup_id) if row.workgroup_id else None,
            )
            for row in rows
        )

    def _tokens(self, caller: Caller, query: RecordingQuery) -> list[list[IndexToken]]:
        groups: list[list[IndexToken]] = []
        for fields, value in (
            (_SIDES, query.party and asked_party(query.party)),
            (("agent",), query.agent),
        ):
            if value is None:
                continue
            months = searched_months(
                utc_day(query.from_day), utc_day(query.to_day), now=self._clock()
            )
            groups.append(
                [
                    IndexToken(field=field, month=month, token=token)
                    for field in fields
                    for month, token in self._asked(caller, field, value, months)
                ]
            )
        return groups

    def _asked(
        self, caller: Caller, field: str, value: str, months: Sequence[str]
    ) -> Sequence[tuple[str, bytes]]:
        tokens: Mapping[str, bytes] = self._rows.tokens(
            caller, field=field, value=value, months=months
        )
        return list(tokens.items())


def browse_of(services: Services) -> Browse:
    """Return lists and views over *services*."""
    return Browse(
        recordings=services.recordings,
        rows=services.warden,
        trail=services.warden,
        workgroups=services.workgroups,
        clock=services.clock,
    )


def asked_party(text: str) -> str:
    """Return the number that *text* means.

    In an address ``+`` is a blank unless it is escaped, which people forget; no
    number starts with a blank.
    """
    return f"+{text[1:]}" if _LOST_PLUS.match(text) else text


def utc_day(text: str | None) -> str | None:
    """Return the UTC day of a day or an RFC 3339 time.

    Raises:
        InvalidInputError: It is neither.
    """
    if not text:
        return None
    try:
        if "T" not in text:
            return date.fromisoformat(text).isoformat()
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInputError(
            "a day is written 2026-11-23, a time 2026-11-23T06:16:09Z"
        ) from None
    if moment.tzinfo is None:
        raise InvalidInputError("a time needs its zone, for example Z")
    return moment.astimezone(UTC).date().isoformat()


def searched_months(from_day: str | None, to_day: str | None, *, now: int) -> list[str]:
    """Return the months, ``2026-11``, that a search by token has to ask for.

    Without a first day it is as many as one search may cover, up to the last.

    Raises:
        InvalidInputError: The days are more months apart, or reversed.
    """
    last = _month_number((to_day or day_of(now))[:7])
    first = last - MAX_MONTHS + 1 if from_day is None else _month_number(from_day[:7])
    if first > last:
        raise InvalidInputError("the first day is after the last one")
    if last - first >= MAX_MONTHS:
        raise InvalidInputError(f"a search covers {MAX_MONTHS} months at most")
    return [
        f"{number // _MONTHS_PER_YEAR:04d}-{number % _MONTHS_PER_YEAR + 1:02d}"
        for number in range(first, last + 1)
    ]


def _month_number(month: str) -> int:
    return int(month[:4]) * _MONTHS_PER_YEAR + int(month[5:7]) - 1
