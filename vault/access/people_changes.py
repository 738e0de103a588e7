"""The changes of people: accounts, their roles and workgroups, and the way in.

Left to others: what a change is (`vault.access.changes`), the table's own rules
(`vault.access.people`, `vault.access.activations`).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from sqlalchemy import Connection

from vault.access.activations import HalfCode, begin
from vault.access.changes import Change, Done, Making, Members, TextChange
from vault.access.hands import HandedOver
from vault.access.people import (
    NewPerson,
    PersonAdded,
    PersonChanged,
    add_person,
    change_person,
    disable_person,
    enable_person,
)
from vault.access.people_reading import count_enabled, workgroup_names
from vault.access.permissions import Permission, Role
from vault.access.policy import LOCAL, Person
from vault.access.provisioning import AccountSeen
from vault.audit.entry import Action
from vault.core import canonical
from vault.core.errors import ConflictError
from vault.core.flow import Actor, ActorKind
from vault.core.ids import UserId

_EDIT = Permission.ACCESS_USER_EDIT


@dataclass(frozen=True, slots=True, kw_only=True)
class AddPerson(Change[PersonAdded]):
    """Make an account without a password."""

    kind = "person.add"
    right = _EDIT

    name: str
    roles: frozenset[Role]
    workgroups: tuple[str, ...]
    source: str = LOCAL
    external_id: str = ""

    def members(self) -> Members:
        """See `Change.members`."""
        return {
            "name": self.name,
            "roles": _spelled(self.roles),
            "workgroups": _listed(self.workgroups),
            "source": self.source,
            "external_id": self.external_id,
        }

    @classmethod
    def parse(cls, members: Members) -> Self:
        """See `Change.parse`."""
        return cls(
            name=members["name"],
            roles=_roles(members["roles"]),
            workgroups=_names(members["workgroups"]),
            source=members["source"],
            external_id=members["external_id"],
        )

    def apply(self, making: Making) -> Done[PersonAdded]:
        """See `Change.apply`."""
        new = NewPerson(
            name=self.name,
            roles=self.roles,
            workgroups=self.workgroups,
            source=self.source,
            external_id=self.external_id,
        )
        added = add_person(making.connection, new, now_ns=making.now_ns)
        return Done(
            value=added,
            action=Action.ACCESS_USER_ADDED,
            detail={
                "user": added.person.id,
                "source": self.source,
                "role": _spelled(self.roles) or "none",
                "count": len(added.person.workgroups),
            },
            text={"after": _seen(making.connection, added.person)},
        )

    def hands_over(self, done: Done[PersonAdded]) -> HandedOver | None:
        """See `Change.hands_over`: whose name it is elsewhere, who adds it says."""
        if self.source == LOCAL:
            return None
        return HandedOver(user_id=done.value.person.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPerson(Change[PersonChanged]):
    """Replace what somebody's roles or workgroups are."""

    kind = "person.set"
    right = _EDIT

    user_id: UserId
    roles: frozenset[Role] | None = None
    "None: as they are."
    workgroups: tuple[str, ...] | None = None
    "Names; None: as they are."

    def members(self) -> Members:
        """See `Change.members`."""
        kept: dict[str, str] = {"user_id": self.user_id}
        if self.roles is not None:
            kept["roles"] = _spelled(self.roles)
        if self.workgroups is not None:
            kept["workgroups"] = _listed(self.workgroups)
        return kept

    @classmethod
    def parse(cls, members: Members) -> Self:
        """See `Change.parse`."""
        roles, groups = members.get("roles"), members.get("workgroups")
        return cls(
            user_id=UserId(members["user_id"]),
            roles=None if roles is None else _roles(roles),
            workgroups=None if groups is None else _names(groups),
        )

    def apply(self, making: Making) -> Done[PersonChanged]:
        """See `Change.apply`."""
        changed = change_person(
            making.connection,
            self.user_id,
            roles=self.roles,
            workgroups=self.workgroups,
        )
        _insist_on_an_administrator(making.connection, changed, making.by)
        return Done(
            value=changed,
            action=Action.ACCESS_USER_CHANGED,
            detail={
                "user": self.user_id,
                "role": _spelled(changed.after.roles) or "none",
                "count": len(changed.after.workgroups),
            },
            text=_before_and_after(making.connection, changed),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfPerson(TextChange[PersonChanged]):
    """A change that is said by whom it is about."""

    right = _EDIT

    user_id: UserId

    def _done(
        self, connection: Connection, changed: PersonChanged, action: Action
    ) -> Done[PersonChanged]:
        return Done(
            value=changed,
            action=action,
            detail={"user": self.user_id},
            text=_before_and_after(connection, changed),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutPerson(_OfPerson):
    """Disable an account, and end all that it has open."""

    kind = "person.shut"

    def apply(self, making: Making) -> Done[PersonChanged]:
        """See `Change.apply`."""
        changed = disable_person(making.connection, self.user_id)
        _insist_on_an_administrator(making.connection, changed, making.by)
        return self._done(making.connection, changed, Action.ACCESS_USER_DISABLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReopenPerson(_OfPerson):
    """Enable an account again."""

    kind = "person.reopen"

    def apply(self, making: Making) -> Done[PersonChanged]:
        """See `Change.apply`."""
        changed = enable_person(making.connection, self.user_id, now_ns=making.now_ns)
        return self._done(making.connection, changed, Action.ACCESS_USER_ENABLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveCode(TextChange[HalfCode]):
    """Let somebody choose a password, with a code that whoever asks hands over.

    Whoever hands it over could use it, so that it opens to them what the account
    opens: with a second person each of the two knows one half.
    """

    kind = "person.code"
    right = _EDIT

    user_id: UserId
    first_sha256: str
    "Of the half that was shown to whoever asked, in hexadecimal."

    def apply(self, making: Making) -> Done[HalfCode]:
        """See `Change.apply`."""
        half = begin(
            making.connection,
            self.user_id,
            bytes.fromhex(self.first_sha256),
            now_ns=making.now_ns,
        )
        return Done(
            value=half,
            action=Action.ACCESS_USER_CHANGED,
            detail={"user": self.user_id, "part": "code"},
        )

    def opens(self) -> frozenset[UserId]:
        """See `Change.opens`."""
        return frozenset({self.user_id})

    def hands_over(
        self,
        done: Done[HalfCode],  # noqa: ARG002 - the shape of a change
    ) -> HandedOver | None:
        """See `Change.hands_over`."""
        return HandedOver(
            user_id=self.user_id, code_sha256=bytes.fromhex(self.first_sha256)
        )


def _insist_on_an_administrator(
    connection: Connection, changed: PersonChanged, by: Actor
) -> None:
    """Refuse a change after which nobody could change anything here any more."""
    if by.kind is ActorKind.OPERATOR:
        return
    was = not changed.before.disabled and Role.ADMINISTRATOR in changed.before.roles
    if was and not count_enabled(connection, Role.ADMINISTRATOR):
        raise ConflictError(
            "the last administrator stays: callvault user can do it on the host"
        )


def _spelled(roles: Collection[Role]) -> str:
    return ".".join(sorted(map(str, roles)))


def _roles(text: str) -> frozenset[Role]:
    return frozenset(map(Role, text.split("."))) if text else frozenset()


def _listed(names: Collection[str]) -> str:
    return canonical.dumps({"names": list(names)}).decode("utf-8")


def _names(text: str) -> tuple[str, ...]:
    names = canonical.parse(text.encode("utf-8"))["names"]
    if not isinstance(names, list):
        raise ValueError("not a list of names")  # noqa: TRY004 - as `Change.parse` says
    return tuple(map(str, names))


def _before_and_after(connection: Connection, changed: PersonChanged) -> Members:
    return {
        "before": _seen(connection, changed.before),
        "after": _seen(connection, changed.after),
    }


def _seen(connection: Connection, person: Person) -> str:
    groups = workgroup_names(connection, person.workgroups)
    state = "disabled" if person.disabled else "active"
    return f"{AccountSeen(person=person, workgroups=groups)}; {state}"
