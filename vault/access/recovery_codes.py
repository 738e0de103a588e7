"""Recovery codes: ten, each for one sign-in, for whoever lost their other factors.

    0FQK-7W2M-PX3D-9RTB-4VH8-QE2C-T6NA      140 random bits in Crockford's base32

Guarantees:
    * Shown once, kept as SHA-256: with 140 random bits a slow hash adds nothing.
    * Each is taken once, however many try at once.
    * Read aloud or copied by hand they still fit: case, blanks and dashes do not
      count, ``O`` is ``0``, and ``I`` and ``L`` are ``1``.

Left to others: counting wrong guesses (`vault.access.signin`).

Spec: https://www.crockford.com/base32.html; NIST SP 800-63B, section 5.1.2.
"""

import hashlib
import secrets
from typing import Final

from sqlalchemy import Engine, delete, func, insert, select

from vault.access.factor_rows import (
    FactorChange,
    FactorKind,
    Tell,
    count_factors,
    hold,
)
from vault.access.tables import RECOVERY_CODE
from vault.core.errors import ConflictError
from vault.core.ids import UserId
from vault.database.engine import reading, transaction

COUNT: Final = 10
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHARACTERS: Final = 28
_GROUP: Final = 4
_ALIKE: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None})
_CONTEXT: Final = "callvault/v1\0recovery-code"


class RecoveryCodes:
    """The codes in the database; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def renew(self, user_id: UserId, *, tell: Tell) -> tuple[str, ...]:
        """Return new codes; those of before are gone.

        Raises:
            ConflictError: There is no factor that they could stand in for.
        """
        codes = tuple(_new_code() for _ in range(COUNT))
        with transaction(self._engine) as connection:
            hold(connection, user_id)
            if count_factors(connection, user_id) == 0:
                raise ConflictError("add an authenticator app or a passkey first")
            connection.execute(
                delete(RECOVERY_CODE).where(RECOVERY_CODE.c.user_id == user_id)
            )
            connection.execute(
                insert(RECOVERY_CODE),
                [
                    {"user_id": user_id, "code_sha256": _digest(user_id, code)}
                    for code in codes
                ],
            )
            tell(FactorChange(kind=FactorKind.RECOVERY_CODES, count=COUNT))
        return codes

    def spend(self, user_id: UserId, code: str) -> bool:
        """Use up *code*; tell whether it was one of this person's, and unused."""
        with transaction(self._engine) as connection:
            return (
                connection.execute(
                    delete(RECOVERY_CODE).where(
                        RECOVERY_CODE.c.user_id == user_id,
                        RECOVERY_CODE.c.code_sha256 == _digest(user_id, code),
                    )
                ).rowcount
                == 1
            )

    def left(self, user_id: UserId) -> int:
        """Return how many are unused."""
        with reading(self._engine) as connection:
            return int(
                connection.scalar(
                    select(func.count())
                    .select_from(RECOVERY_CODE)
                    .where(RECOVERY_CODE.c.user_id == user_id)
                )
                or 0
            )


def _new_code() -> str:
    drawn = [secrets.choice(_ALPHABET) for _ in range(_CHARACTERS)]
    groups = ["".join(drawn[at : at + _GROUP]) for at in range(0, _CHARACTERS, _GROUP)]
    return "-".join(groups)


def _digest(user_id: UserId, code: str) -> bytes:
    plain = "".join(code.split()).upper().translate(_ALIKE)
    octets = f"{_CONTEXT}\0{user_id}\0{plain}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(octets).digest()
