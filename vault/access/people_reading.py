"""Reading people: whole, with what their roles, workgroups and rights amount to now.

Guarantees: one transaction sees one person in one state; reading many costs no more
statements than reading one.
"""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, func, select

from vault.access.names import is_storable
from vault.access.permissions import Role
from vault.access.policy import Person
from vault.access.rights import read_held
from vault.access.tables import PERSON, PERSON_ROLE, PERSON_WORKGROUP, WORKGROUP
from vault.access.tree import read_tree
from vault.core.clock import system_clock_ns
from vault.core.errors import NotFoundError
from vault.core.ids import UserId, WorkgroupId


def read_person(
    connection: Connection, user_id: UserId, *, now_ns: int | None = None
) -> Person:
    """Return one person as this transaction sees them.

    Args:
        connection: Of the transaction.
        user_id: Who.
        now_ns: When, for rights with an end; None is now.

    Raises:
        NotFoundError: Nobody has that id.
    """
    found = read_people(connection, [user_id], now_ns=now_ns)
    if not found:
        raise NotFoundError("nobody has that id")
    return found[0]


def read_people(
    connection: Connection, ids: Sequence[UserId], *, now_ns: int | None = None
) -> tuple[Person, ...]:
    """Return the people with *ids*, in that order; unknown ids are left out."""
    ids = [one for one in ids if is_storable(one)]
    people = {
        row.id: row
        for row in connection.execute(select(PERSON).where(PERSON.c.id.in_(ids)))
    }
    known = [one for one in ids if one in people]
    roles: dict[str, set[Role]] = {one: set() for one in ids}
    for row in connection.execute(
        select(PERSON_ROLE).where(PERSON_ROLE.c.user_id.in_(ids))
    ):
        roles[row.user_id].add(Role(row.role))
    groups: dict[str, set[WorkgroupId]] = {one: set() for one in ids}
    for row in connection.execute(
        select(PERSON_WORKGROUP).where(PERSON_WORKGROUP.c.user_id.in_(ids))
    ):
        groups[row.user_id].add(WorkgroupId(row.workgroup_id))
    tree = read_tree(connection)
    now_ns = system_clock_ns() if now_ns is None else now_ns
    held = read_held(
        connection,
        {one: (frozenset(roles[one]), frozenset(groups[one])) for one in known},
        tree,
        now_ns=now_ns,
    )
    return tuple(
        Person(
            id=one,
            name=people[one].name,
            roles=frozenset(roles[one]),
            workgroups=frozenset(groups[one]),
            disabled=people[one].disabled,
            source=people[one].source,
            below=tree.below(groups[one]),
            rights=held[one],
            must_change_password=people[one].must_change_password,
            lapsed=_has_lapsed(people[one].vouched_until_ns, now_ns),
        )
        for one in known
    )


def count_enabled(connection: Connection, role: Role) -> int:
    """Return how many people with *role* may come in."""
    return connection.execute(
        select(func.count())
        .select_from(PERSON_ROLE.join(PERSON, PERSON.c.id == PERSON_ROLE.c.user_id))
        .where(PERSON_ROLE.c.role == str(role), PERSON.c.disabled.is_(False))
    ).scalar_one()


def _has_lapsed(vouched_until_ns: int | None, now_ns: int) -> bool:
    return vouched_until_ns is not None and now_ns >= vouched_until_ns


def workgroup_names(
    connection: Connection, ids: Collection[WorkgroupId]
) -> tuple[str, ...]:
    """Return the names of workgroups, in order."""
    return tuple(
        connection.scalars(
            select(WORKGROUP.c.name)
            .where(WORKGROUP.c.id.in_(ids))
            .order_by(WORKGROUP.c.name_key)
        )
    )
