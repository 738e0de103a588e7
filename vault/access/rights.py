"""Rights beside the roles: who has what, over which recordings, from when to when.

A right is held by a person, by everybody in a workgroup or by everybody with a role.

Guarantees:
    * A right counts from ``valid_from_ns`` and no longer than ``valid_until_ns``;
      it is looked at with every request, so that its end is its end.
    * What a row says that this version does not know gives nothing.

Left to others: who may give one, and the second person that it may need
(`vault.web.administration`); the audit leaf (the caller's room).

Spec: docs/reference/permissions.md
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum, unique

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    delete,
    false,
    insert,
    or_,
    select,
)

from vault.access.names import is_storable
from vault.access.permissions import OVER_RECORDINGS, Permission, Role, ScopeKind
from vault.access.policy import HeldRight
from vault.access.tables import GRANTED_RIGHT, PERSON, RECORDING_CLASS, WORKGROUP
from vault.access.tree import GroupTree
from vault.core.clock import Clock, rfc3339, system_clock_ns
from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.flow import Actor, VisibilityScope
from vault.core.ids import UserId, WorkgroupId, new_id
from vault.database.engine import reading, transaction

_Columns = tuple[object, ...]
_Holder = tuple[UserId, frozenset[Role], frozenset[WorkgroupId]]
"Somebody, with what they hold rights by."


@unique
class HolderKind(StrEnum):
    """Who can hold a right."""

    USER = "user"
    WORKGROUP = "workgroup"
    ROLE = "role"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRight:
    """A right that somebody wants to give."""

    holder_kind: HolderKind
    holder: str
    "Id of the person or workgroup, or the role's name."
    permission: Permission
    scope_kind: ScopeKind
    scope_value: str = ""
    "Id of a workgroup (empty: the holder's own), or name of a class."
    valid_from_ns: int = 0
    "0: from now on."
    valid_until_ns: int | None = None
    is_emergency: bool = False

    def __str__(self) -> str:
        scope = f"{self.scope_kind}:{self.scope_value}".rstrip(":")
        until = self.valid_until_ns
        return (
            f"{self.permission} over {scope} to {self.holder_kind}:{self.holder} "
            f"from {rfc3339(self.valid_from_ns)} "
            f"until {'revoked' if until is None else rfc3339(until)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A right as it stands in the table."""

    id: str
    given: NewRight
    created_ns: int
    granted_by: str
    "An actor as the trail spells it."


class Rights:
    """The rights in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def add(self, new: NewRight, *, granted_by: Actor) -> Right:
        """Give a right.

        Raises:
            InvalidInputError: A scope that the permission does not know, or an end
                before the beginning.
            NotFoundError: No such person, workgroup, role or class.
        """
        with transaction(self._engine) as connection:
            return add_right(connection, new, granted_by, now_ns=self._clock())

    def revoke(self, right_id: str) -> Right:
        """Take a right away, at once, and return what it was.

        Raises:
            NotFoundError: There is none of that id.
        """
        with transaction(self._engine) as connection:
            return remove_right(connection, right_id)

    def list(self) -> tuple[Right, ...]:
        """Return all rights that have not ended, oldest first."""
        query = (
            select(GRANTED_RIGHT)
            .where(_not_over(self._clock()))
            .order_by(GRANTED_RIGHT.c.created_ns, GRANTED_RIGHT.c.id)
        )
        with reading(self._engine) as connection:
            found = [_right(row) for row in connection.execute(query)]
        return tuple(one for one in found if one is not None)


def add_right(
    connection: Connection, new: NewRight, granted_by: Actor, *, now_ns: int
) -> Right:
    """Give a right within a transaction; see `Rights.add`."""
    from_ns = new.valid_from_ns or now_ns
    if new.valid_until_ns is not None and new.valid_until_ns <= from_ns:
        raise InvalidInputError("a right ends after it begins")
    if new.permission not in OVER_RECORDINGS and new.scope_kind is not ScopeKind.ALL:
        raise InvalidInputError(f"{new.permission} knows no scope but all")
    _require_holder(connection, new)
    _require_scope(connection, new)
    right_id = new_id()
    connection.execute(
        insert(GRANTED_RIGHT).values(
            id=right_id,
            holder_kind=str(new.holder_kind),
            holder=new.holder,
            permission=str(new.permission),
            scope_kind=str(new.scope_kind),
            scope_value=new.scope_value,
            valid_from_ns=from_ns,
            valid_until_ns=new.valid_until_ns,
            created_ns=now_ns,
            granted_by=str(granted_by)[:64],
            is_emergency=new.is_emergency,
        )
    )
    row = connection.execute(
        select(GRANTED_RIGHT).where(GRANTED_RIGHT.c.id == right_id)
    ).one()
    made = _right(row)
    assert made is not None
    return made


def remove_right(connection: Connection, right_id: str) -> Right:
    """Take a right away within a transaction; see `Rights.revoke`."""
    if not is_storable(right_id):
        raise NotFoundError("no such right")
    here = GRANTED_RIGHT.c.id == right_id
    row = connection.execute(select(GRANTED_RIGHT).where(here)).first()
    found = None if row is None else _right(row)
    if found is None:
        raise NotFoundError("no such right")
    connection.execute(delete(GRANTED_RIGHT).where(here))
    return found


def read_held(
    connection: Connection,
    people: Mapping[UserId, tuple[frozenset[Role], frozenset[WorkgroupId]]],
    tree: GroupTree,
    *,
    now_ns: int,
) -> dict[UserId, tuple[HeldRight, ...]]:
    """Return what each of *people* holds now beside their roles.

    Args:
        connection: Of the transaction that read *people*.
        people: Roles and workgroups by person.
        tree: All workgroups.
        now_ns: The time, in nanoseconds since the epoch.
    """
    holders = [(one, roles, groups) for one, (roles, groups) in people.items()]
    rows = connection.execute(
        select(GRANTED_RIGHT).where(
            _held_by_any(holders),
            GRANTED_RIGHT.c.valid_from_ns <= now_ns,
            _not_over(now_ns),
        )
    ).all()
    rights = [one for one in map(_right, rows) if one is not None]
    return {
        user_id: tuple(
            HeldRight(
                permission=right.given.permission,
                reach=_reach(right.given, user_id, groups, tree),
                is_emergency=right.given.is_emergency,
            )
            for right in rights
            if _is_holder(right.given, user_id, roles, groups)
        )
        for user_id, (roles, groups) in people.items()
    }


def read_edges(connection: Connection, holders: Collection[_Holder]) -> frozenset[int]:
    """Return the moments at which a right of any of *holders* begins or ends."""
    rows = connection.execute(
        select(GRANTED_RIGHT.c.valid_from_ns, GRANTED_RIGHT.c.valid_until_ns).where(
            _held_by_any(holders)
        )
    )
    return frozenset(edge for row in rows for edge in row if edge is not None)


def _held_by_any(people: Collection[_Holder]) -> ColumnElement[bool]:
    holders = {(HolderKind.USER, str(one)) for one, _, _ in people}
    for _, roles, groups in people:
        holders |= {(HolderKind.ROLE, str(role)) for role in roles}
        holders |= {(HolderKind.WORKGROUP, str(group)) for group in groups}
    ways = [
        and_(
            GRANTED_RIGHT.c.holder_kind == str(kind),
            GRANTED_RIGHT.c.holder.in_(
                sorted(holder for each, holder in holders if each is kind)
            ),
        )
        for kind in HolderKind
    ]
    return or_(*ways) if holders else false()


def _not_over(now_ns: int) -> ColumnElement[bool]:
    return or_(
        GRANTED_RIGHT.c.valid_until_ns.is_(None),
        GRANTED_RIGHT.c.valid_until_ns > now_ns,
    )


def _is_holder(
    right: NewRight,
    user_id: UserId,
    roles: frozenset[Role],
    groups: frozenset[WorkgroupId],
) -> bool:
    match right.holder_kind:
        case HolderKind.USER:
            return right.holder == user_id
        case HolderKind.WORKGROUP:
            return right.holder in groups
        case HolderKind.ROLE:
            return right.holder in roles


def _reach(
    right: NewRight,
    user_id: UserId,
    groups: frozenset[WorkgroupId],
    tree: GroupTree,
) -> VisibilityScope:
    match right.scope_kind:
        case ScopeKind.OWN:
            return VisibilityScope(user_id=user_id, own=True)
        case ScopeKind.WORKGROUP:
            named = WorkgroupId(right.scope_value)
            some = frozenset({named}) if right.scope_value else groups
            return VisibilityScope(user_id=user_id, workgroups=some | tree.below(some))
        case ScopeKind.CLASS:
            return VisibilityScope(
                user_id=user_id,
                classes=frozenset({right.scope_value}),
                class_workgroups=tree.of_class(right.scope_value),
            )
        case ScopeKind.ALL:
            return VisibilityScope(user_id=user_id, everything=True)


def _right(row: Row[_Columns]) -> Right | None:
    try:
        given = NewRight(
            holder_kind=HolderKind(row.holder_kind),
            holder=row.holder,
            permission=Permission(row.permission),
            scope_kind=ScopeKind(row.scope_kind),
            scope_value=row.scope_value,
            valid_from_ns=row.valid_from_ns,
            valid_until_ns=row.valid_until_ns,
            is_emergency=row.is_emergency,
        )
    except ValueError:
        # Of a version that knew more: it gives nothing here.
        return None
    return Right(
        id=row.id,
        given=given,
        created_ns=row.created_ns,
        granted_by=row.granted_by,
    )


def _require_holder(connection: Connection, new: NewRight) -> None:
    if new.holder_kind is HolderKind.ROLE:
        known = new.holder in set(Role)
    else:
        is_user = new.holder_kind is HolderKind.USER
        column = PERSON.c.id if is_user else WORKGROUP.c.id
        known = _exists(connection, column, new.holder)
    if not known:
        raise NotFoundError(f"no such {new.holder_kind}")


def _require_scope(connection: Connection, new: NewRight) -> None:
    match new.scope_kind:
        case ScopeKind.WORKGROUP if new.scope_value:
            known = _exists(connection, WORKGROUP.c.id, new.scope_value)
        case ScopeKind.CLASS:
            known = _exists(connection, RECORDING_CLASS.c.name, new.scope_value)
        case _ if new.scope_value and new.scope_kind is not ScopeKind.WORKGROUP:
            raise InvalidInputError(f"the scope {new.scope_kind} has no value")
        case _:
            return
    if not known:
        raise NotFoundError(f"no such {new.scope_kind}")


def _exists(connection: Connection, column: Column[str], value: str) -> bool:
    if not is_storable(value):
        return False
    return connection.execute(select(column).where(column == value)).first() is not None
