"""Rules about addresses: who may reach a listener at all, as administrators say.

    web    deny   198.51.100.0/24
    forks  allow  192.0.2.10/32      everybody else stays out of the fork API

Guarantees: deny wins; with a rule that allows, who is in none is denied; one prefix
has one spelling and stands once.  A change that would shut out the address it is made
from is refused, and one that the trail was not told of is undone.

Left to others: the fence that the settings draw, which no rule widens (`vault.edge`);
that nothing here shuts loopback out of the pages; the audit leaf (the caller's room).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final

from sqlalchemy import Connection, Engine, Row, delete, insert, select

from vault.access.tables import ADDRESS_RULE
from vault.core.clock import Clock, rfc3339, system_clock_ns
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.ids import AddressRuleId, new_id
from vault.core.prefixes import LOOPBACK, AddressLists, Prefixes
from vault.database.engine import reading, transaction

MAX_RULES: Final = 500
"Of one listener: each is looked at for every request."


@unique
class Listener(StrEnum):
    """What an address reaches."""

    WEB = "web"
    FORKS = "forks"
    SIP = "sip"


@unique
class Verdict(StrEnum):
    """What a rule says of the addresses in its prefix."""

    ALLOW = "allow"
    DENY = "deny"


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRule:
    """One rule."""

    id: AddressRuleId
    listener: Listener
    verdict: Verdict
    prefix: str
    created_ns: int = 0

    def members(self) -> dict[str, str]:
        """Return the JSON members, as API and commands show it."""
        return {
            "id": self.id,
            "listener": self.listener,
            "verdict": self.verdict,
            "prefix": self.prefix,
            "created": rfc3339(self.created_ns),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRuleChanged:
    """A rule before and after; one of them is None."""

    rule: AddressRule
    "As it is now, or as it was before it was taken away."
    before: AddressRule | None
    after: AddressRule | None

    def texts(self) -> dict[str, str]:
        """Return before and after, for the part of a leaf that is sealed."""
        named = (("before", self.before), ("after", self.after))
        return {
            name: f"{one.listener} {one.verdict} {one.prefix}"
            for name, one in named
            if one is not None
        }


_Tell = Callable[[AddressRuleChanged], object]


class AddressRules:
    """The rules in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def list(self) -> tuple[AddressRule, ...]:
        """Return all rules by listener, verdict and prefix."""
        with reading(self._engine) as connection:
            return _all(connection)

    def snapshot(self, listener: Listener) -> AddressLists:
        """Return the rules of *listener*, to ask for each request.

        Raises:
            UnavailableError: The database did not answer: what was true before is.
        """
        return lists_of(self.list(), listener)

    def add(
        self, listener: str, verdict: str, prefix: str, *, asker: str = "", tell: _Tell
    ) -> AddressRuleChanged:
        """Make a rule.

        Args:
            listener: ``web``, ``forks`` or ``sip``.
            verdict: ``allow`` or ``deny``.
            prefix: An address or a prefix.
            asker: Address that the change comes from; empty where it has none.
            tell: Is told the change before it counts; what it raises undoes it.

        Raises:
            InvalidInputError: No such listener or verdict, or not a prefix.
            ConflictError: It is there already, it would shut out *asker*, or there
                are too many.
        """
        rule = checked_rule(listener, verdict, prefix, created_ns=self._clock())
        with transaction(self._engine) as connection:
            rules = _all(connection)
            # The id of a new rule and its time say nothing about what it does.
            if any(_same(rule, one) for one in rules):
                raise ConflictError("there is such a rule already")
            if sum(one.listener == rule.listener for one in rules) >= MAX_RULES:
                raise ConflictError(f"a listener has {MAX_RULES} rules at most")
            _spare((*rules, rule), rule.listener, asker)
            connection.execute(insert(ADDRESS_RULE).values(**_columns(rule)))
            changed = AddressRuleChanged(rule=rule, before=None, after=rule)
            tell(changed)
        return changed

    def remove(
        self, rule_id: str, *, asker: str = "", tell: _Tell
    ) -> AddressRuleChanged:
        """Take a rule away; see `add` for *asker* and *tell*.

        Raises:
            NotFoundError: No such rule.
            ConflictError: What is left would shut out *asker*.
        """
        with transaction(self._engine) as connection:
            rules = _all(connection)
            found = next((one for one in rules if one.id == rule_id), None)
            if found is None:
                raise NotFoundError("no such rule")
            left = tuple(one for one in rules if one is not found)
            _spare(left, found.listener, asker)
            connection.execute(
                delete(ADDRESS_RULE).where(ADDRESS_RULE.c.id == found.id)
            )
            changed = AddressRuleChanged(rule=found, before=found, after=None)
            tell(changed)
        return changed


def lists_of(rules: Iterable[AddressRule], listener: Listener) -> AddressLists:
    """Return what *rules* say of *listener*."""
    mine = [one for one in rules if one.listener is listener]

    def prefixes(verdict: Verdict) -> Prefixes:
        return Prefixes.of(tuple(one.prefix for one in mine if one.verdict is verdict))

    return AddressLists(allow=prefixes(Verdict.ALLOW), deny=prefixes(Verdict.DENY))


def checked_rule(
    listener: str, verdict: str, prefix: str, *, created_ns: int
) -> AddressRule:
    """Return a new rule.

    Raises:
        InvalidInputError: No such listener or verdict, or not a prefix.
    """
    try:
        at, says = Listener(listener), Verdict(verdict)
    except ValueError:
        raise InvalidInputError(
            "a rule is for web, forks or sip, and says allow or deny"
        ) from None
    (spelled,) = Prefixes.parse([prefix]).spelled()
    return AddressRule(
        id=AddressRuleId(new_id()),
        listener=at,
        verdict=says,
        prefix=spelled,
        created_ns=created_ns,
    )


def _spare(rules: Iterable[AddressRule], listener: Listener, asker: str) -> None:
    """Refuse rules under which *asker* could not take them back."""
    if listener is not Listener.WEB or not asker or asker in LOOPBACK:
        return
    if not lists_of(rules, listener).admits(asker):
        raise ConflictError(
            "this would shut out the address that you come from: let it in first"
        )


def _same(one: AddressRule, other: AddressRule) -> bool:
    return one.listener is other.listener and (one.verdict, one.prefix) == (
        other.verdict,
        other.prefix,
    )


def _all(connection: Connection) -> tuple[AddressRule, ...]:
    columns = ADDRESS_RULE.c
    rows = connection.execute(
        select(ADDRESS_RULE).order_by(columns.listener, columns.verdict, columns.prefix)
    ).all()
    return tuple(map(_rule, rows))


def _rule(row: Row[*tuple[Any, ...]]) -> AddressRule:
    return AddressRule(
        id=AddressRuleId(row.id),
        listener=Listener(row.listener),
        verdict=Verdict(row.verdict),
        prefix=row.prefix,
        created_ns=row.created_ns,
    )


def _columns(rule: AddressRule) -> dict[str, object]:
    return {
        "id": rule.id,
        "listener": str(rule.listener),
        "verdict": str(rule.verdict),
        "prefix": rule.prefix,
        "created_ns": rule.created_ns,
    }
