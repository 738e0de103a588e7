"""Classes of recordings: what listeners are asked for besides the right.

A recording has the class of its own, or else that of its workgroup, or none.

Guarantees: a class that a recording names and that nobody knows asks for
everything; a class that is in use is not removed.

Left to others: whether what is asked for was given (`vault.access.grants`), who may
change a class, and the second person that it may need (`vault.web.administration`).

Spec: docs/reference/permissions.md
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Table,
    column,
    delete,
    exists,
    func,
    insert,
    select,
    table,
    update,
)

from vault.access.interfaces import Subject
from vault.access.permissions import ScopeKind
from vault.access.tables import GRANTED_RIGHT, RECORDING_CLASS, WORKGROUP
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.database.engine import reading

MAX_CLASSES: Final = 200
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")

# The catalog's own: access asks it one thing, whether a class is in use.
_RECORDING: Final = table("recording", column("class_name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What listeners of some recordings are asked for."""

    reason: bool = False
    "Words of theirs."
    approval: bool = False
    "Somebody else who agrees."

    def looser_than(self, other: "Demands") -> bool:
        """Whether *other* asks for something that this does not."""
        return (other.reason and not self.reason) or (
            other.approval and not self.approval
        )


NOTHING_ASKED: Final = Demands()
EVERYTHING_ASKED: Final = Demands(reason=True, approval=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingClass:
    """A named class of recordings."""

    name: str
    demands: Demands

    def members(self) -> dict[str, object]:
        """Return the JSON members, as API and commands show it."""
        return {
            "name": self.name,
            "needs_reason": self.demands.reason,
            "needs_approval": self.demands.approval,
        }

    def __str__(self) -> str:
        asked = [
            word
            for word, is_asked in (
                ("reason", self.demands.reason),
                ("approval", self.demands.approval),
            )
            if is_asked
        ]
        return f"{self.name} needs={'+'.join(asked) or 'nothing'}"


class Classes:
    """The classes in the database; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self) -> tuple[RecordingClass, ...]:
        """Return all of them by name."""
        with reading(self._engine) as connection:
            found = read_classes(connection)
        return tuple(
            RecordingClass(name=name, demands=found[name]) for name in sorted(found)
        )

    def demands_on(self, subject: Subject) -> Demands:
        """Return what listeners of *subject* are asked for."""
        with reading(self._engine) as connection:
            return demands_on(connection, subject)


def checked_class(name: str) -> str:
    """Return the name of a class.

    Raises:
        InvalidInputError: Not 1 to 32 small letters, digits and hyphens.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInputError(
            "a class has a name of 1 to 32 small letters, digits and hyphens"
        )
    return name


def demands_on(connection: Connection, subject: Subject) -> Demands:
    """Return what listeners of *subject* are asked for, as this transaction sees it."""
    name = subject.class_name
    if name is None:
        name = connection.scalar(
            select(WORKGROUP.c.class_name).where(WORKGROUP.c.id == subject.workgroup_id)
        )
    if not name:
        return NOTHING_ASKED
    row = connection.execute(
        select(RECORDING_CLASS).where(RECORDING_CLASS.c.name == name)
    ).first()
    if row is None:
        return EVERYTHING_ASKED
    return Demands(reason=row.needs_reason, approval=row.needs_approval)


def read_classes(connection: Connection) -> Mapping[str, Demands]:
    """Return what each class asks for, as this transaction sees it."""
    return {
        row.name: Demands(reason=row.needs_reason, approval=row.needs_approval)
        for row in connection.execute(select(RECORDING_CLASS))
    }


def require_class(connection: Connection, name: str) -> None:
    """Insist that there is a class called *name*.

    Raises:
        NotFoundError: There is none.
    """
    if name not in read_classes(connection):
        raise NotFoundError("no such class")


def put_class(
    connection: Connection, new: RecordingClass
) -> tuple[RecordingClass | None, RecordingClass]:
    """Make a class or change what it asks for; return it before and after.

    Raises:
        InvalidInputError: Not a name.
        ConflictError: There are too many.
    """
    name, wanted = checked_class(new.name), new.demands
    known = read_classes(connection)
    values = {"needs_reason": wanted.reason, "needs_approval": wanted.approval}
    if name in known:
        connection.execute(
            update(RECORDING_CLASS)
            .where(RECORDING_CLASS.c.name == name)
            .values(**values)
        )
        return RecordingClass(name=name, demands=known[name]), new
    if len(known) >= MAX_CLASSES:
        raise ConflictError(f"there are {MAX_CLASSES} classes already")
    connection.execute(insert(RECORDING_CLASS).values(name=name, **values))
    return None, new


def remove_class(connection: Connection, name: str) -> RecordingClass:
    """Take a class away and return what it was.

    Raises:
        NotFoundError: There is none of that name.
        ConflictError: A recording, a workgroup or a right names it.
    """
    demands = read_classes(connection).get(name)
    if demands is None:
        raise NotFoundError("no such class")
    used = {
        "workgroups": _any(connection, WORKGROUP, WORKGROUP.c.class_name == name),
        "rights": _any(
            connection,
            GRANTED_RIGHT,
            (GRANTED_RIGHT.c.scope_kind == str(ScopeKind.CLASS))
            & (GRANTED_RIGHT.c.scope_value == name),
        ),
        "recordings": connection.scalar(
            select(exists().where(_RECORDING.c.class_name == name))
        ),
    }
    if any(used.values()):
        still = ", ".join(sorted(one for one, is_used in used.items() if is_used))
        raise ConflictError(f"the class is still that of some {still}")
    connection.execute(delete(RECORDING_CLASS).where(RECORDING_CLASS.c.name == name))
    return RecordingClass(name=name, demands=demands)


def _any(connection: Connection, of: Table, where: ColumnElement[bool]) -> bool:
    count = select(func.count()).select_from(of).where(where)
    return connection.execute(count).scalar_one() > 0
