"""Second factors: what a person has besides the password, and whether it was right.

    password ──right──> check ──none set up──────────> ()          (restricted,
                          │                                     where a role asks)
                          ├──code of the app, unused──> ("otp",)
                          ├──recovery code, unused────> ("otp", "recovery")
                          └──anything else────────────> refused, like the password

Guarantees:
    * Whoever has set up a factor does not come in by the password alone, whether a
      role asks for it or not.
    * A wrong code reads like a wrong password, and the trail alone knows better.
    * Nobody takes from themselves the last factor that a role of theirs asks for.

Left to others: counting wrong guesses and opening sessions (`vault.access.signin`),
leaves (the caller's room).

Spec: PCI DSS 4.0.1, 8.4.2 and 8.5.1; RFC 8176
"""

from collections.abc import Collection, Mapping
from typing import Final

from sqlalchemy import Connection, Engine, delete

from vault.access.ceremonies import Ceremonies
from vault.access.factor_key import FactorKey
from vault.access.factor_rows import (
    FactorChange,
    FactorKind,
    Tell,
    count_factors,
    hold,
)
from vault.access.held_factors import (
    FactorsCounted,
    FactorsHeld,
    FactorsReset,
    HeldFactors,
)
from vault.access.names import is_storable
from vault.access.passkeys import Passkeys
from vault.access.permissions import Role
from vault.access.policy import Person
from vault.access.recovery_codes import RecoveryCodes
from vault.access.tables import PASSKEY, RECOVERY_CODE, TOTP
from vault.access.totp import Totp
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import ConflictError, FactorRefusedError, NotFoundError
from vault.core.ids import UserId
from vault.database.engine import reading, transaction

RECOVERY: Final = "recovery"
"Method beside ``otp``: the code was one of those for a lost app."

WRONG_CODE: Final = "wrong-code"
_REFUSED: Final = "the name, the password or the code is wrong"


class Factors:
    """The second factors in the database; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        *,
        key: FactorKey,
        origins: Collection[str] = (),
        required_of: Collection[Role] = (),
        clock: Clock = system_clock_ns,
    ) -> None:
        """Put them together.

        Args:
            engine: The catalog database.
            key: What seals the secrets of authenticator apps.
            origins: What browsers reach the installation under, for passkeys.
            required_of: Roles that nobody uses without a second factor.
            clock: In nanoseconds since the epoch.
        """
        self._engine = engine
        self._required_of = frozenset(required_of)
        self._held = HeldFactors(engine)
        self.totp = Totp(engine, key, clock=clock)
        self.recovery_codes = RecoveryCodes(engine)
        self.passkeys = Passkeys(
            engine, Ceremonies(engine, clock=clock), origins=origins, clock=clock
        )

    def are_required_of(self, roles: Collection[Role]) -> bool:
        """Tell whether one of *roles* asks for a second factor."""
        return not self._required_of.isdisjoint(roles)

    def are_set_up(self, user_id: UserId) -> bool:
        """Tell whether somebody has a factor that counts."""
        with reading(self._engine) as connection:
            return count_factors(connection, user_id) > 0

    def held(self, user_id: UserId) -> FactorsHeld:
        """Return what somebody has set up."""
        return self._held.of(user_id)

    def held_by_everybody(self) -> Mapping[UserId, FactorsCounted]:
        """Return how many factors everybody has who has any."""
        return self._held.of_everybody()

    def check(self, user_id: UserId, otp: str) -> tuple[str, ...]:
        """Check and use up the code that came with a right password.

        Args:
            user_id: Whose password was right.
            otp: Of the authenticator app, or a recovery code; as typed.

        Returns:
            The methods to add (RFC 8176): none where nothing is set up.

        Raises:
            FactorRefusedError: Something is set up, and this was no code of it.
        """
        if not self.are_set_up(user_id):
            return ()
        if otp and self.totp.spend(user_id, otp):
            return ("otp",)
        if otp and self.recovery_codes.spend(user_id, otp):
            return ("otp", RECOVERY)
        raise FactorRefusedError(_REFUSED, user_id=user_id, reason=WRONG_CODE)

    def remove_totp(self, person: Person, *, tell: Tell) -> None:
        """Take a person's own authenticator app away.

        Raises:
            NotFoundError: There is none.
            ConflictError: A role of theirs asks for a factor, and it is the last.
        """
        with transaction(self._engine) as connection:
            hold(connection, person.id)
            gone = connection.execute(
                delete(TOTP).where(
                    TOTP.c.user_id == person.id, TOTP.c.is_confirmed.is_(True)
                )
            ).rowcount
            if not gone:
                raise NotFoundError("no authenticator app")
            self._after_removal(connection, person)
            tell(FactorChange(kind=FactorKind.TOTP))

    def remove_passkey(self, person: Person, passkey_id: str, *, tell: Tell) -> None:
        """Take one of a person's own passkeys away.

        Raises:
            NotFoundError: They have none with that id.
            ConflictError: A role of theirs asks for a factor, and it is the last.
        """
        if not is_storable(passkey_id):
            raise NotFoundError("no such passkey")
        with transaction(self._engine) as connection:
            hold(connection, person.id)
            name = connection.scalar(
                delete(PASSKEY)
                .where(PASSKEY.c.user_id == person.id, PASSKEY.c.id == passkey_id)
                .returning(PASSKEY.c.name)
            )
            if name is None:
                raise NotFoundError("no such passkey")
            self._after_removal(connection, person)
            tell(FactorChange(kind=FactorKind.PASSKEY, id=passkey_id, name=name))

    def reset(self, user_id: UserId, *, tell: Tell) -> FactorsReset:
        """Take all factors of somebody away; see `HeldFactors.reset`."""
        return self._held.reset(user_id, tell=tell)

    def _after_removal(self, connection: Connection, person: Person) -> None:
        if count_factors(connection, person.id):
            return
        if self.are_required_of(person.roles):
            raise ConflictError("your role asks for a second factor: add another first")
        # They stand in for a factor, and there is none any more.
        connection.execute(
            delete(RECOVERY_CODE).where(RECOVERY_CODE.c.user_id == person.id)
        )
