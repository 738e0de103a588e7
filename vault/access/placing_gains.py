"""Who would hear calls because of where they placed them themselves.

The table of extensions says of which workgroup and of which agent calls will be, and
with that who hears them.  So an administrator who hears some calls, too, does not lead
others there: somebody else does.

Guarantees: neither what the asker reaches counts alone, nor only now: so does what is
in the same hands, and what a right opens later.

Left to others: the table (`vault.access.extensions`), changes of rights and of people
(`vault.access.second_person`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, select

from vault.access.gains import turning_points
from vault.access.hands import hands_of
from vault.access.names import name_key
from vault.access.people_reading import read_people
from vault.access.permissions import CONTENT
from vault.access.policy import scope_of
from vault.access.tables import PERSON, WORKGROUP
from vault.access.workgroups import DEFAULT_WORKGROUP
from vault.core.errors import ConflictError
from vault.core.flow import VisibilityScope
from vault.core.ids import UserId, WorkgroupId


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """Where an entry leads calls, by names; empty where it does not say."""

    agent: str
    workgroup: str


ELSEWHERE = Placing(agent="", workgroup="default")
"Where calls land of which no entry says anything."


def insist_on_no_reach(
    connection: Connection,
    asker: UserId,
    *,
    before: Placing | None,
    after: Collection[Placing],
    now_ns: int,
) -> None:
    """Insist that *asker* leads no call to where they hear it.

    Args:
        connection: Of the transaction of the change.
        asker: Who asks for it.
        before: Where the calls went; None where that is unknown.
        after: Where they might go from now on.
        now_ns: The time, in nanoseconds since the epoch.

    Raises:
        ConflictError: They, or an account in the same hands, would hear more.
    """
    ids = hands_of(connection, asker)
    scopes = [
        scope_of(person, permission)
        for moment in turning_points(connection, ids, now_ns=now_ns)
        for person in read_people(connection, sorted(ids), now_ns=moment)
        for permission in CONTENT
    ]
    some = [one for one in scopes if not one.is_empty and not one.everything]
    if not some:
        return
    known = _Names.read(connection)
    if any(
        known.is_within(one, place)
        and (before is None or not known.is_within(one, before))
        for one in some
        for place in after
    ):
        raise ConflictError(
            "calls would come to where you hear them: let somebody else do this"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Names:
    people: Mapping[str, UserId]
    groups: Mapping[str, WorkgroupId]

    @classmethod
    def read(cls, connection: Connection) -> "_Names":
        people = connection.execute(select(PERSON.c.name_key, PERSON.c.id))
        groups = connection.execute(select(WORKGROUP.c.name_key, WORKGROUP.c.id))
        return cls(
            people={row.name_key: UserId(row.id) for row in people},
            groups={row.name_key: WorkgroupId(row.id) for row in groups},
        )

    def is_within(self, scope: VisibilityScope, place: Placing) -> bool:
        group = self.groups.get(name_key(place.workgroup), DEFAULT_WORKGROUP)
        return (
            bool(place.workgroup) and group in scope.workgroups | scope.class_workgroups
        ) or (
            bool(place.agent)
            and scope.own
            and self.people.get(name_key(place.agent)) == scope.user_id
        )
