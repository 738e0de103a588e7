"""People with an account: names, roles, workgroups, and whether they may come in.

Guarantees:
    * A name that reads like another's (case, width, Unicode form) is refused.
    * Disabling somebody takes sessions, tokens and grants in the same
      transaction: there is no moment in which they still work.
    * Every change returns what was before and after, for the trail.

Left to others: the audit leaf (the caller's room), passwords' hashing
(`vault.access.passwords`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import (
    Connection,
    Engine,
    delete,
    exists,
    insert,
    select,
    update,
)

from vault.access.names import checked_name, is_storable, name_key
from vault.access.people_reading import read_people, read_person
from vault.access.permissions import Role
from vault.access.policy import LOCAL, Person
from vault.access.tables import (
    MEDIA_GRANT,
    PERSON,
    PERSON_ROLE,
    PERSON_WORKGROUP,
    SESSION,
    TOKEN,
)
from vault.access.workgroups import Workgroup, ensure_workgroup
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.ids import UserId, WorkgroupId, new_id
from vault.database.engine import reading, transaction

MAX_EXTERNAL_ID: Final = 255
"Characters of what a source calls a person for good."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """An account to be made."""

    name: str
    "1 to 64 letters, digits and ``. _ - @``."
    roles: frozenset[Role] = frozenset()
    workgroups: tuple[str, ...] = ()
    "Names; a missing one is made."
    password_hash: str = field(default="", repr=False)
    "Empty where another source checks it, or until the person has chosen one."
    must_change: bool = False
    "Whether the password is only good for choosing another."
    source: str = LOCAL
    external_id: str = ""
    """What never changes about the person there; empty: the first of that name to come
    takes the account."""


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

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def add(
        self,
        name: str,
        roles: Collection[Role],
        workgroups: Sequence[str],
        password_hash: str,
        *,
        must_change: bool = False,
        source: str = LOCAL,
        external_id: str = "",
    ) -> PersonAdded:
        """Make an account; the arguments are the members of `NewPerson`.

        Raises:
            InvalidInputError: Not a name, or an id that no source has.
            ConflictError: Somebody has that id or that name, however it is spelled.
        """
        new = NewPerson(
            name=name,
            roles=frozenset(roles),
            workgroups=tuple(workgroups),
            password_hash=password_hash,
            must_change=must_change,
            source=source,
            external_id=external_id,
        )
        with transaction(self._engine) as connection:
            return add_person(connection, new, now_ns=self._clock())

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
            return change_person(
                connection, user_id, roles=roles, workgroups=workgroups
            )

    def disable(self, user_id: UserId) -> PersonChanged:
        """Shut an account and everything that it has open.

        Raises:
            NotFoundError: Nobody has that id.
        """
        with transaction(self._engine) as connection:
            return disable_person(connection, user_id)

    def list(self) -> tuple[Person, ...]:
        """Return everybody by name, disabled people included."""
        with reading(self._engine) as connection:
            ids = connection.scalars(select(PERSON.c.id).order_by(PERSON.c.name_key))
            return read_people(connection, [UserId(one) for one in ids])

    def names(self) -> Mapping[UserId, str]:
        """Return the names by id."""
        return {one.id: one.name for one in self.list()}

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


def add_person(connection: Connection, new: NewPerson, *, now_ns: int) -> PersonAdded:
    """Make an account within a transaction; see `People.add`."""
    shown = checked_name(new.name)
    if len(new.external_id) > MAX_EXTERNAL_ID or not is_storable(new.external_id):
        raise InvalidInputError("no source has such an id")
    if connection.execute(
        select(exists().where(PERSON.c.name_key == name_key(shown)))
    ).scalar_one():
        raise ConflictError("somebody has that name already")
    if new.external_id and _is_taken(connection, new.source, new.external_id):
        raise ConflictError("somebody of that source has that id already")
    user_id = UserId(new_id())
    connection.execute(
        insert(PERSON).values(
            id=user_id,
            name=shown,
            name_key=name_key(shown),
            password_hash=new.password_hash,
            must_change_password=new.must_change,
            source=new.source,
            external_id=new.external_id,
            seen_ns=now_ns,
            password_changed_ns=now_ns if new.password_hash else 0,
        )
    )
    set_roles(connection, user_id, new.roles)
    made = set_workgroups(connection, user_id, new.workgroups)
    return PersonAdded(person=read_person(connection, user_id), workgroups_made=made)


def change_person(
    connection: Connection,
    user_id: UserId,
    *,
    roles: Collection[Role] | None = None,
    workgroups: Sequence[str] | None = None,
) -> PersonChanged:
    """Replace roles, workgroups or both; see `People.change`."""
    before = _locked(connection, user_id)
    made: tuple[Workgroup, ...] = ()
    if roles is not None:
        set_roles(connection, user_id, roles)
    if workgroups is not None:
        made = set_workgroups(connection, user_id, workgroups)
    return PersonChanged(
        before=before,
        after=read_person(connection, user_id),
        workgroups_made=made,
    )


def disable_person(connection: Connection, user_id: UserId) -> PersonChanged:
    """Shut an account and everything that it has open; see `People.disable`."""
    before = _locked(connection, user_id)
    connection.execute(
        update(PERSON).where(PERSON.c.id == user_id).values(disabled=True)
    )
    sessions, tokens = end_everything(connection, user_id)
    return PersonChanged(
        before=before,
        after=read_person(connection, user_id),
        sessions_ended=sessions,
        tokens_revoked=tokens,
    )


def enable_person(
    connection: Connection, user_id: UserId, *, now_ns: int
) -> PersonChanged:
    """Open an account again; what it had open stays ended.

    Raises:
        NotFoundError: Nobody has that id.
    """
    before = _locked(connection, user_id)
    # Who was away too long is seen now: the way back must not be shut at once.
    connection.execute(
        update(PERSON)
        .where(PERSON.c.id == user_id)
        .values(disabled=False, seen_ns=now_ns)
    )
    return PersonChanged(before=before, after=read_person(connection, user_id))


def _locked(connection: Connection, user_id: UserId) -> Person:
    if not is_storable(user_id):
        raise NotFoundError("nobody has that id")
    connection.execute(
        select(PERSON.c.id).where(PERSON.c.id == user_id).with_for_update()
    )
    return read_person(connection, user_id)


def _is_taken(connection: Connection, source: str, external_id: str) -> bool:
    taken: bool = connection.execute(
        select(
            exists().where(
                PERSON.c.source == source, PERSON.c.external_id == external_id
            )
        )
    ).scalar_one()
    return taken


def end_sessions(connection: Connection, user_id: UserId, *, but: str = "") -> int:
    """End a person's sessions and grants, *but* for one; return how many ended."""
    connection.execute(
        delete(MEDIA_GRANT).where(
            MEDIA_GRANT.c.user_id == user_id, MEDIA_GRANT.c.session_id != but
        )
    )
    return connection.execute(
        delete(SESSION).where(SESSION.c.user_id == user_id, SESSION.c.id != but)
    ).rowcount


def end_surplus_sessions(connection: Connection, user_id: UserId, *, most: int) -> None:
    """Leave a person *most* sessions: what came in by half gives way, then the idle."""
    surplus = connection.scalars(
        select(SESSION.c.id)
        .where(SESSION.c.user_id == user_id)
        .order_by(SESSION.c.is_restricted, SESSION.c.used_ns.desc(), SESSION.c.id)
        .offset(most)
        .limit(most)
    ).all()
    if surplus:
        connection.execute(
            delete(MEDIA_GRANT).where(MEDIA_GRANT.c.session_id.in_(surplus))
        )
        connection.execute(delete(SESSION).where(SESSION.c.id.in_(surplus)))


def end_everything(connection: Connection, user_id: UserId) -> tuple[int, int]:
    """End what a person has open; return how many sessions and how many tokens."""
    sessions = end_sessions(connection, user_id)
    tokens = connection.execute(
        delete(TOKEN).where(TOKEN.c.user_id == user_id)
    ).rowcount
    return sessions, tokens


def set_roles(connection: Connection, user_id: UserId, roles: Collection[Role]) -> None:
    """Make *roles* all that a person has."""
    connection.execute(delete(PERSON_ROLE).where(PERSON_ROLE.c.user_id == user_id))
    for role in sorted(set(roles)):
        connection.execute(
            insert(PERSON_ROLE).values(user_id=user_id, role=str(Role(role)))
        )


def set_workgroups(
    connection: Connection, user_id: UserId, names: Sequence[str]
) -> tuple[Workgroup, ...]:
    """Make *names* all workgroups of a person; return those that were made for it."""
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
