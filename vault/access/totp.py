"""One-time codes of an authenticator app: six digits that change every 30 s.

Guarantees:
    * A code counts in its own time step, the one before and the one after, and once:
      neither it nor an older one is taken again, however many try at once.
    * The secret is sealed for its person before it reaches the database, and is
      shown only until the first right code has shown that the app has it.
    * Setting up a new app takes nothing from the old one before that first code.

Left to others: counting wrong guesses (`vault.access.signin`), who may set up or
remove one (`vault.access.factors`).

Spec: RFC 6238; RFC 4226, section 4 (R6); Key Uri Format of Google Authenticator.
"""

import hmac
import secrets
from base64 import b32encode
from dataclasses import dataclass, field
from typing import Final

import pyotp
from sqlalchemy import Connection, Engine, delete, insert, select, update

from vault.access.factor_key import FactorKey
from vault.access.factor_rows import (
    FactorChange,
    FactorKind,
    Tell,
    hold,
    insist_on_first,
)
from vault.access.tables import TOTP
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import InvalidInputError, SealBrokenError
from vault.core.ids import UserId
from vault.core.secrets import SecretBytes
from vault.database.engine import reading, transaction

DIGITS: Final = 6
STEP_S: Final = 30
WINDOW: Final = 1
"Time steps before and after this one whose code is taken: clocks differ."

SETUP_S: Final = 900
"Seconds in which a new app must show its first code."

_SECRET_BYTES: Final = 20
_ISSUER: Final = "Callvault"


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpBegun:
    """What an app is told, once."""

    secret: str = field(repr=False)
    "Base32, to type in."
    uri: str = field(repr=False)
    "The same as ``otpauth:``, to be shown as a QR code."


class Totp:
    """The one-time codes in the database; safe to share between threads."""

    def __init__(
        self, engine: Engine, key: FactorKey, *, clock: Clock = system_clock_ns
    ) -> None:
        self._engine = engine
        self._key = key
        self._clock = clock

    def begin(self, user_id: UserId, account: str) -> TotpBegun:
        """Make a secret that counts once a code of it was shown.

        Args:
            user_id: Whose.
            account: The name that the app shows.
        """
        secret = SecretBytes(secrets.token_bytes(_SECRET_BYTES))
        with transaction(self._engine) as connection:
            _drop(connection, user_id, is_confirmed=False)
            connection.execute(
                insert(TOTP).values(
                    user_id=user_id,
                    sealed=self._key.seal(secret, user_id),
                    last_step=0,
                    is_confirmed=False,
                    created_ns=self._clock(),
                )
            )
        code = _generator(secret)
        return TotpBegun(
            secret=code.secret,
            uri=code.provisioning_uri(name=account, issuer_name=_ISSUER),
        )

    def confirm(
        self, user_id: UserId, code: str, *, tell: Tell, is_first: bool = False
    ) -> None:
        """Let the secret count whose *code* is shown; the one of before is gone.

        Args:
            user_id: Whose.
            code: As typed.
            tell: Writes it to the trail.
            is_first: Whether it may only be the first factor of this person.

        Raises:
            InvalidInputError: Not its code, or nothing is being set up any more.
            SecondFactorRequiredError: Another one is set up, against *is_first*.
        """
        now_ns = self._clock()
        with transaction(self._engine) as connection:
            hold(connection, user_id)
            if is_first:
                insist_on_first(connection, user_id)
            row = connection.execute(
                select(TOTP).where(
                    TOTP.c.user_id == user_id, TOTP.c.is_confirmed.is_(False)
                )
            ).first()
            if row is None or now_ns - row.created_ns >= SETUP_S * NS_PER_S:
                raise InvalidInputError("no app is being set up: begin again")
            step = matching_step(self._key.open(row.sealed, user_id), code, now_ns)
            if step is None:
                raise InvalidInputError("that is not the code: is the clock right?")
            _drop(connection, user_id, is_confirmed=True)
            connection.execute(
                update(TOTP)
                .where(TOTP.c.user_id == user_id, TOTP.c.sealed == row.sealed)
                # This code has been used, too.
                .values(is_confirmed=True, last_step=step)
            )
            tell(FactorChange(kind=FactorKind.TOTP))

    def spend(self, user_id: UserId, code: str) -> bool:
        """Use up *code*; tell whether it was one of this person's, and unused."""
        now_ns = self._clock()
        with reading(self._engine) as connection:
            sealed = connection.scalar(
                select(TOTP.c.sealed).where(
                    TOTP.c.user_id == user_id, TOTP.c.is_confirmed.is_(True)
                )
            )
        if sealed is None:
            return False
        try:
            step = matching_step(self._key.open(sealed, user_id), code, now_ns)
        except SealBrokenError:
            # Somebody changed the row, or the key is another one: no code is right.
            return False
        if step is None:
            return False
        # Compared and set in one statement: of a hundred at once, one is first.
        with transaction(self._engine) as connection:
            return (
                connection.execute(
                    update(TOTP)
                    .where(
                        TOTP.c.user_id == user_id,
                        TOTP.c.is_confirmed.is_(True),
                        TOTP.c.sealed == sealed,
                        TOTP.c.last_step < step,
                    )
                    .values(last_step=step)
                ).rowcount
                == 1
            )


def matching_step(secret: SecretBytes, code: str, now_ns: int) -> int | None:
    """Return the time step whose code *code* is, or None.

    Args:
        secret: Of the app.
        code: As typed; blanks do not count.
        now_ns: The time, in nanoseconds since the epoch.

    Spec: RFC 6238, section 5.2.
    """
    typed = "".join(code.split()).encode("utf-8", "surrogatepass")
    generator = _generator(secret)
    now = now_ns // NS_PER_S // STEP_S
    found = None
    # Every step is compared: the time tells nothing of which it was.
    for step in range(max(0, now - WINDOW), now + WINDOW + 1):
        if hmac.compare_digest(generator.generate_otp(step).encode(), typed):
            found = step
    return found


def _generator(secret: SecretBytes) -> pyotp.TOTP:
    encoded = b32encode(secret.reveal()).decode("ascii")
    return pyotp.TOTP(encoded, digits=DIGITS, interval=STEP_S)


def _drop(connection: Connection, user_id: UserId, *, is_confirmed: bool) -> None:
    connection.execute(
        delete(TOTP).where(
            TOTP.c.user_id == user_id, TOTP.c.is_confirmed.is_(is_confirmed)
        )
    )
