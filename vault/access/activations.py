"""Codes with which people choose their first password, or a new one.

Nobody but the person ever knows a password: an administrator hands over a code, which
is good once, for a day, for choosing one.  A code has two halves.  Where it opens calls
to whoever knows it, one half is shown to the administrator who asked and the other to
the second person who agreed, and neither comes in without the other.

Guarantees:
    * The database keeps the SHA-256 of each half, of 120 random bits.
    * A code works once, for a day, for one person, and the newest alone.
    * The present password goes on until the code was used.
    * Letters and digits count, and nothing else: neither case, nor blanks, nor the dash
      that stands between the halves.

Left to others: how often somebody may try (`vault.access.throttle`), rules about the
new password (`vault.access.password_rules`), the leaf (the caller's room).
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, Engine, delete, insert, select, update

from vault.access.hands import let_go
from vault.access.names import is_storable, name_key
from vault.access.policy import LOCAL
from vault.access.tables import ACTIVATION, PERSON
from vault.core.clock import NS_PER_S, Clock, rfc3339, system_clock_ns
from vault.core.errors import ConflictError, NotAuthenticatedError, NotFoundError
from vault.core.ids import UserId
from vault.database.engine import reading, transaction

CODE_TTL_S: Final = 24 * 3600
_HALF_BYTES: Final = 15
_HALF_LENGTH: Final = 24
"Letters and digits of base32 without padding, for `_HALF_BYTES`."
_SEPARATOR: Final = "-"
_LONGEST: Final = 256
"Characters that are looked at."
_NOBODY: Final = hashlib.sha256(b"").digest()
_REFUSED: Final = "the name or the code is wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfCode:
    """The half that is made when the code begins to count."""

    user_id: UserId
    second: str = field(repr=False)
    expires_ns: int

    @property
    def expires(self) -> str:
        """Until when it counts, RFC 3339."""
        return rfc3339(self.expires_ns)


def new_half() -> str:
    """Return half of a code: 24 letters and digits, 120 random bits."""
    return base64.b32encode(secrets.token_bytes(_HALF_BYTES)).decode("ascii")


def half_digest(half: str) -> bytes:
    """Return the 32 octets that are kept of *half*."""
    return hashlib.sha256(_letters(half).encode()[:64]).digest()


def whole_code(first: str, second: str) -> str:
    """Return the code of two halves, as it is handed over."""
    return f"{first}{_SEPARATOR}{second}"


def _letters(typed: str) -> str:
    # Read aloud, written down, copied off two pages and typed: what word processors
    # make of a dash and how the letters were grouped say nothing.
    return "".join(one for one in typed[:_LONGEST].upper() if one.isalnum())


def _digests(code: str) -> tuple[bytes, bytes]:
    """Return what is kept of both halves of *code*."""
    letters = _letters(code)
    return half_digest(letters[:_HALF_LENGTH]), half_digest(letters[_HALF_LENGTH:])


def begin(
    connection: Connection, user_id: UserId, first_sha256: bytes, *, now_ns: int
) -> HalfCode:
    """Let a code count for somebody, instead of any before it.

    Raises:
        NotFoundError: Nobody has that id.
        ConflictError: The password is another source's.
    """
    row = None
    if is_storable(user_id):
        row = connection.execute(
            select(PERSON.c.source).where(PERSON.c.id == user_id).with_for_update()
        ).first()
    if row is None:
        raise NotFoundError("nobody has that id")
    if row.source != LOCAL:
        raise ConflictError(f"the password is kept by {row.source}, not here")
    made = HalfCode(
        user_id=user_id, second=new_half(), expires_ns=now_ns + CODE_TTL_S * NS_PER_S
    )
    connection.execute(delete(ACTIVATION).where(ACTIVATION.c.user_id == user_id))
    connection.execute(
        insert(ACTIVATION).values(
            user_id=user_id,
            first_sha256=first_sha256,
            second_sha256=half_digest(made.second),
            expires_ns=made.expires_ns,
        )
    )
    return made


class Activations:
    """The codes that count; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def check(self, name: str, code: str) -> UserId:
        """Return whose code it is; it goes on to count.

        Raises:
            NotAuthenticatedError: No such person, disabled, no code, or another one.
        """
        first, second = _digests(code)
        with reading(self._engine) as connection:
            row = connection.execute(
                select(ACTIVATION, PERSON.c.disabled)
                .join(PERSON, PERSON.c.id == ACTIVATION.c.user_id)
                .where(PERSON.c.name_key == name_key(name), PERSON.c.source == LOCAL)
            ).first()
        # Both halves are compared, whoever it is, and nothing is said in between.
        halves = (
            (_NOBODY, _NOBODY) if row is None else (row.first_sha256, row.second_sha256)
        )
        fits = hmac.compare_digest(halves[0], first) & (
            hmac.compare_digest(halves[1], second)
        )
        if row is None or not fits or row.disabled or self._clock() >= row.expires_ns:
            raise NotAuthenticatedError(_REFUSED)
        return UserId(row.user_id)

    def spend(self, user_id: UserId, code: str) -> None:
        """Use up somebody's code, once.

        Raises:
            NotAuthenticatedError: Somebody else was faster, or a newer code counts.
        """
        first, second = _digests(code)
        with transaction(self._engine) as connection:
            spent = connection.execute(
                delete(ACTIVATION).where(
                    ACTIVATION.c.user_id == user_id,
                    ACTIVATION.c.first_sha256 == first,
                    ACTIVATION.c.second_sha256 == second,
                )
            ).rowcount
            if not spent:
                raise NotAuthenticatedError(_REFUSED)
            let_go(connection, user_id, code_sha256=first)
            connection.execute(
                update(PERSON)
                .where(PERSON.c.id == user_id)
                .values(must_change_password=False, seen_ns=self._clock())
            )
