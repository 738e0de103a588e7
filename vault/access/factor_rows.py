"""What changes of one person's factors have in common: one at a time, and told.

Guarantees: of two changes for one person the second one sees the first; what is told
is told after every check and before it counts, so that a trail that can't be written
prevents the change.

Left to others: the leaf (who is told).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique

from sqlalchemy import Connection, func, select

from vault.access.tables import PASSKEY, PERSON, TOTP
from vault.core.errors import SecondFactorRequiredError
from vault.core.ids import UserId


@unique
class FactorKind(StrEnum):
    """What can be set up."""

    ALL = "all"
    PASSKEY = "passkey"
    RECOVERY_CODES = "recovery-codes"
    TOTP = "totp"


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorChange:
    """What is about to be added or taken away."""

    kind: FactorKind
    count: int = 1
    id: str = ""
    "Of a passkey."
    name: str = ""
    "What its owner calls it."


Tell = Callable[[FactorChange], None]
"Writes a change to the trail, or raises: then nothing has changed."


def hold(connection: Connection, user_id: UserId) -> None:
    """Let nobody else change this person's factors in this transaction."""
    connection.execute(
        select(PERSON.c.id).where(PERSON.c.id == user_id).with_for_update()
    )


def count_factors(connection: Connection, user_id: UserId) -> int:
    """Return how many factors count for somebody; recovery codes are none."""
    apps = (
        select(func.count())
        .select_from(TOTP)
        .where(TOTP.c.user_id == user_id, TOTP.c.is_confirmed.is_(True))
    )
    passkeys = (
        select(func.count()).select_from(PASSKEY).where(PASSKEY.c.user_id == user_id)
    )
    return int(connection.scalar(apps) or 0) + int(connection.scalar(passkeys) or 0)


def insist_on_first(connection: Connection, user_id: UserId) -> None:
    """Insist that nothing is set up: who has a factor gives that one.

    Raises:
        SecondFactorRequiredError: Something is.
    """
    if count_factors(connection, user_id):
        raise SecondFactorRequiredError("give the second factor that is set up")
