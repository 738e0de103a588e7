"""Which entries of the log somebody asks for.

    wanted      every field given must hold; within a field any value will do
    unwanted    none of the values may match
    since       first time that is early enough, and *until* the first too late

Guarantees: what the database selects by a query (`vault.audit.conditions`) and what
a verifier accepts as selected (`TrailQuery.selects`) are the same entries.

Left to others: how people write a query (`vault.audit.language`).

Spec: docs/reference/audit-query.md
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from vault.core.canonical import JsonValue
from vault.core.errors import InvalidInputError

EXCLUDES: Final = "-"
"Stands before a field whose values must not match."

PREFIX: Final = ".*"
"Ends an action that stands for every action which begins so."

MAX_VALUES: Final = 64
"Values in one query at most, in all of its fields."

OBJECT_MEMBERS: Final = (
    "approval",
    "class",
    "device",
    "entry",
    "extension",
    "factor",
    "given",
    "grant",
    "kid",
    "process",
    "role",
    "rule",
    "session",
    "token",
    "user",
    "workgroup",
)
"Details that name what an entry is about, as ``<name>:<value>``."

TYPED_MEMBERS: Final = ("holder", "scope")
"Details whose value says itself what it names: ``user:<id>``, ``workgroup:<id>``."

_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{2,18}Z?)?")
_VALUE: Final = re.compile(r"[!-~]{1,128}")
_ACTION: Final = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*(\.\*)?")


def objects_of(members: Mapping[str, JsonValue]) -> tuple[str, ...]:
    """Return what an entry (its *members*) is about, sorted, as ``<kind>:<value>``."""
    found: set[str] = set()
    recording = members.get("recording")
    if isinstance(recording, str) and recording:
        found.add(f"recording:{recording}")
    detail = members.get("detail")
    if isinstance(detail, Mapping):
        found.update(
            f"{name}:{value}"
            for name in OBJECT_MEMBERS
            if isinstance(value := detail.get(name), str | int)
        )
        found.update(
            value
            for name in TYPED_MEMBERS
            if isinstance(value := detail.get(name), str) and ":" in value
        )
    return tuple(sorted(found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Values by field; an empty field says nothing."""

    about: tuple[str, ...] = ()
    "Who did it, or what it was done to."
    action: tuple[str, ...] = ()
    actor: tuple[str, ...] = ()
    object: tuple[str, ...] = ()
    result: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in FIELDS:
            values = getattr(self, name)
            shape = _ACTION if name == "action" else _VALUE
            if not all(shape.fullmatch(value) for value in values):
                raise InvalidInputError(f"not a value that {name} can have")
            object.__setattr__(self, name, tuple(sorted(set(values))))

    def values(self) -> Mapping[str, tuple[str, ...]]:
        """Return the fields that say anything, by name."""
        named = {name: getattr(self, name) for name in FIELDS}
        return {name: values for name, values in named.items() if values}


FIELDS: Final = ("about", "action", "actor", "object", "result")
"What a query can ask an entry for, besides its time."


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailQuery:
    """Which entries; empty members select everything.

    Times are RFC 3339 in UTC or a beginning of it (``2026-11-23``); *since* is
    included, *until* is not.
    """

    wanted: Terms = Terms()
    unwanted: Terms = Terms()
    since: str = ""
    until: str = ""

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            bound = getattr(self, name)
            if bound and not _TIME.fullmatch(bound):
                raise InvalidInputError("not a time: write 2026-11-23T06:16:09Z")
            # Times compare as text, and "Z" sorts behind ".": without it, a
            # bound in whole seconds is the beginning of every time within.
            object.__setattr__(self, name, bound.removesuffix("Z"))
        count = sum(
            len(values)
            for terms in (self.wanted, self.unwanted)
            for values in terms.values().values()
        )
        if count > MAX_VALUES:
            raise InvalidInputError(f"a query of more than {MAX_VALUES} values")

    def members(self) -> dict[str, JsonValue]:
        """Return the members that select anything, for headers and messages."""
        found: dict[str, JsonValue] = {}
        for sign, terms in (("", self.wanted), (EXCLUDES, self.unwanted)):
            for name, values in terms.values().items():
                found[sign + name] = list(values)
        bounds = {"since": self.since, "until": self.until}
        return found | {name: bound for name, bound in bounds.items() if bound}

    def detail(self) -> dict[str, str | int]:
        """Return which fields it asks for, for a leaf's detail: never the values."""
        names = [
            f"not-{name.removeprefix(EXCLUDES)}" if name.startswith(EXCLUDES) else name
            for name in self.members()
        ]
        return {"fields": "/".join(names)} if names else {}

    @classmethod
    def parse(cls, members: Mapping[str, JsonValue]) -> Self:
        """Read `members` back.

        Raises:
            InvalidInputError: Not what `members` gives: a member that no query has,
                one that is empty, values that are unsorted or twice.
        """
        rest = dict(members)
        query = cls(
            wanted=_taken(rest, ""),
            unwanted=_taken(rest, EXCLUDES),
            since=str(rest.pop("since", "")),
            until=str(rest.pop("until", "")),
        )
        if rest or query.members() != members:
            raise InvalidInputError("not a query")
        return query

    def selects(self, entry: Mapping[str, JsonValue]) -> bool:
        """Tell whether *entry* (its members) is one of those asked for."""
        time = str(entry.get("time", ""))
        if time < self.since or (self.until and time >= self.until):
            return False
        objects = objects_of(entry)
        return all(
            _holds(name, values, entry, objects)
            for name, values in self.wanted.values().items()
        ) and not any(
            _holds(name, values, entry, objects)
            for name, values in self.unwanted.values().items()
        )


EVERYTHING: Final = TrailQuery()


def _taken(members: dict[str, JsonValue], sign: str) -> Terms:
    """Take the lists of one sign out of *members*."""
    found: dict[str, tuple[str, ...]] = {}
    for name in FIELDS:
        values = members.pop(sign + name, [])
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise InvalidInputError("not a query")
        if len(values) > MAX_VALUES:
            raise InvalidInputError(f"a query of more than {MAX_VALUES} values")
        if not all(isinstance(value, str) for value in values):
            raise InvalidInputError("not a query")
        found[name] = tuple(str(value) for value in values)
    return Terms(**found)


def _holds(
    name: str,
    values: Collection[str],
    entry: Mapping[str, JsonValue],
    objects: Sequence[str],
) -> bool:
    """Tell whether any of *values* matches the field *name* of an entry."""
    if name == "action":
        action = str(entry.get("action", ""))
        return any(matches_action(value, action) for value in values)
    if name == "object":
        return not set(values).isdisjoint(objects)
    if name == "about":
        return entry.get("actor") in values or not set(values).isdisjoint(objects)
    return entry.get(name) in values


def matches_action(wanted: str, action: str) -> bool:
    """Tell whether *action* is *wanted*, or begins as its wildcard says."""
    if wanted.endswith(PREFIX):
        return action.startswith(wanted.removesuffix("*"))
    return action == wanted
