"""Hints for officers: what in the trail is worth a second look.

Entries in, hints out.  A hint accuses nobody: it says what was counted, when, and how
to see the entries that it was counted from.

    plays       so many listening sessions of one person within an hour
    hours       listening outside of business hours
    workgroup   the first time that this person hears this workgroup
    refusals    so many refusals of one actor within an hour
    emergency   somebody broke the glass
    exports     so many exports by one person within a day

Guarantees: pure; the order of entries does not matter; an entry that it does not
understand counts for nothing.

Left to others: reading the trail, which recording is whose (`vault.web.trail_report`).

Spec: docs/howto/look-for-anomalies.md
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum, unique
from typing import Final, Self
from zoneinfo import ZoneInfo

from vault.audit.entry import Action, Result
from vault.core.canonical import JsonValue
from vault.core.errors import InvalidInputError
from vault.core.flow import Purpose

PLAYS_AN_HOUR: Final = 20
REFUSALS_AN_HOUR: Final = 5
EXPORTS_A_DAY: Final = 5

PLAYED: Final = Action.RECORDING_KEY_RELEASED
"The entry without which nobody hears anything; one listening session, one grant."
EXPORTS: Final = (Action.RECORDING_EXPORTED, Action.AUDIT_TRAIL_EXPORTED)
REFUSALS: Final = (
    Action.ACCESS_REFUSED,
    Action.ACCESS_SESSION_REFUSED,
    Action.ACCESS_FACTOR_REFUSED,
)
LOOKED_AT: Final = (PLAYED, *EXPORTS, *REFUSALS, Action.ACCESS_EMERGENCY_OPENED)

_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS: Final = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? "
    r"(?P<opens>[0-2][0-9]:[0-5][0-9])-(?P<closes>[0-2][0-9]:[0-5][0-9])"
)

_WRITTEN: Final = "business hours are written Mon-Fri 08:00-18:00"

Members = Mapping[str, JsonValue]


@unique
class HintKind(StrEnum):
    """What a hint is about."""

    PLAYS = "plays"
    HOURS = "hours"
    WORKGROUP = "workgroup"
    REFUSALS = "refusals"
    EMERGENCY = "emergency"
    EXPORTS = "exports"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusinessHours:
    """When people are expected to work."""

    days: frozenset[int] = frozenset(range(5))
    "0 is Monday."
    opens: time = time(8)
    closes: time = time(18)
    "Excluded."
    zone: tzinfo = UTC

    @classmethod
    def parse(cls, text: str, zone: str = "UTC") -> Self:
        """Read ``Mon-Fri 08:00-18:00`` and the name of a zone.

        Raises:
            InvalidInputError: It is none, or there is no such zone.
        """
        found = _HOURS.fullmatch(text.strip().lower())
        if found is None:
            raise InvalidInputError(_WRITTEN)
        try:
            first = _DAYS.index(found["first"])
            last = _DAYS.index(found["last"] or found["first"])
            opens = time.fromisoformat(found["opens"])
            closes = time.fromisoformat(found["closes"])
        except ValueError:
            raise InvalidInputError(_WRITTEN) from None
        if opens >= closes:
            raise InvalidInputError("business hours end after they begin")
        count = (last - first) % len(_DAYS) + 1
        days = frozenset((first + day) % len(_DAYS) for day in range(count))
        return cls(days=days, opens=opens, closes=closes, zone=_zone(zone))

    def cover(self, moment: datetime) -> bool:
        """Tell whether *moment* lies within them."""
        local = moment.astimezone(self.zone)
        return local.weekday() in self.days and (
            self.opens <= local.time() < self.closes
        )

    def __str__(self) -> str:
        days = ", ".join(_DAYS[day].capitalize() for day in sorted(self.days))
        return f"{days} {self.opens:%H:%M}-{self.closes:%H:%M} {self.zone}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something to look at, and where."""

    kind: HintKind
    actor: str
    since: datetime
    until: datetime
    "Excluded."
    count: int
    actions: tuple[Action, ...]
    about: str = ""
    "``workgroup:<id>``, where it is about one."

    @property
    def query(self) -> str:
        """The officer's search that shows the entries."""
        actions = ",".join(self.actions)
        return (
            f"actor:{self.actor} action:{actions} "
            f"created:>={_minute(self.since)} created:<{_minute(self.until)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Play:
    """One listening session."""

    at: datetime
    actor: str
    recording: str
    within_hours: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was counted and what is worth a look."""

    plays: tuple[Play, ...]
    "Within the window, oldest first."
    hints: tuple[Hint, ...]
    "Newest first."

    @property
    def out_of_hours(self) -> int:
        """How many plays were outside of business hours."""
        return sum(not play.within_hours for play in self.plays)


def look(
    entries: Iterable[Members],
    *,
    since: datetime,
    until: datetime,
    hours: BusinessHours,
    workgroups: Mapping[str, str],
) -> Findings:
    """Return what is worth a look between *since* and *until*.

    Args:
        entries: Of the window, and of the time before it that "first time" counts.
        since: When the window begins.
        until: When it ends; excluded.
        hours: When people are expected to work.
        workgroups: Recording → id of its workgroup, as far as it is known.
    """
    seen = [one for entry in entries if (one := _Seen.of(entry)) is not None]
    seen.sort(key=lambda one: (one.at, one.id))
    plays = list(_plays(seen, hours))
    within = [one for one in seen if since <= one.at < until]
    recent = [play for play in plays if since <= play.at < until]
    exports = [one for one in within if one.action in EXPORTS and _is_person(one.actor)]
    refusals = [one for one in within if one.action in REFUSALS]
    hints = [
        *_many(HintKind.PLAYS, recent, _HOUR, PLAYS_AN_HOUR, (PLAYED,)),
        *_out_of_hours(recent),
        *_first_times(plays, workgroups, since=since, until=until),
        *_many(HintKind.REFUSALS, refusals, _HOUR, REFUSALS_AN_HOUR, REFUSALS),
        *_many(HintKind.EXPORTS, exports, _DAY, EXPORTS_A_DAY, EXPORTS),
        *_emergencies(within),
    ]
    hints.sort(key=lambda hint: (hint.since, hint.kind, hint.actor), reverse=True)
    return Findings(plays=tuple(recent), hints=tuple(hints))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What counts of an entry."""

    at: datetime
    id: str
    action: str
    actor: str
    ok: bool
    recording: str
    grant: str
    purpose: str

    @classmethod
    def of(cls, entry: Members) -> Self | None:
        detail = entry.get("detail")
        told = detail if isinstance(detail, Mapping) else {}
        try:
            at = datetime.fromisoformat(str(entry.get("time", "")))
        except ValueError:
            return None
        if at.tzinfo is None:
            return None
        return cls(
            at=at,
            id=str(entry.get("id", "")),
            action=str(entry.get("action", "")),
            actor=str(entry.get("actor", "")),
            ok=entry.get("result") == str(Result.OK),
            recording=str(entry.get("recording", "")),
            grant=str(told.get("grant", "")),
            purpose=str(told.get("purpose", "")),
        )


def _plays(seen: Iterable[_Seen], hours: BusinessHours) -> Iterator[Play]:
    grants: set[str] = set()
    for one in seen:
        if one.action != PLAYED or not one.ok or one.purpose != Purpose.PLAY:
            continue
        # A key is leased for minutes: a long session asks for it again.
        if not one.grant or one.grant not in grants:
            grants.add(one.grant)
            yield Play(
                at=one.at,
                actor=one.actor,
                recording=one.recording,
                within_hours=hours.cover(one.at),
            )


def _many(
    kind: HintKind,
    things: Iterable[Play | _Seen],
    each: timedelta,
    limit: int,
    actions: tuple[Action, ...],
) -> Iterator[Hint]:
    counts = Counter((one.actor, _floor(one.at, each)) for one in things)
    for (actor, begin), count in counts.items():
        if count >= limit:
            yield Hint(
                kind=kind,
                actor=actor,
                since=begin,
                until=begin + each,
                count=count,
                actions=actions,
            )


def _out_of_hours(plays: Iterable[Play]) -> Iterator[Hint]:
    """Yield one hint for each person and day."""
    days: dict[tuple[str, datetime], int] = Counter(
        (play.actor, _floor(play.at, _DAY)) for play in plays if not play.within_hours
    )
    for (actor, day), count in days.items():
        yield Hint(
            kind=HintKind.HOURS,
            actor=actor,
            since=day,
            until=day + _DAY,
            count=count,
            actions=(PLAYED,),
        )


def _first_times(
    plays: Iterable[Play],
    workgroups: Mapping[str, str],
    *,
    since: datetime,
    until: datetime,
) -> Iterator[Hint]:
    heard: dict[tuple[str, str], list[datetime]] = defaultdict(list)
    for play in plays:
        if workgroup := workgroups.get(play.recording):
            heard[play.actor, workgroup].append(play.at)
    for (actor, workgroup), moments in heard.items():
        if since <= moments[0] < until:
            first = _floor(moments[0], _HOUR)
            yield Hint(
                kind=HintKind.WORKGROUP,
                actor=actor,
                since=first,
                until=first + _HOUR,
                count=len(moments),
                actions=(PLAYED,),
                about=f"workgroup:{workgroup}",
            )


def _emergencies(seen: Iterable[_Seen]) -> Iterator[Hint]:
    for one in seen:
        if one.action == Action.ACCESS_EMERGENCY_OPENED:
            hour = _floor(one.at, _HOUR)
            yield Hint(
                kind=HintKind.EMERGENCY,
                actor=one.actor,
                since=hour,
                until=hour + _HOUR,
                count=1,
                actions=(Action.ACCESS_EMERGENCY_OPENED,),
            )


def _is_person(actor: str) -> bool:
    return actor.startswith(("user:", "os:"))


def _floor(moment: datetime, each: timedelta) -> datetime:
    """Return the hour or the day, in UTC, that *moment* lies in."""
    moment = moment.astimezone(UTC)
    hour = 0 if each == _DAY else moment.hour
    return moment.replace(hour=hour, minute=0, second=0, microsecond=0)


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M")


def _zone(name: str) -> tzinfo:
    # Without a database of zones there is still this one.
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise InvalidInputError(
            "not a time zone: write Europe/Berlin, for example"
        ) from None
