"""The hashes of passwords that are kept here: the present one, and some before it.

Guarantees: whoever keeps a new password ends what the old one opened, in the same
transaction; of earlier hashes no more are kept than are refused.

Left to others: what is asked of a password (`vault.access.password_rules`), the leaf
(the caller's room).
"""

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from vault.access.people import end_sessions
from vault.access.policy import LOCAL
from vault.access.tables import PASSWORD_HISTORY, PERSON
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import ConflictError, NotFoundError
from vault.core.ids import UserId
from vault.database.engine import reading, transaction


class KeptPasswords:
    """The hashes in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def hashes(self, user_id: UserId, *, history: int) -> tuple[str, ...]:
        """Return the hash of the present password and of *history* before it.

        Raises:
            NotFoundError: Nobody has that id.
            ConflictError: The password is another source's.
        """
        with reading(self._engine) as connection:
            row = connection.execute(
                select(PERSON.c.source, PERSON.c.password_hash).where(
                    PERSON.c.id == user_id
                )
            ).first()
            if row is None:
                raise NotFoundError("nobody has that id")
            if row.source != LOCAL:
                raise ConflictError(f"the password is kept by {row.source}, not here")
            earlier = connection.scalars(
                select(PASSWORD_HISTORY.c.password_hash)
                .where(PASSWORD_HISTORY.c.user_id == user_id)
                .order_by(PASSWORD_HISTORY.c.at_ns.desc())
                .limit(history)
            ).all()
        return tuple(one for one in (row.password_hash, *earlier) if one)

    def missing(self) -> frozenset[UserId]:
        """Return whose account of this vault's own has no password yet."""
        with reading(self._engine) as connection:
            return frozenset(
                UserId(one)
                for one in connection.scalars(
                    select(PERSON.c.id).where(
                        PERSON.c.source == LOCAL, PERSON.c.password_hash == ""
                    )
                )
            )

    def keep(
        self,
        user_id: UserId,
        password_hash: str,
        *,
        history: int,
        must_change: bool = False,
        keep_session: str = "",
    ) -> int:
        """Keep a new password and end the sessions that the old one opened.

        Args:
            user_id: Whose.
            password_hash: From `PasswordRules.hash`.
            history: How many earlier ones are kept, to be refused.
            must_change: Whether it is only good for choosing another.
            keep_session: The session that stays: its owner chose the password.

        Returns:
            How many sessions ended.

        Raises:
            NotFoundError: Nobody has that id.
        """
        now_ns = self._clock()
        with transaction(self._engine) as connection:
            old = connection.execute(
                select(PERSON.c.password_hash)
                .where(PERSON.c.id == user_id)
                .with_for_update()
            ).first()
            if old is None:
                raise NotFoundError("nobody has that id")
            _remember(connection, user_id, old.password_hash, now_ns)
            _forget(connection, user_id, history)
            connection.execute(
                update(PERSON)
                .where(PERSON.c.id == user_id)
                .values(
                    password_hash=password_hash,
                    password_changed_ns=now_ns,
                    must_change_password=must_change,
                )
            )
            return end_sessions(connection, user_id, but=keep_session)


def _remember(connection: Connection, user_id: UserId, old: str, now_ns: int) -> None:
    newest = connection.scalar(
        select(func.max(PASSWORD_HISTORY.c.at_ns)).where(
            PASSWORD_HISTORY.c.user_id == user_id
        )
    )
    connection.execute(
        insert(PASSWORD_HISTORY).values(
            user_id=user_id,
            # Two changes in one tick of the clock are in order all the same.
            at_ns=max(now_ns, (newest or 0) + 1),
            password_hash=old,
        )
    )


def _forget(connection: Connection, user_id: UserId, history: int) -> None:
    """Keep the newest *history* of somebody, and no more."""
    mine = PASSWORD_HISTORY.c.user_id == user_id
    kept = connection.scalars(
        select(PASSWORD_HISTORY.c.at_ns)
        .where(mine)
        .order_by(PASSWORD_HISTORY.c.at_ns.desc())
        .limit(history)
    ).all()
    connection.execute(
        delete(PASSWORD_HISTORY).where(mine, PASSWORD_HISTORY.c.at_ns.not_in(kept))
    )
