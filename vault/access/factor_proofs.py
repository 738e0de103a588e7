"""Proving a second factor by itself: a passkey, or the code that is still missing.

Guarantees:
    * Every proof is counted by the throttle before it is looked at, and taken back
      when it was right; wrong codes are counted with wrong passwords.
    * A passkey opens a session for its owner alone, and only while they may come in.

Left to others: codes that come with a password (`vault.access.signin`), renewing a
session, leaves (the caller's room).
"""

import hashlib
from typing import Final

from vault.access.ceremonies import CeremonyKind
from vault.access.factors import Factors
from vault.access.passkey_responses import JsonObject
from vault.access.passkeys import PasskeyUsed
from vault.access.policy import Person, SessionKind
from vault.access.sessions import SessionOpened
from vault.access.signin import REFUSED, SignIn
from vault.access.throttle import Throttle
from vault.core.errors import NotAuthenticatedError, ThrottledError, UnavailableError
from vault.core.ids import UserId

_LONGEST_ID: Final = 2048


class FactorProofs:
    """Checks factors that come without a password; safe to share between threads."""

    def __init__(
        self, factors: Factors, *, throttle: Throttle, sign_in: SignIn
    ) -> None:
        self._factors = factors
        self._throttle = throttle
        self._sign_in = sign_in

    def code(
        self, person: Person, otp: str, origin: str, *, known_device: str = ""
    ) -> tuple[str, ...]:
        """Check the code of somebody whose first factor was checked already.

        Args:
            person: Who.
            otp: Of the authenticator app, or a recovery code; as typed.
            origin: Address of the peer, without port.
            known_device: What a browser in which they signed in before shows.

        Returns:
            The methods (RFC 8176).

        Raises:
            NotAuthenticatedError: It is not theirs, is used up, or nothing is set up.
            ThrottledError: Too many wrong guesses.
        """
        attempt = self._throttle.admit(person.name, origin, known_device=known_device)
        try:
            methods = self._factors.check(person.id, otp)
        except UnavailableError:
            self._throttle.forgive(attempt)
            raise
        if not methods:
            raise NotAuthenticatedError(REFUSED)
        self._throttle.forgive(attempt)
        return methods

    def passkey(
        self,
        kind: CeremonyKind,
        secret: str,
        response: JsonObject,
        origin: str,
        *,
        user_id: UserId | None = None,
    ) -> PasskeyUsed:
        """Check a passkey; see `Passkeys.finish_proof`.

        Raises:
            NotAuthenticatedError: It was not accepted.
            ThrottledError: Too many were not.
        """
        attempt = self._throttle.admit(_budget(response), origin)
        try:
            used = self._factors.passkeys.finish_proof(
                kind, secret, response, user_id=user_id
            )
        except (ThrottledError, UnavailableError):
            self._throttle.forgive(attempt)
            raise
        self._throttle.forgive(attempt)
        return used

    def passkey_sign_in(
        self, secret: str, response: JsonObject, origin: str, *, kind: SessionKind
    ) -> SessionOpened:
        """Open a session for whose passkey it is.

        Raises:
            NotAuthenticatedError: It was not accepted, or its owner may not come in.
            UnavailableError: Their directory can't say now whether they may.
            ThrottledError: Too many were not accepted.
        """
        used = self.passkey(CeremonyKind.PASSKEY_SIGN_IN, secret, response, origin)
        return self._sign_in.known(used.user_id, used.methods, origin, kind=kind)


def _budget(response: JsonObject) -> str:
    # By passkey and not by person: what is guessed at is the passkey, and nobody
    # who sends nonsense locks a person's password.
    claimed = str(response.get("rawId", ""))[:_LONGEST_ID]
    octets = claimed.encode("utf-8", "surrogatepass")
    return "passkey:" + hashlib.sha256(octets).hexdigest()
