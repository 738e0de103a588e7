"""Saying of which class a recording is: a change like those of policy.

Guarantees: who would hear it by that, or be asked for less, does not say it alone.

Left to others: who may (`vault.web.marking`), what a class asks for
(`vault.access.classes`).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Self

from sqlalchemy import Connection

from vault.access.changes import Change, Done, Making, Members
from vault.access.classes import demands_on, require_class
from vault.access.permissions import RIGHT_FOR, TAKES_TWO, Permission
from vault.access.policy import Person, scope_of
from vault.audit.entry import Action
from vault.catalog.marks import locked, set_class
from vault.catalog.values import RecordingRow
from vault.core.ids import RecordingId, UserId

_NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifyRecording(Change[RecordingRow]):
    """Give a recording a class of its own, or take it away."""

    kind = "recording.classify"
    right = Permission.RECORDING_CLASS_EDIT

    recording_id: RecordingId
    class_name: str | None
    "None: that of its workgroup."

    def members(self) -> Members:
        """See `Change.members`."""
        kept = {"recording_id": str(self.recording_id)}
        return kept if self.class_name is None else kept | {"class": self.class_name}

    @classmethod
    def parse(cls, members: Members) -> Self:
        """See `Change.parse`."""
        return cls(
            recording_id=RecordingId(members["recording_id"]),
            class_name=members.get("class"),
        )

    def apply(self, making: Making) -> Done[RecordingRow]:
        """See `Change.apply`."""
        before = locked(making.connection, self.recording_id)
        if self.class_name is not None:
            require_class(making.connection, self.class_name)
        after = set_class(making.connection, self.recording_id, self.class_name)
        return Done(
            value=after,
            action=Action.RECORDING_CLASSIFIED,
            detail={} if after.class_name is None else {"class": after.class_name},
            text={
                "before": before.class_name or _NONE,
                "after": after.class_name or _NONE,
            },
            recording=self.recording_id,
        )

    def also_gained(
        self, connection: Connection, people: Collection[Person]
    ) -> Mapping[UserId, frozenset[Permission]]:
        """See `Change.also_gained`."""
        before = locked(connection, self.recording_id)
        after = replace(before, class_name=self.class_name)
        looser = demands_on(connection, after).looser_than(
            demands_on(connection, before)
        )
        return {
            person.id: frozenset(
                permission
                for permission in TAKES_TWO
                if _covers(person, permission, after)
                and (
                    not _covers(person, permission, before)
                    or (looser and permission in RIGHT_FOR.values())
                )
            )
            for person in people
        }


def _covers(person: Person, permission: Permission, row: RecordingRow) -> bool:
    return scope_of(person, permission).covers(
        workgroup_id=row.workgroup_id,
        agent_id=row.agent_id,
        class_name=row.class_name,
    )
