"""Extensions: which address is which agent's, and which workgroup its calls are of.

    1001            →  anna,  Support        exact
    2??             →         Sales          two more characters, any
    49301234*       →         Reception      whatever begins so
    *@pbx.example   →         Branch         everybody of one host

Guarantees: one address is matched by one entry at most, the most specific one, however
many there are and in whatever order they came; an address is matched however the PBX
has spelled it; the time it takes grows with the length of an address and no faster.

Left to others: the audit leaf of each change (the caller's room), when to ask
(`vault.recorder.placing`).

Spec: docs/reference/extensions.md
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Self

from sqlalchemy import Connection, Engine, Row, delete, func, insert, select, update

from vault.access.names import checked_name, checked_title, is_storable
from vault.access.placing_gains import ELSEWHERE, Placing, insist_on_no_reach
from vault.access.tables import EXTENSION
from vault.core.addresses import address_key, bare_address, user_key
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.ids import ExtensionId, UserId, new_id
from vault.database.engine import reading, transaction

MAX_PATTERN: Final = 128
"Characters."
MAX_WILD: Final = 1000
"Entries with a wildcard: each of them is tried for each address."
MAX_ENTRIES: Final = 50_000
_MAX_STARS: Final = 3
_MOST_LOOKED_UP: Final = 4096
_PATTERN: Final = re.compile(r"[^\s@<>\";,]+(?:@[^\s@<>\";,]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """One entry of the table."""

    id: ExtensionId
    pattern: str
    agent: str = ""
    "User name; empty where it is nobody's."
    workgroup: str = ""
    "Name; empty where it says nothing."

    def __repr__(self) -> str:
        # A pattern is a number of somebody.
        return f"<Extension {self.id}>"

    @property
    def placing(self) -> Placing:
        """Where it leads calls."""
        return Placing(agent=self.agent, workgroup=self.workgroup)

    def members(self) -> dict[str, str]:
        """Return the JSON members, as API and commands show it."""
        return {
            "id": self.id,
            "pattern": self.pattern,
            "agent": self.agent,
            "workgroup": self.workgroup,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtensionChanged:
    """An entry before and after; one of them is None where there is none."""

    entry: Extension
    "As it is now, or as it was before it was taken away."
    before: Extension | None
    after: Extension | None

    def texts(self) -> dict[str, str]:
        """Return what a person typed, for the part of a leaf that is sealed."""
        named = (("before", self.before), ("after", self.after))
        return {
            name: f"{one.pattern} agent={one.agent} workgroup={one.workgroup}"
            for name, one in named
            if one is not None
        }


_Tell = Callable[[ExtensionChanged], object]
_UNASKED: Final = Extension(id=ExtensionId(""), pattern="")
"Stands for an address that was not looked up before."


class ExtensionTable:
    """Finds the entry of an address; made once, asked often, without any I/O."""

    def __init__(self, extensions: Iterable[Extension] = ()) -> None:
        self.extensions = tuple(extensions)
        self._exact: dict[tuple[str, str], Extension] = {}
        wild: list[tuple[_Pattern, Extension]] = []
        for one in self.extensions:
            user, host = _halves(one.pattern)
            if _is_wild(one.pattern):
                wild.append((_Pattern.of(user, host), one))
            else:
                self._exact[user, host] = one
        self._wild = sorted(wild, key=lambda each: each[0].rank)
        self._looked_up: dict[tuple[str, str], Extension | None] = {}
        "What the entries with wildcards said of addresses before."

    def match(self, address: str) -> Extension | None:
        """Return the most specific entry for *address*, or None.

        Args:
            address: A number, ``user@host``, a ``sip:`` or ``tel:`` URI, with a
                display name or without.
        """
        user, host = address_key(address)
        if not user and not host:
            return None
        exact = self._exact.get((user, host)) or self._exact.get((user, ""))
        if exact is not None:
            return exact
        if not self._wild:
            return None
        # The same people take part in call after call.  Threads may ask at once.
        found = self._looked_up.get((user, host), _UNASKED)
        if found is _UNASKED:
            found = self._fitting(user, host)
            if len(self._looked_up) >= _MOST_LOOKED_UP:
                self._looked_up.clear()
            self._looked_up[user, host] = found
        return found

    def _fitting(self, user: str, host: str) -> Extension | None:
        for pattern, extension in self._wild:
            if pattern.fits(user, host):
                return extension
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pattern:
    """An entry with a wildcard."""

    user: str
    host: str
    fits_user: re.Pattern[str]
    fits_host: re.Pattern[str] | None

    @classmethod
    def of(cls, user: str, host: str) -> Self:
        return cls(
            user=user,
            host=host,
            fits_user=_compiled(user),
            fits_host=_compiled(host) if host else None,
        )

    @property
    def rank(self) -> tuple[int, int, int, str]:
        """Smaller is more specific: literal characters, then places, then stars."""
        text = self.user + self.host
        stars, places = text.count("*"), text.count("?")
        return stars + places - len(text), stars, -len(self.host), text

    def fits(self, user: str, host: str) -> bool:
        return self.fits_user.fullmatch(user) is not None and (
            self.fits_host is None or self.fits_host.fullmatch(host) is not None
        )


class Extensions:
    """The table in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def put(
        self,
        pattern: str,
        *,
        agent: str = "",
        workgroup: str = "",
        asker: UserId | None = None,
        tell: _Tell,
    ) -> ExtensionChanged:
        """Make an entry, or replace what *pattern* stands for.

        Args:
            pattern: A number or a user, with ``@host`` or without; ``*`` stands for
                any characters, ``?`` for one.
            agent: User name; need not be an account yet.
            workgroup: Name; need not exist yet.
            asker: Who leads no calls to where they hear them; None: the operator.
            tell: Is told the change before it counts; what it raises undoes it.

        Raises:
            InvalidInputError: Not a pattern, not a name, or neither agent nor
                workgroup.
            ConflictError: The table is full, or *asker* would hear more.
        """
        entry = checked_extension(pattern, agent=agent, workgroup=workgroup)
        with transaction(self._engine) as connection:
            row = connection.execute(
                select(EXTENSION).where(EXTENSION.c.pattern == entry.pattern)
            ).first()
            if asker is not None:
                insist_on_no_reach(
                    connection,
                    asker,
                    before=None if row is None else _extension(row).placing,
                    after=[entry.placing],
                    now_ns=self._clock(),
                )
            if row is None:
                changed = _made(connection, entry)
            else:
                changed = _replaced(connection, _extension(row), entry)
            tell(changed)
        return changed

    def remove(
        self, pattern_or_id: str, *, asker: UserId | None = None, tell: _Tell
    ) -> ExtensionChanged:
        """Take an entry away; calls that run stay as they were placed.

        *asker* and *tell* are as for `put`.

        Raises:
            NotFoundError: No such entry.
            ConflictError: *asker* would hear more.
        """
        found = self.find(pattern_or_id)
        with transaction(self._engine) as connection:
            if asker is not None:
                # Any other entry may fit what this one did, or none.
                rows = connection.execute(
                    select(EXTENSION).where(EXTENSION.c.id != found.id)
                ).all()
                insist_on_no_reach(
                    connection,
                    asker,
                    before=found.placing,
                    after={ELSEWHERE, *(_extension(row).placing for row in rows)},
                    now_ns=self._clock(),
                )
            gone = connection.execute(
                delete(EXTENSION).where(EXTENSION.c.id == found.id)
            ).rowcount
            if not gone:
                raise NotFoundError("no such extension")
            changed = ExtensionChanged(entry=found, before=found, after=None)
            tell(changed)
        return changed

    def find(self, pattern_or_id: str) -> Extension:
        """Return the entry of that pattern, as it is spelled, or id.

        Raises:
            NotFoundError: No such entry.
        """
        key = pattern_key(pattern_or_id) if is_storable(pattern_or_id) else ""
        with reading(self._engine) as connection:
            row = connection.execute(
                select(EXTENSION).where(
                    (EXTENSION.c.id == key) | (EXTENSION.c.pattern == key)
                )
            ).first()
        if row is None:
            raise NotFoundError("no such extension")
        return _extension(row)

    def list(self) -> tuple[Extension, ...]:
        """Return all entries by pattern."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(EXTENSION).order_by(EXTENSION.c.pattern)
            ).all()
        return tuple(_extension(row) for row in rows)

    def table(self) -> ExtensionTable:
        """Return all entries, to match addresses with."""
        return ExtensionTable(self.list())


def checked_extension(
    pattern: str, *, agent: str = "", workgroup: str = ""
) -> Extension:
    """Return a new entry.

    Raises:
        InvalidInputError: Not a pattern, not a name, or neither agent nor workgroup.
    """
    key = pattern_key(pattern)
    if not _PATTERN.fullmatch(key) or len(key) > MAX_PATTERN or not key.isprintable():
        raise InvalidInputError(
            f"a pattern has up to {MAX_PATTERN} characters without blanks: 1001, 2??, "
            "+4930*, 1001@pbx.example"
        )
    if key.count("*") > _MAX_STARS:
        raise InvalidInputError(f"a pattern has {_MAX_STARS} stars at most")
    if not agent.strip() and not workgroup.strip():
        raise InvalidInputError("an extension names an agent, a workgroup, or both")
    return Extension(
        id=ExtensionId(new_id()),
        pattern=key,
        agent=checked_name(agent.strip()) if agent.strip() else "",
        workgroup=checked_title(workgroup) if workgroup.strip() else "",
    )


def pattern_key(text: str) -> str:
    """Return a pattern as the table has it: no scheme, no separators, one case."""
    user, at, host = bare_address(text).partition("@")
    return f"{user_key(user)}{at}{host.casefold()}"


def _halves(pattern: str) -> tuple[str, str]:
    user, _, host = pattern.partition("@")
    return user_key(user), host.casefold()


def _is_wild(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern


def _compiled(pattern: str) -> re.Pattern[str]:
    """Return what fits *pattern*; it goes through a text once and never back.

    What follows a star is taken at the first place where it fits (an atomic group):
    if the rest does not fit behind that, it would not behind a later place.
    """
    first, *further = map(_literally, pattern.split("*"))
    if not further:
        return re.compile(first, re.DOTALL)
    *middle, last = further
    jumps = "".join(f"(?>.*?{one})" for one in middle)
    return re.compile(f"{first}{jumps}.*{last}", re.DOTALL)


def _literally(text: str) -> str:
    return "".join("." if one == "?" else re.escape(one) for one in text)


def _made(connection: Connection, entry: Extension) -> ExtensionChanged:
    wild = _is_wild(entry.pattern)
    _check_room(connection, wild=wild)
    connection.execute(
        insert(EXTENSION).values(
            id=entry.id,
            pattern=entry.pattern,
            is_wild=wild,
            agent=entry.agent,
            workgroup=entry.workgroup,
        )
    )
    return ExtensionChanged(entry=entry, before=None, after=entry)


def _replaced(
    connection: Connection, before: Extension, entry: Extension
) -> ExtensionChanged:
    after = replace(entry, id=before.id)
    connection.execute(
        update(EXTENSION)
        .where(EXTENSION.c.id == before.id)
        .values(agent=after.agent, workgroup=after.workgroup)
    )
    return ExtensionChanged(entry=after, before=before, after=after)


def _check_room(connection: Connection, *, wild: bool) -> None:
    count = select(func.count()).select_from(EXTENSION)
    if connection.execute(count).scalar_one() >= MAX_ENTRIES:
        raise ConflictError(f"the table of extensions has {MAX_ENTRIES} entries")
    count = count.where(EXTENSION.c.is_wild)
    if wild and connection.execute(count).scalar_one() >= MAX_WILD:
        raise ConflictError(f"{MAX_WILD} patterns have a wildcard already")


def _extension(row: Row[*tuple[Any, ...]]) -> Extension:
    return Extension(
        id=ExtensionId(row.id),
        pattern=row.pattern,
        agent=row.agent,
        workgroup=row.workgroup,
    )
