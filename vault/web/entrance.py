"""Coming in, proving again who it is, and going out: each with its leaf.

Guarantees:
    * A session whose leaf could not be made durable does not exist, and neither does
      a renewed one.
    * A refused proof is on the trail without what was typed: it is often a password.
    * The two cookies are host-bound, out of any script's and any other site's reach.

Left to others: checking passwords and throttling (`vault.access.signin`), tokens
(`vault.web.tokens`), sessions of others (`vault.web.presence`).

Spec: draft-ietf-httpbis-rfc6265bis, section 4.1.3 (``__Host-``).
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from vault.access.factor_rows import FactorKind
from vault.access.factors import RECOVERY
from vault.access.known_devices import TTL_S
from vault.access.policy import SessionKind
from vault.access.sessions import SessionOpened
from vault.audit.entry import Action, Draft, Result
from vault.core.errors import (
    FactorRefusedError,
    NotAuthenticatedError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
)
from vault.core.flow import NOBODY, Caller
from vault.core.ids import UserId, new_id
from vault.web.identity import COOKIE, Asker
from vault.web.services import Services

DEVICE_COOKIE: Final = "__Host-callvault-device"
CLEARED: Final = '"cache"'
"""What a browser forgets at sign-out.  Not its storage: no page keeps anything there
but the choice of light or dark.  Not its cookies: the browser stays a known one."""

BY_HAND: Final = "You locked this session."
_WRONG: Final = "wrong-credential"
_THROTTLED: Final = "throttled"
_DOWN: Final = "source-down"


class Entrance:
    """Opens, renews, locks and ends sessions."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def sign_in(
        self,
        *,
        name: str,
        password: str,
        origin: str,
        kind: SessionKind,
        otp: str = "",
        known_device: str = "",
    ) -> SessionOpened:
        """Open a session.

        Raises:
            NotAuthenticatedError: Name, password or code is wrong.
            ThrottledError: Too many wrong ones.
            AuditUnavailableError: The leaf is not durable: there is no session.
        """
        try:
            opened = self._services.sign_in.password(
                name, password, origin, otp=otp, kind=kind, known_device=known_device
            )
        except (NotAuthenticatedError, ThrottledError, UnavailableError) as error:
            self.log_refusal(Caller(actor=NOBODY, origin=origin), error)
            raise
        self.announce(opened, origin)
        return opened

    def announce(self, opened: SessionOpened, origin: str) -> None:
        """Write that a session was opened; it is ended if that can't be written.

        Raises:
            AuditUnavailableError: The leaf is not durable: there is no session.
        """
        caller = opened.session.caller(origin)
        try:
            self._services.warden.append(
                Draft(
                    action=Action.ACCESS_SESSION_OPENED,
                    caller=caller,
                    detail={"source": opened.session.person.source}
                    | _how(opened.session.methods),
                ),
                *self._used_up(opened.session.methods, caller),
            )
        except UnavailableError:
            self._services.sessions.end(opened.session.id)
            raise

    def prove(
        self, asker: Asker, *, password: str, otp: str = "", known_device: str = ""
    ) -> tuple[str, ...]:
        """Check again that it is the asker, and return how they proved it.

        Raises:
            NotFoundError: The credential is a token: it proves nothing again.
            NotAuthenticatedError: Password or code is wrong.
            ThrottledError: Too many wrong ones.
        """
        _insist_on_a_session(asker)
        try:
            return self._services.sign_in.reprove(
                asker.session.person,
                password,
                asker.origin,
                otp=otp,
                known_device=known_device,
            )
        except (NotAuthenticatedError, ThrottledError, UnavailableError) as error:
            self.log_refusal(asker.caller, error)
            raise

    def renew(
        self, asker: Asker, methods: Sequence[str], *, unlocking: bool = False
    ) -> SessionOpened:
        """Give the asker's session a new id and secret after a fresh proof.

        Args:
            asker: Who proved it.
            methods: How (RFC 8176), from `prove` or from a passkey.
            unlocking: Whether a locked session may be renewed.

        Raises:
            NotFoundError: The credential is a token.
            NotAuthenticatedError: The session is over.
            SessionLockedError: It is locked, and this is no unlocking.
            AuditUnavailableError: The leaf is not durable: nothing has changed.
        """
        _insist_on_a_session(asker)
        becomes = new_id()
        # The leaf comes first and names the new id: a leaf for a renewal that then
        # fails is better than a renewed session without one.
        self._services.warden.append(
            Draft(
                action=Action.ACCESS_SESSION_RENEWED,
                caller=asker.caller,
                detail={
                    "session": becomes,
                    "purpose": "unlock" if unlocking else "step-up",
                }
                | _how(methods),
            ),
            *self._used_up(methods, asker.caller),
        )
        sessions = self._services.sessions
        renew = sessions.unlock if unlocking else sessions.step_up
        return renew(asker.session.id, methods=methods, becomes=becomes)

    def lock(self, asker: Asker) -> None:
        """Lock the asker's session; without an open trail it is locked all the same.

        Raises:
            NotFoundError: The credential is a token: those are revoked.
        """
        _insist_on_a_session(asker)
        if self._services.sessions.lock(asker.session.id):
            # Who was away for long is locked by now, whoever asks.
            self._services.locks.leave(asker.session.id, BY_HAND)
            self._log_if_possible(Action.ACCESS_SESSION_LOCKED, asker)

    def sign_out(self, asker: Asker) -> None:
        """End the asker's session; without an open trail it ends all the same.

        Raises:
            NotFoundError: The credential is a token: those are revoked.
        """
        if not self._services.sessions.end(asker.session.id):
            raise NotFoundError("a token is not a session")
        self._services.playback.close_session(asker.session.id)
        # Whoever wants out gets out: a dead log must not keep a session alive.
        self._log_if_possible(Action.ACCESS_SESSION_ENDED, asker)

    def log_refusal(
        self,
        caller: Caller,
        error: NotAuthenticatedError | ThrottledError | UnavailableError,
    ) -> None:
        """Write that a proof was refused; the refusal stands even if that fails."""
        action, detail = Action.ACCESS_SESSION_REFUSED, dict[str, str | int]()
        match error:
            case ThrottledError():
                reason = _THROTTLED
                if caller.actor == NOBODY:
                    self.log_flood(caller, self._services.floods.note())
                    return
            case UnavailableError():
                reason = _DOWN
            case FactorRefusedError():
                # The answer reads like any other refusal; the trail knows more: that
                # the password was right, or whose passkey it was.
                action = Action.ACCESS_FACTOR_REFUSED
                reason, detail = error.reason, {"user": error.user_id}
            case _:
                reason = _WRONG
        with suppress(UnavailableError):
            self._services.warden.append(
                Draft(
                    action=action,
                    caller=caller,
                    result=Result.REFUSED,
                    reason=reason,
                    detail=detail,
                )
            )

    def log_flood(self, caller: Caller, many: int) -> None:
        """Write that so many sign-ins were refused without a look at them."""
        if not many:
            return  # told in a sum, within seconds
        with suppress(UnavailableError):
            self._services.warden.append(
                Draft(
                    action=Action.ACCESS_SESSION_REFUSED,
                    caller=caller,
                    result=Result.REFUSED,
                    reason=_THROTTLED,
                    detail={"count": many},
                )
            )

    def _used_up(self, methods: Sequence[str], caller: Caller) -> Sequence[Draft]:
        if RECOVERY not in methods:
            return ()
        user_id = UserId(caller.actor.id)
        left = self._services.factors.recovery_codes.left(user_id)
        return (
            Draft(
                action=Action.ACCESS_FACTOR_SPENT,
                caller=caller,
                detail={"kind": str(FactorKind.RECOVERY_CODES), "count": left},
            ),
        )

    def _log_if_possible(self, action: Action, asker: Asker) -> None:
        with suppress(UnavailableError):
            self._services.warden.append(Draft(action=action, caller=asker.caller))


def shown_device(request: Request) -> str:
    """Return what the browser shows of an earlier sign-in; empty for nothing.

    Only browsers are known: a script that must not be locked out has a token.
    """
    return request.cookies.get(DEVICE_COOKIE, "")


def welcome(
    request: Request, response: Response, services: Services, opened: SessionOpened
) -> None:
    """Give whoever signed in their cookies: the session, and a known browser's."""
    set_cookie(response, opened.secret)
    if opened.session.kind is SessionKind.BROWSER:
        device = services.known_devices.remember(
            opened.session.user_id, shown_device(request)
        )
        response.set_cookie(
            DEVICE_COOKIE,
            device,
            max_age=TTL_S,
            path="/",
            secure=True,
            httponly=True,
            samesite="strict",
        )


def set_cookie(response: Response, secret: str) -> None:
    """Give the browser its session; no script and no other site ever sees it."""
    response.set_cookie(
        COOKIE, secret, path="/", secure=True, httponly=True, samesite="strict"
    )


def clear_cookie(response: Response) -> None:
    """Take the session back from the browser, and what it kept of the pages."""
    response.delete_cookie(
        COOKIE, path="/", secure=True, httponly=True, samesite="strict"
    )
    response.headers["Clear-Site-Data"] = CLEARED


def _insist_on_a_session(asker: Asker) -> None:
    if asker.session.kind is SessionKind.TOKEN:
        raise NotFoundError("a token is not a session")


def _how(methods: Sequence[str]) -> dict[str, str | int]:
    return {"how": "/".join(methods)} if methods else {}
