"""The cookies of passkey ceremonies, and what comes of a passkey that was shown.

Guarantees: what binds a ceremony to its browser is out of any script's and any other
site's reach, and is taken back when it is used; every refusal is on the trail.

Left to others: checking (`vault.access.factor_proofs`), sessions
(`vault.web.entrance`).
"""

from collections.abc import Mapping
from typing import Final

from fastapi import Request, Response

from vault.access.ceremonies import TTL_S, CeremonyKind
from vault.access.passkeys import PasskeyBegun
from vault.access.policy import SessionKind
from vault.access.sessions import SessionOpened
from vault.core.errors import NotAuthenticatedError, ThrottledError
from vault.core.flow import NOBODY, Caller
from vault.web.entrance import Entrance
from vault.web.identity import Asker
from vault.web.services import Services

_COOKIE: Final = "__Host-callvault-"

KINDS: Final[Mapping[str, CeremonyKind]] = {
    "step-up": CeremonyKind.PASSKEY_STEP_UP,
    "unlock": CeremonyKind.PASSKEY_UNLOCK,
}
"By the purpose that a body names."


class PasskeyGate:
    """Takes passkeys for what passwords are taken for, too."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._proofs = services.factor_proofs
        self._entrance = Entrance(services)

    def ask(
        self, kind: CeremonyKind, host: str, asker: Asker | None = None
    ) -> PasskeyBegun:
        """Ask a browser to show a passkey: the asker's, or whoever it belongs to.

        Raises:
            ConflictError: Not under this host.
            NotFoundError: The asker has none.
            ThrottledError: Too many are being asked.
        """
        user_id = asker.session.user_id if asker is not None else None
        return self._services.factors.passkeys.begin_proof(kind, host, user_id=user_id)

    def sign_in(
        self,
        secret: str,
        credential: Mapping[str, object],
        *,
        origin: str,
        kind: SessionKind,
    ) -> SessionOpened:
        """Open a session for whose passkey it is.

        Raises:
            NotAuthenticatedError: It was not accepted.
            ThrottledError: Too many were not.
            AuditUnavailableError: The leaf is not durable: there is no session.
        """
        try:
            opened = self._proofs.passkey_sign_in(secret, credential, origin, kind=kind)
        except (NotAuthenticatedError, ThrottledError) as error:
            self._entrance.log_refusal(Caller(actor=NOBODY, origin=origin), error)
            raise
        self._entrance.announce(opened, origin)
        return opened

    def renew(
        self,
        asker: Asker,
        kind: CeremonyKind,
        secret: str,
        credential: Mapping[str, object],
    ) -> SessionOpened:
        """Renew the asker's session by a passkey of theirs.

        Raises:
            NotAuthenticatedError: It was not accepted, or is not theirs.
            SessionLockedError: The session is locked, and this is no unlocking.
            ThrottledError: Too many were not accepted.
            AuditUnavailableError: The leaf is not durable: nothing has changed.
        """
        try:
            used = self._proofs.passkey(
                kind, secret, credential, asker.origin, user_id=asker.session.user_id
            )
        except (NotAuthenticatedError, ThrottledError) as error:
            self._entrance.log_refusal(asker.caller, error)
            raise
        unlocking = kind is CeremonyKind.PASSKEY_UNLOCK
        return self._entrance.renew(asker, used.methods, unlocking=unlocking)

    def give_code(self, asker: Asker, otp: str, *, known_device: str) -> SessionOpened:
        """Renew a session whose second factor is missing by the code that is.

        Raises:
            NotAuthenticatedError: It is not theirs, or is used up.
            ThrottledError: Too many wrong ones.
            AuditUnavailableError: The leaf is not durable: nothing has changed.
        """
        try:
            methods = self._proofs.code(
                asker.session.person, otp, asker.origin, known_device=known_device
            )
        except (NotAuthenticatedError, ThrottledError) as error:
            self._entrance.log_refusal(asker.caller, error)
            raise
        return self._entrance.renew(asker, methods)


def host_of(request: Request) -> str:
    """Return the host as the browser spells it; the edge has let one through."""
    return request.headers.get("host", "")


def bind(response: Response, kind: CeremonyKind, secret: str) -> None:
    """Give the browser what makes a ceremony its own."""
    response.set_cookie(
        _COOKIE + kind,
        secret,
        max_age=TTL_S,
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )


def bound(request: Request, kind: CeremonyKind) -> str:
    """Return what the browser holds of a ceremony; empty for nothing."""
    return request.cookies.get(_COOKIE + kind, "")


def release(response: Response, kind: CeremonyKind) -> None:
    """Take back what is used up."""
    response.delete_cookie(
        _COOKIE + kind, path="/", secure=True, httponly=True, samesite="strict"
    )
