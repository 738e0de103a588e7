"""People with an account: names, roles, workgroups, and whether they may come in.

Guarantees:
    * A name that reads like another's (case, width, Unicode form) is refused.
    * Disabling somebody takes sessions, tokens and grants in the same
      transaction: there is no moment in which they still work.
    * Every change returns what was before and after, for the trail.

Left to others: the audit leaf (the caller's room), passwords' hashing
(`vault.access.passwords`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, exists, insert, select, update

from vault.access.names import checked_name, name_key
from vault.access.policy import Person, Role
from vault.access.tables import (
    MEDIA_GRANT,
    PERSON,
    PERSON_ROLE,
    PERSON_WORKGROUP,
    SESSION,
    TOKEN,
)
from vault.access.workgroups import Workgroup, ensure_workgroup
from vault.core.errors import ConflictError, NotFoundError
from vault.core.ids import UserId, WorkgroupId, new_id
from vault.database.engine import reading, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonAdded:
    """A new account, and the workgroups that it brought into being."""

    person: Person
    workgroups_made: tuple[Workgroup, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonChanged:
    """An account before and after; what of it was ended."""

    before: Person
    after: Person
    workgroups_made: tuple[Workgroup, ...] = ()
    sessions_ended: int = 0
    tokens_revoked: int = 0


class People:
    """The accounts in the database; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self,
        name: str,
        roles: Collection[Role],
        workgroups: Sequence[str],
        password_hash: str,
    ) -> PersonAdded:
        """Make an account.

        Args:
            name: 1 to 64 letters, digits and ``. _ - @``.
            roles: What the person may do; may be empty.
            workgroups: Names; a missing one is made.
            password_hash: From `Passwords.hash`.

        Raises:
            InvalidInputError: Not a name.
            ConflictError: Somebody has that name, perhaps spelled otherwise.
        """
        shown = checked_name(name)
        user_id = UserId(new_id())
        with transaction(self._engine) as connection:
            if connection.execute(
                select(exists().where(PERSON.c.name_key == name_key(shown)))
            ).scalar_one():
                raise ConflictError("somebody has that name already")
            connection.execute(
                insert(PERSON).values(
                    id=user_id,
                    name=shown,
                    name_key=name_key(shown),
                    password_hash=password_hash,
                )
            )
            _set_roles(connection, user_id, roles)
            made = _set_workgroups(connection, user_id, workgroups)
            return PersonAdded(
                person=read_person(connection, user_id), workgroups_made=made
            )

    def change(
        self,
        user_id: UserId,
        *,
        roles: Collection[Role] | None = None,
        workgroups: Sequence[str] | None = None,
    ) -> PersonChanged:
        """Replace roles, workgroups or both; None leaves them as they are.

        Raises:
            NotFoundError: Nobody has that id.
        """
        with transaction(self._engine) as connection:
            before = _locked(connection, user_id)
            made: tuple[Workgroup, ...] = ()
            if roles is not None:
                _set_roles(connection, user_id, roles)
            if workgroups is not None:
                made = _set_workgroups(connection, user_id, workgroups)
            return PersonChanged(
                before=before,
                after=read_person(connection, user_id),
                workgroups_made=made,
            )

    def disable(self, user_id: UserId) -> PersonChanged:
        """Shut an account and everything that it has open.

        Raises:
            NotFoundError: Nobody has that id.
        """
        with transaction(self._engine) as connection:
            before = _locked(connection, user_id)
            connection.execute(
                update(PERSON).where(PERSON.c.id == user_id).values(disabled=True)
            )
            sessions = _end_sessions(connection, user_id)
            tokens = connection.execute(
                delete(TOKEN).where(TOKEN.c.user_id == user_id)
            ).rowcount
            return PersonChanged(
                before=before,
                after=read_person(connection, user_id),
                sessions_ended=sessions,
                tokens_revoked=tokens,
            )

    def set_password(self, user_id: UserId, password_hash: str) -> PersonChanged:
        """Keep a new password and end the sessions that the old one opened.

        Raises:
            NotFoundError: Nobody has that id.
        """
        with transaction(self._engine) as connection:
            before = _locked(connection, user_id)
            connection.execute(
                update(PERSON)
                .where(PERSON.c.id == user_id)
                .values(password_hash=password_hash)
            )
            sessions = _end_sessions(connection, user_id)
            return PersonChanged(before=before, after=before, sessions_ended=sessions)

    def list(self) -> tuple[Person, ...]:
        """Return everybody by name, disabled people included."""
        with reading(self._engine) as connection:
            ids = connection.scalars(select(PERSON.c.id).order_by(PERSON.c.name_key))
            return read_people(connection, [UserId(one) for one in ids])

    def by_name(self, name: str) -> Person:
        """Return who has *name*, however it is spelled.

        Raises:
            NotFoundError: Nobody has it.
        """
        with reading(self._engine) as connection:
            user_id = connection.scalar(
                select(PERSON.c.id).where(PERSON.c.name_key == name_key(name))
            )
            if user_id is None:
                raise NotFoundError("nobody has that name")
            return read_person(connection, UserId(user_id))

    def by_id(self, user_id: UserId) -> Person:
        """Return who has that id.

        Raises:
            NotFoundError: Nobody has it.
        """
        with reading(self._engine) as connection:
            return read_person(connection, user_id)


def read_person(connection: Connection, user_id: UserId) -> Person:
    """Return one person as this transaction sees them.

    Raises:
        NotFoundError: Nobody has that id.
    """
    found = read_people(connection, [user_id])
    if not found:
        raise NotFoundError("nobody has that id")
    return found[0]


def read_people(connection: Connection, ids: Sequence[UserId]) -> tuple[Person, ...]:
    """Return the people with *ids*, in that order; unknown ids are left out."""
    people = {
        row.id: row
        for row in connection.execute(select(PERSON).where(PERSON.c.id.in_(ids)))
    }
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
    return tuple(
        Person(
            id=one,
            name=people[one].name,
            roles=frozenset(roles[one]),
            workgroups=frozenset(groups[one]),
            disabled=people[one].disabled,
        )
        for one in ids
        if one in people
    )


def _locked(connection: Connection, user_id: UserId) -> Person:
    connection.execute(
        select(PERSON.c.id).where(PERSON.c.id == user_id).with_for_update()
    )
    return read_person(connection, user_id)


def _end_sessions(connection: Connection, user_id: UserId) -> int:
    connection.execute(delete(MEDIA_GRANT).where(MEDIA_GRANT.c.user_id == user_id))
    return connection.execute(
        delete(SESSION).where(SESSION.c.user_id == user_id)
    ).rowcount


def _set_roles(
    connection: Connection, user_id: UserId, roles: Collection[Role]
) -> None:
    connection.execute(delete(PERSON_ROLE).where(PERSON_ROLE.c.user_id == user_id))
    for role in sorted(set(roles)):
        connection.execute(
            insert(PERSON_ROLE).values(user_id=user_id, role=str(Role(role)))
        )


def _set_workgroups(
    connection: Connection, user_id: UserId, names: Sequence[str]
) -> tuple[Workgroup, ...]:
    connection.execute(
        delete(PERSON_WORKGROUP).where(PERSON_WORKGROUP.c.user_id == user_id)
    )
    made: list[Workgroup] = []
    held: set[WorkgroupId] = set()
    for name in names:
        group, is_new = ensure_workgroup(connection, name)
        if is_new:
            made.append(group)
        if group.id not in held:
            connection.execute(
                insert(PERSON_WORKGROUP).values(user_id=user_id, workgroup_id=group.id)
            )
            held.add(group.id)
    return tuple(made)
