"""Which second factors somebody has set up, and taking all of them away.

Guarantees: needs no key, so that whoever administers sees and resets them also where
the key of the web process is out of reach; nothing secret comes out of here.

Left to others: whether a factor was right (`vault.access.factors`).
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, delete, func, select

from vault.access.factor_rows import (
    FactorChange,
    FactorKind,
    Tell,
    count_factors,
    hold,
)
from vault.access.passkeys import PasskeyListed
from vault.access.people import end_sessions
from vault.access.people_reading import read_person
from vault.access.tables import PASSKEY, RECOVERY_CODE, TOTP
from vault.core.ids import UserId
from vault.database.engine import reading, transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsHeld:
    """What a person has set up."""

    totp_since_ns: int | None
    "When the authenticator app was set up; None for none."
    passkeys: tuple[PasskeyListed, ...]
    "Oldest first."
    recovery_codes: int
    "How many are unused: no factor by themselves."

    @property
    def count(self) -> int:
        """How many factors that is."""
        return len(self.passkeys) + (self.totp_since_ns is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsCounted:
    """How many factors a person has set up."""

    has_totp: bool = False
    passkeys: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsReset:
    """What was taken away from somebody, and what was ended with it."""

    factors: int
    sessions_ended: int


class HeldFactors:
    """The factors in the database; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def of(self, user_id: UserId) -> FactorsHeld:
        """Return what somebody has set up."""
        with reading(self._engine) as connection:
            return FactorsHeld(
                totp_since_ns=connection.scalar(
                    select(TOTP.c.created_ns).where(
                        TOTP.c.user_id == user_id, TOTP.c.is_confirmed.is_(True)
                    )
                ),
                passkeys=_passkeys(connection, user_id),
                recovery_codes=int(
                    connection.scalar(
                        select(func.count())
                        .select_from(RECOVERY_CODE)
                        .where(RECOVERY_CODE.c.user_id == user_id)
                    )
                    or 0
                ),
            )

    def of_everybody(self) -> Mapping[UserId, FactorsCounted]:
        """Return what everybody has set up who has set up anything."""
        with reading(self._engine) as connection:
            totp = set(
                connection.scalars(
                    select(TOTP.c.user_id).where(TOTP.c.is_confirmed.is_(True))
                )
            )
            passkeys = Counter(connection.scalars(select(PASSKEY.c.user_id)))
        return {
            UserId(one): FactorsCounted(has_totp=one in totp, passkeys=passkeys[one])
            for one in totp | set(passkeys)
        }

    def reset(self, user_id: UserId, *, tell: Tell) -> FactorsReset:
        """Take all factors of somebody away, and end their sessions.

        Raises:
            NotFoundError: Nobody has that id.
        """
        with transaction(self._engine) as connection:
            read_person(connection, user_id)
            hold(connection, user_id)
            count = count_factors(connection, user_id)
            for table in (TOTP, PASSKEY, RECOVERY_CODE):
                connection.execute(delete(table).where(table.c.user_id == user_id))
            ended = end_sessions(connection, user_id)
            tell(FactorChange(kind=FactorKind.ALL, count=count))
        return FactorsReset(factors=count, sessions_ended=ended)


def _passkeys(connection: Connection, user_id: UserId) -> tuple[PasskeyListed, ...]:
    rows = connection.execute(
        select(PASSKEY)
        .where(PASSKEY.c.user_id == user_id)
        .order_by(PASSKEY.c.created_ns, PASSKEY.c.id)
    )
    return tuple(
        PasskeyListed(
            id=row.id, name=row.name, created_ns=row.created_ns, used_ns=row.used_ns
        )
        for row in rows
    )
