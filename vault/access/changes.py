"""Changes of who may do what, as values: what can wait for a second person is one.

A change knows how to spell itself with ids and slugs, how to be read back, and how to
be made within a transaction.  The same value is made at once, or kept until somebody
else has agreed.

Guarantees: making a change checks everything anew: what could be made when it was
asked for is not taken for granted when it is made.

Left to others: whether it needs a second person (`vault.access.second_person`), the
audit leaf (the caller's room tells the trail what `Done` says), the changes themselves
(`vault.access.policy_changes` and their neighbours).
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import ClassVar, Final, Generic, Self, TypeVar

from sqlalchemy import Connection, Engine

from vault.access.hands import HandedOver
from vault.access.permissions import Permission
from vault.access.policy import Person
from vault.audit.entry import Action, Detail
from vault.core.flow import Actor
from vault.core.ids import UserId
from vault.database.engine import transaction

R = TypeVar("R")
Members = Mapping[str, str]
_NOTHING: Final[Members] = MappingProxyType({})
_NO_DETAIL: Final[Detail] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Done(Generic[R]):
    """What a change did: for whoever asked, and for the trail."""

    value: R
    action: Action
    detail: Detail = field(default_factory=lambda: _NO_DETAIL)
    "Ids, slugs and counts: readable on the trail."
    text: Members = field(default_factory=lambda: _NOTHING)
    "``before`` and ``after``: sealed beside the trail."
    recording: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """In what a change is made: a transaction, for somebody, at a moment."""

    connection: Connection
    by: Actor
    now_ns: int
    "Since the epoch."


class Change(ABC, Generic[R]):
    """Something that somebody wants to be different.

    Whoever writes one makes a frozen dataclass of ids, slugs and numbers: no secret
    and no text about a call is among them.  `members` and `parse` are inverses.
    """

    __slots__ = ()

    kind: ClassVar[str]
    "A slug, by which what an approval keeps is read back."
    right: ClassVar[Permission] = Permission.ACCESS_POLICY_EDIT
    "Who may ask for it."

    @abstractmethod
    def members(self) -> Members:
        """Return what has to be kept to make the change later."""

    @classmethod
    @abstractmethod
    def parse(cls, members: Members) -> Self:
        """Read back what `members` gave.

        Raises:
            ValueError: It is of a version that knew more.
            KeyError: So it is.
        """

    @abstractmethod
    def apply(self, making: Making) -> Done[R]:
        """Make the change.

        It may be made, taken back and made again: nothing happens here that the
        database does not take back with the transaction.

        Raises:
            VaultError: It can't be made as things are.
        """

    def opens(self) -> frozenset[UserId]:
        """Return accounts whose credential whoever asks comes to know by it."""
        return frozenset()

    def hands_over(
        self,
        done: Done[R],  # noqa: ARG002 - for those that have to look
    ) -> HandedOver | None:
        """Return the account into which whoever made this alone has the way now."""
        return None

    def also_gained(
        self,
        connection: Connection,  # noqa: ARG002 - for those that have to look
        people: Collection[Person],  # noqa: ARG002 - as above
    ) -> Mapping[UserId, frozenset[Permission]]:
        """Return what each of *people* gains that no comparison of scopes shows.

        Asked before the change is made.
        """
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class TextChange(Change[R]):
    """A change each of whose members is text, or None for what stays as it is."""

    def members(self) -> Members:
        """See `Change.members`."""
        found = {one.name: getattr(self, one.name) for one in fields(self)}
        kept = {name: text for name, text in found.items() if text is not None}
        if not all(isinstance(text, str) for text in kept.values()):
            raise TypeError(f"{self.kind} has members that are no text")
        return {name: str(text) for name, text in kept.items()}

    @classmethod
    def parse(cls, members: Members) -> Self:
        """See `Change.parse`."""
        return cls(
            **{
                one.name: members[one.name]
                for one in fields(cls)
                if one.name in members or one.default is MISSING
            }
        )


def carry_out(
    engine: Engine,
    change: Change[R],
    *,
    by: Actor,
    now_ns: int,
    tell: Callable[[Done[R]], object],
) -> Done[R]:
    """Make *change* without asking anybody: for the operator of the host alone.

    Args:
        engine: The catalog.
        change: What.
        by: Who.
        now_ns: The time, in nanoseconds since the epoch.
        tell: Is told before it counts; what it raises undoes it.

    Raises:
        VaultError: It can't be made as things are.
    """
    with transaction(engine) as connection:
        done = change.apply(Making(connection=connection, by=by, now_ns=now_ns))
        tell(done)
    return done
