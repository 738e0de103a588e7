"""Which entries of the log somebody asks for.

Guarantees: what the database selects by a query (`vault.audit.reading`) and what
a verifier accepts as selected (`TrailQuery.selects`) are the same entries.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final, Self

from vault.core.canonical import JsonValue
from vault.core.errors import InvalidInputError

EQUAL: Final = ("actor", "action", "recording", "result")
"Members of an entry that a query compares as they are."

_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]{2,18}Z?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailQuery:
    """Which entries; empty members select everything.

    Times are RFC 3339 in UTC or a beginning of it (``2026-11-23``); *since* is
    included, *until* is not.
    """

    actor: str = ""
    action: str = ""
    recording: str = ""
    result: str = ""
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

    def members(self) -> dict[str, JsonValue]:
        """Return the members that select anything, for headers and logs."""
        named = {part.name: getattr(self, part.name) for part in fields(self)}
        return {name: value for name, value in named.items() if value}

    @classmethod
    def parse(cls, members: Mapping[str, JsonValue]) -> Self:
        """Read `members` back.

        Raises:
            InvalidInputError: A member that no query has, or an empty one.
        """
        known = {part.name for part in fields(cls)}
        given = {
            name: value for name, value in members.items() if isinstance(value, str)
        }
        if len(given) != len(members) or not set(given) <= known:
            raise InvalidInputError("not a query")
        query = cls(**given)
        if query.members() != members:
            raise InvalidInputError("not a query")
        return query

    def selects(self, entry: Mapping[str, JsonValue]) -> bool:
        """Tell whether *entry* (its members) is one of those asked for."""
        time = str(entry.get("time", ""))
        return (
            all(
                not getattr(self, name) or entry.get(name) == getattr(self, name)
                for name in EQUAL
            )
            and time >= self.since
            and (not self.until or time < self.until)
        )


EVERYTHING: Final = TrailQuery()
