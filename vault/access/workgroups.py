"""Workgroups: whose calls are whose.

Guarantees: a name has one id for good; ``default`` is always there, under an id
that a tap knows without asking; no workgroup stands below itself.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from sqlalchemy import Connection, Engine, Row, insert, select, update

from vault.access.classes import require_class
from vault.access.names import checked_title, is_storable, name_key
from vault.access.tables import PERSON, WORKGROUP
from vault.access.tree import read_tree
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.ids import UserId, WorkgroupId, new_id
from vault.database.engine import reading, transaction

DEFAULT_WORKGROUP: Final = WorkgroupId("00000000-0000-4000-8000-000000000001")
"Where a call lands whose workgroup nobody knows; made by the first migration."


@dataclass(frozen=True, slots=True, kw_only=True)
class Workgroup:
    """A team whose recordings are seen together."""

    id: WorkgroupId
    name: str
    parent_id: WorkgroupId | None = None
    "The one above it: whoever reaches that one's calls reaches these."
    class_name: str = ""
    "Class of its calls that have none of their own; empty: none."

    def __str__(self) -> str:
        return (
            f"{self.name} parent={self.parent_id or 'none'} "
            f"class={self.class_name or 'none'}"
        )


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
        return tuple(map(_workgroup, rows))

    def by_name(self, name: str) -> Workgroup:
        """Return the workgroup called *name*, however it is spelled.

        Raises:
            NotFoundError: There is none.
        """
        with reading(self._engine) as connection:
            row = connection.execute(
                select(WORKGROUP).where(WORKGROUP.c.name_key == _title_key(name))
            ).first()
        if row is None:
            raise NotFoundError("no such workgroup")
        return _workgroup(row)

    def insist_on(self, names: Collection[str]) -> None:
        """Insist that there is a workgroup of each of these names.

        Raises:
            InvalidInputError: One is no name, or is not there; those that read most
                like it are named.
        """
        there = {name_key(one): one for one in self.names().values()}
        for title in map(checked_title, names):
            key = name_key(title)
            if key in there:
                continue
            near = [there[one] for one in get_close_matches(key, there)]
            meant = f": do you mean {' or '.join(near)}?" if near else ""
            raise InvalidInputError(f"there is no workgroup {title}{meant}")

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
        return _workgroup(row), False
    made = Workgroup(id=WorkgroupId(new_id()), name=title)
    connection.execute(
        insert(WORKGROUP).values(id=made.id, name=made.name, name_key=name_key(title))
    )
    return made, True


def set_workgroup(
    connection: Connection,
    workgroup_id: WorkgroupId,
    *,
    name: str | None = None,
    parent_id: str | None = None,
    class_name: str | None = None,
) -> tuple[Workgroup, Workgroup]:
    """Change what a workgroup is called or where it stands; return it before and after.

    Args:
        connection: Of the transaction.
        workgroup_id: Which.
        name: What it is called from now on; None: as it is.
        parent_id: Id of the one above it; empty: none; None: as it is.
        class_name: Class of its calls; empty: none; None: as it is.

    Raises:
        InvalidInputError: Not a name.
        NotFoundError: No such workgroup, parent or class.
        ConflictError: It would stand below itself, or another one has that name.
    """
    before = _read(connection, workgroup_id)
    values: dict[str, str | None] = {}
    if name is not None:
        values |= _named(connection, workgroup_id, name)
    if parent_id is not None:
        if parent_id:
            _read(connection, parent_id)
            within = read_tree(connection).below({workgroup_id}) | {workgroup_id}
            if parent_id in within:
                raise ConflictError("a workgroup does not stand below itself")
        values["parent_id"] = parent_id or None
    if class_name is not None:
        if class_name:
            require_class(connection, class_name)
        values["class_name"] = class_name
    if values:
        connection.execute(
            update(WORKGROUP).where(WORKGROUP.c.id == workgroup_id).values(**values)
        )
    return before, _read(connection, workgroup_id)


def _named(connection: Connection, workgroup_id: str, name: str) -> dict[str, str]:
    title = checked_title(name)
    # A tap knows this one by its name, too.
    if workgroup_id == DEFAULT_WORKGROUP and name_key(title) != "default":
        raise ConflictError("the workgroup default keeps its name")
    other = connection.scalar(
        select(WORKGROUP.c.id).where(WORKGROUP.c.name_key == name_key(title))
    )
    if other not in {None, workgroup_id}:
        raise ConflictError("there is a workgroup of that name already")
    return {"name": title, "name_key": name_key(title)}


def _read(connection: Connection, workgroup_id: str) -> Workgroup:
    row = None
    if is_storable(workgroup_id):
        # The tree is changed by one at a time: two moves could close a loop.
        connection.execute(select(WORKGROUP.c.id).with_for_update())
        row = connection.execute(
            select(WORKGROUP).where(WORKGROUP.c.id == workgroup_id)
        ).first()
    if row is None:
        raise NotFoundError("no such workgroup")
    return _workgroup(row)


def _workgroup(row: Row[tuple[object, ...]]) -> Workgroup:
    return Workgroup(
        id=WorkgroupId(row.id),
        name=row.name,
        parent_id=WorkgroupId(row.parent_id) if row.parent_id else None,
        class_name=row.class_name,
    )


def _title_key(name: str) -> str:
    return name_key(" ".join(name.split()))
