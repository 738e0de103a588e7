"""What somebody would gain by a change: the same question for every kind of change.

What a person reaches is read before and after, in the transaction of the change, and
compared.  Rights begin and end, so the comparison is made now and at every moment at
which one of theirs does: between two of those nothing changes.

Guarantees:
    * Whatever way a change takes (a role, a membership, a right of a role, a
      workgroup that moves, a class that asks for less), what it opens is found by
      what it opens and not by its name.
    * In doubt it is a gain: two scopes are compared by what they name and not by
      which recordings happen to exist.

Left to others: making the change and taking it back (`vault.access.second_person`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from vault.access.classes import (
    EVERYTHING_ASKED,
    NOTHING_ASKED,
    Demands,
    read_classes,
)
from vault.access.people_reading import read_people
from vault.access.permissions import RIGHT_FOR, TAKES_TWO, Permission
from vault.access.policy import Person, scope_of
from vault.access.rights import read_edges
from vault.access.tree import read_tree
from vault.core.flow import VisibilityScope
from vault.core.ids import UserId, WorkgroupId

_MEDIA = frozenset(RIGHT_FOR.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What some people reach from now on, and what they are asked for there."""

    people: Mapping[int, Mapping[UserId, Person]]
    "As they are at each moment that makes a difference."
    classes: Mapping[str, Demands]
    groups: Mapping[WorkgroupId, Demands]
    "Of recordings without a class of their own."

    def gained(
        self, before: "Standing", user_id: UserId, *, by: UserId | None = None
    ) -> frozenset[Permission]:
        """Return of which permissions *user_id* reaches more than *before*.

        Args:
            before: How it was, at the same moments.
            user_id: Whose reach is looked at.
            by: If given, whose reach before it is held against: somebody who comes
                to know a password reaches what that account does.
        """
        found = {
            permission
            for moment, people in self.people.items()
            for permission in TAKES_TWO
            if user_id in people
            and not includes(
                _scope(before.people[moment].get(by or user_id), permission),
                _scope(_opened(people[user_id], is_other=by is not None), permission),
            )
        }
        return frozenset(found) | self._asked_for_less(before, by or user_id)

    def _asked_for_less(
        self, before: "Standing", user_id: UserId
    ) -> frozenset[Permission]:
        """Return media permissions of *user_id* where something asks for less."""
        looser = any(
            self.classes.get(name, EVERYTHING_ASKED).looser_than(asked)
            for name, asked in before.classes.items()
        ) or any(
            self.groups.get(group, NOTHING_ASKED).looser_than(asked)
            for group, asked in before.groups.items()
        )
        if not looser:
            return frozenset()
        return frozenset(
            permission
            for people in before.people.values()
            for permission in _MEDIA
            if not _scope(people.get(user_id), permission).is_empty
        )


def read_standing(
    connection: Connection, ids: Collection[UserId], moments: Collection[int]
) -> Standing:
    """Return how *ids* stand at *moments*, as this transaction sees it."""
    wanted = sorted(ids)
    classes = read_classes(connection)
    return Standing(
        people={
            moment: {
                # What a directory will say of them by then is unknown.
                one.id: replace(one, lapsed=False)
                for one in read_people(connection, wanted, now_ns=moment)
            }
            for moment in moments
        },
        classes=classes,
        groups={
            group: classes.get(name, EVERYTHING_ASKED)
            for group, name in read_tree(connection).classes.items()
        },
    )


def turning_points(
    connection: Connection, ids: Collection[UserId], *, now_ns: int
) -> frozenset[int]:
    """Return now, and every later moment at which a right of *ids* begins or ends."""
    people = read_people(connection, sorted(ids), now_ns=now_ns)
    edges = read_edges(
        connection, [(one.id, one.roles, one.workgroups) for one in people]
    )
    return frozenset({now_ns} | {edge for edge in edges if edge > now_ns})


def includes(outer: VisibilityScope, inner: VisibilityScope) -> bool:
    """Whether everything that *inner* names is within *outer*."""
    if outer.everything or inner.is_empty:
        return True
    same_person = outer.user_id == inner.user_id
    return (
        not inner.everything
        and inner.workgroups <= outer.workgroups
        and (not inner.own or (outer.own and same_person))
        and inner.classes <= outer.classes
        and inner.class_workgroups <= outer.class_workgroups | outer.workgroups
    )


def _scope(person: Person | None, permission: Permission) -> VisibilityScope:
    if person is None:
        return VisibilityScope(user_id=UserId(""))
    return scope_of(person, permission)


def _opened(person: Person, *, is_other: bool) -> Person:
    # Who knows the password of an account that is shut waits until it is opened.
    return replace(person, disabled=False) if is_other else person
