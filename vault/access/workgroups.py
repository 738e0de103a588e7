"""Workgroups: whose calls are whose.

Guarantees: a name has one id for good; ``default`` is always there, under an id
that a tap knows without asking.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, Engine, insert, select

from vault.access.names import checked_title, name_key
from vault.access.tables import PERSON, WORKGROUP
from vault.core.ids import UserId, WorkgroupId, new_id
from vault.database.engine import reading, transaction

DEFAULT_WORKGROUP: Final = WorkgroupId("00000000-0000-4000-8000-000000000001")
"Where a call lands whose workgroup nobody knows; made by the first migration."


@dataclass(frozen=True, slots=True, kw_only=True)
class Workgroup:
    """A team whose recordings are seen together."""

    id: WorkgroupId
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkgroupSnapshot:
    """What a tap needs to place a call, for as long as the database is away."""

    workgroups: Mapping[str, WorkgroupId]
    "By `name_key` of the name."
    agents: Mapping[str, UserId]
    "By `name_key` of the person's name."

    def workgroup(self, name: str) -> WorkgroupId | None:
        """Return the workgroup of that name, however it is spelled, or None."""
        return self.workgroups.get(_title_key(name))

    def agent(self, name: str) -> UserId | None:
        """Return the person of that name, however it is spelled, or None."""
        return self.agents.get(name_key(name.strip()))


class Workgroups:
    """The workgroups in the database; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, name: str) -> tuple[Workgroup, bool]:
        """Return the workgroup of that *name* and whether it was made now.

        Raises:
            InvalidInputError: Not a name.
        """
        with transaction(self._engine) as connection:
            return ensure_workgroup(connection, name)

    def list(self) -> tuple[Workgroup, ...]:
        """Return all workgroups by name."""
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(WORKGROUP).order_by(WORKGROUP.c.name_key)
            ).all()
        return tuple(Workgroup(id=WorkgroupId(row.id), name=row.name) for row in rows)

    def names(self) -> Mapping[WorkgroupId, str]:
        """Return the names by id."""
        return {group.id: group.name for group in self.list()}

    def snapshot(self) -> WorkgroupSnapshot:
        """Return what a tap keeps of workgroups and agents."""
        with reading(self._engine) as connection:
            groups = connection.execute(
                select(WORKGROUP.c.name_key, WORKGROUP.c.id)
            ).all()
            people = connection.execute(select(PERSON.c.name_key, PERSON.c.id)).all()
        return WorkgroupSnapshot(
            workgroups={row.name_key: WorkgroupId(row.id) for row in groups},
            agents={row.name_key: UserId(row.id) for row in people},
        )


def ensure_workgroup(connection: Connection, name: str) -> tuple[Workgroup, bool]:
    """Return the workgroup called *name* and whether it was made now."""
    title = checked_title(name)
    row = connection.execute(
        select(WORKGROUP).where(WORKGROUP.c.name_key == name_key(title))
    ).first()
    if row is not None:
        return Workgroup(id=WorkgroupId(row.id), name=row.name), False
    made = Workgroup(id=WorkgroupId(new_id()), name=title)
    connection.execute(
        insert(WORKGROUP).values(id=made.id, name=made.name, name_key=name_key(title))
    )
    return made, True


def _title_key(name: str) -> str:
    return name_key(" ".join(name.split()))
