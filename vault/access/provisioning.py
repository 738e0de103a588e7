"""Accounts of people for whom a source vouches: made, renamed, given roles.

A directory's group is given its meaning by the map (`vault.access.group_map`) at every
sign-in and at every check of who is still there.  Without a map a source only checks
passwords: people come in who were added here, with the roles that they were given here.

Guarantees:
    * The key of an account is its source and what never changes there, not the name:
      who is renamed keeps the account, and who is given a leaver's name does not.
    * Nobody comes in without a role, under a name of another source's account, or
      into an account that was disabled here.
    * Every change is told, with before and after, before it counts.

Left to others: proof of who it is (`vault.access.signin`), the leaf (who makes this).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection, Engine, Row, insert, select, update

from vault.access.authenticators import MAX_GROUPS, NAMES_PROVE_NOTHING, Verified
from vault.access.group_map import Duties, GroupMap
from vault.access.names import MAX_NAME, checked_name, name_key
from vault.access.people import (
    MAX_EXTERNAL_ID,
    end_everything,
    set_roles,
    set_workgroups,
)
from vault.access.people_reading import read_person, workgroup_names
from vault.access.policy import LOCAL, Person
from vault.access.tables import PERSON
from vault.access.workgroups import Workgroup
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import InvalidInputError, NotAuthenticatedError
from vault.core.ids import UserId, new_id
from vault.database.engine import transaction

_REFUSED: Final = "the source vouches for nobody who may come in"
_ASIDE_DIGITS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSeen:
    """An account at one moment."""

    person: Person
    workgroups: tuple[str, ...]
    "Names, in order."

    def __str__(self) -> str:
        roles = ", ".join(sorted(self.person.roles)) or "none"
        groups = ", ".join(self.workgroups) or "none"
        return f"{self.person.name}; roles: {roles}; workgroups: {groups}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountChanged:
    """What a source brought about."""

    before: AccountSeen | None
    "None for a new account."
    after: AccountSeen
    workgroups_made: tuple[Workgroup, ...] = ()
    "Workgroups that did not exist before."
    sessions_ended: int = 0
    tokens_revoked: int = 0
    is_out: bool = False
    "The source does not vouch any more: everything that was open was ended."

    def texts(self) -> dict[str, str]:
        """Return before and after as the trail seals them."""
        return {"before": str(self.before or ""), "after": str(self.after)}


_PersonRow = Row[tuple[object, ...]]
Tell = Callable[[AccountChanged], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountConfig:
    """What sources may bring about."""

    group_map: GroupMap
    max_idle_s: float = 0
    "Seconds without a sign-in after which an account is shut; 0: never."
    max_password_age_s: float = 0
    "Seconds after which a password kept here must be changed; 0: never."
    trust_s: float = 0
    """Seconds for which it counts what a source said that can be asked again
    (`Standing`)."""
    rechecked: frozenset[str] = frozenset()
    "Sources for which *trust_s* holds."


class Accounts:
    """The accounts behind proofs; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        config: AccountConfig | None = None,
        *,
        tell: Tell,
        clock: Clock = system_clock_ns,
    ) -> None:
        self._engine = engine
        self._config = config or AccountConfig(group_map=GroupMap(meanings={}))
        self._tell = tell
        self._clock = clock

    def settle(self, verified: Verified) -> UserId:
        """Return whose account it is, after making it what the source says.

        Raises:
            NotAuthenticatedError: There is no account for them, or it is shut.
        """
        # 1. What the source says has the shape that it must have.
        if not 1 <= len(verified.external_id) <= MAX_EXTERNAL_ID:
            raise NotAuthenticatedError(_REFUSED)
        if len(verified.groups) > MAX_GROUPS:
            raise NotAuthenticatedError(_REFUSED)
        now_ns = self._clock()
        with transaction(self._engine) as connection:
            # 2. The account is found by what never changes.
            row = _row(connection, verified)
            # 3. Shut here is shut, whatever the source says.
            if row is not None and (row.disabled or self._is_idle(row, now_ns)):
                raise NotAuthenticatedError(_REFUSED)
            if verified.source == LOCAL:
                if row is None:
                    raise NotAuthenticatedError(_REFUSED)
                user_id = UserId(row.id)
                self._age(connection, row, now_ns)
            else:
                # 4. Only now may groups change anything.
                user_id = self._as_vouched(connection, row, verified)
            # 5. From now on it counts, for a while where it can be asked again.
            connection.execute(
                update(PERSON)
                .where(PERSON.c.id == user_id)
                .values(
                    seen_ns=now_ns,
                    vouched_until_ns=self._until(verified.source, now_ns),
                )
            )
        return user_id

    def confirm(self, user_id: UserId, verified: Verified | None) -> bool:
        """Make an account what its source says of somebody who is already in.

        Args:
            user_id: Whose account.
            verified: What the source says now; None: it does not vouch any more.

        Returns:
            Whether they are still in.
        """
        now_ns = self._clock()
        with transaction(self._engine) as connection:
            row = connection.execute(
                select(PERSON).where(PERSON.c.id == user_id).with_for_update()
            ).first()
            if row is None or row.disabled:
                return False
            if verified is not None:
                try:
                    self._as_vouched(connection, row, verified)
                except NotAuthenticatedError:
                    verified = None
            if verified is None:
                self._out(connection, user_id, now_ns)
                return False
            connection.execute(
                update(PERSON)
                .where(PERSON.c.id == user_id)
                .values(vouched_until_ns=self._until(row.source, now_ns))
            )
        return True

    def _out(self, connection: Connection, user_id: UserId, now_ns: int) -> None:
        seen = _seen(connection, user_id)
        ended, revoked = end_everything(connection, user_id)
        # Whoever comes in at this very moment is out again at once.
        connection.execute(
            update(PERSON).where(PERSON.c.id == user_id).values(vouched_until_ns=now_ns)
        )
        if ended or revoked:
            self._tell(
                AccountChanged(
                    before=seen,
                    after=seen,
                    sessions_ended=ended,
                    tokens_revoked=revoked,
                    is_out=True,
                )
            )

    def _as_vouched(
        self, connection: Connection, row: _PersonRow | None, verified: Verified
    ) -> UserId:
        duties = self._duties(row, verified)
        name = _checked(verified.name)
        self._make_room(connection, name, verified.source, row)
        before = None if row is None else _seen(connection, UserId(row.id))
        user_id = _written(connection, row, name, verified)
        made = self._apply(connection, user_id, before, duties)
        after = _seen(connection, user_id)
        if before is None or _differs(before.person, after.person):
            self._tell(AccountChanged(before=before, after=after, workgroups_made=made))
        return user_id

    def _duties(self, row: _PersonRow | None, verified: Verified) -> Duties:
        duties = self._config.group_map.duties(verified.groups)
        # Without a map roles are given here, to people who were added here.
        may_enter = duties.roles if self._config.group_map else row is not None
        if not may_enter:
            raise NotAuthenticatedError(_REFUSED)
        return duties

    def _make_room(
        self, connection: Connection, name: str, source: str, row: _PersonRow | None
    ) -> None:
        """Take *name* from who had it: in the same source it is somebody else's now."""
        other = connection.execute(
            select(PERSON.c.id, PERSON.c.source).where(
                PERSON.c.name_key == name_key(name)
            )
        ).first()
        if other is None or (row is not None and other.id == row.id):
            return
        if other.source != source or source in NAMES_PROVE_NOTHING:
            raise NotAuthenticatedError(_REFUSED)
        before = _seen(connection, UserId(other.id))
        kept = before.person.name[: MAX_NAME - 1 - _ASIDE_DIGITS]
        aside = f"{kept}-{other.id[:_ASIDE_DIGITS]}"
        _rename(connection, UserId(other.id), aside)
        after = replace(before, person=replace(before.person, name=aside))
        self._tell(AccountChanged(before=before, after=after))

    def _apply(
        self,
        connection: Connection,
        user_id: UserId,
        before: AccountSeen | None,
        duties: Duties,
    ) -> tuple[Workgroup, ...]:
        if not self._config.group_map:
            return ()
        if before is None or before.person.roles != duties.roles:
            set_roles(connection, user_id, duties.roles)
        had = {name_key(one) for one in (before.workgroups if before else ())}
        wanted = {name_key(one): one for one in duties.workgroups}
        if not self._config.group_map.knows_workgroups or had == set(wanted):
            return ()
        return set_workgroups(connection, user_id, sorted(wanted.values()))

    def _age(self, connection: Connection, row: _PersonRow, now_ns: int) -> None:
        limit_ns = int(self._config.max_password_age_s * NS_PER_S)
        if limit_ns and now_ns - row.password_changed_ns >= limit_ns:
            connection.execute(
                update(PERSON)
                .where(PERSON.c.id == row.id)
                .values(must_change_password=True)
            )

    def _until(self, source: str, now_ns: int) -> int | None:
        if source not in self._config.rechecked:
            return None
        return now_ns + int(self._config.trust_s * NS_PER_S)

    def _is_idle(self, row: _PersonRow, now_ns: int) -> bool:
        limit_ns = int(self._config.max_idle_s * NS_PER_S)
        return bool(limit_ns and row.seen_ns and now_ns - row.seen_ns >= limit_ns)


def _row(connection: Connection, verified: Verified) -> _PersonRow | None:
    """Return the account of *verified*, locked until the transaction ends."""
    if verified.source == LOCAL:
        mine = PERSON.c.id == verified.external_id
    else:
        mine = PERSON.c.external_id == verified.external_id
    found = connection.execute(
        select(PERSON).where(PERSON.c.source == verified.source, mine).with_for_update()
    ).first()
    if found is not None or verified.source in NAMES_PROVE_NOTHING:
        return found
    # Added here beforehand, by name: the first one of that name to come takes it.
    return connection.execute(
        select(PERSON)
        .where(
            PERSON.c.source == verified.source,
            PERSON.c.external_id == "",
            PERSON.c.name_key == name_key(verified.name),
        )
        .with_for_update()
    ).first()


def _written(
    connection: Connection, row: _PersonRow | None, name: str, verified: Verified
) -> UserId:
    """Make the account, or make it what the source calls it; return whose it is."""
    if row is None:
        user_id = UserId(new_id())
        connection.execute(
            insert(PERSON).values(
                id=user_id,
                name=name,
                name_key=name_key(name),
                password_hash="",
                source=verified.source,
                external_id=verified.external_id,
            )
        )
        return user_id
    if row.name != name:
        _rename(connection, UserId(row.id), name)
    if row.external_id != verified.external_id:
        connection.execute(
            update(PERSON)
            .where(PERSON.c.id == row.id)
            .values(external_id=verified.external_id)
        )
    return UserId(row.id)


def _rename(connection: Connection, user_id: UserId, name: str) -> None:
    connection.execute(
        update(PERSON)
        .where(PERSON.c.id == user_id)
        .values(name=name, name_key=name_key(name))
    )


def _seen(connection: Connection, user_id: UserId) -> AccountSeen:
    person = read_person(connection, user_id)
    return AccountSeen(
        person=person, workgroups=workgroup_names(connection, person.workgroups)
    )


def _checked(name: str) -> str:
    try:
        return checked_name(name)
    except InvalidInputError:
        raise NotAuthenticatedError(_REFUSED) from None


def _differs(before: Person, after: Person) -> bool:
    return (before.name, before.roles, before.workgroups) != (
        after.name,
        after.roles,
        after.workgroups,
    )
