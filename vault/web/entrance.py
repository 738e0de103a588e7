"""Coming in and going out: sessions and personal tokens, each with its leaf.

Guarantees:
    * A session or token whose leaf could not be made durable does not exist.
    * A refused sign-in is on the trail without the name: it is often a password.

Left to others: checking passwords and throttling (`vault.access.signin`).
"""

from contextlib import suppress
from typing import Final

from starlette.responses import Response

from vault.access.policy import SessionKind
from vault.access.sessions import SessionOpened
from vault.access.tokens import DEFAULT_TTL_S, TokenListed
from vault.audit.entry import Action, Draft, Result
from vault.core.clock import rfc3339
from vault.core.errors import (
    AccessDeniedError,
    NotAuthenticatedError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
)
from vault.core.flow import NOBODY, Caller
from vault.web.identity import COOKIE, Asker
from vault.web.services import Services

_WRONG: Final = "wrong-credential"
_THROTTLED: Final = "throttled"


class Entrance:
    """Opens and ends what people come in with."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def sign_in(
        self, *, name: str, password: str, origin: str, kind: SessionKind
    ) -> SessionOpened:
        """Open a session.

        Raises:
            NotAuthenticatedError: Name or password is wrong.
            ThrottledError: Too many wrong ones.
            AuditUnavailableError: The leaf is not durable: there is no session.
        """
        try:
            opened = self._services.sign_in.password(name, password, origin, kind=kind)
        except (NotAuthenticatedError, ThrottledError) as error:
            self._log_refusal(origin, error)
            raise
        session = opened.session
        draft = Draft(
            action=Action.ACCESS_SESSION_OPENED, caller=session.caller(origin)
        )
        try:
            self._services.warden.append(draft)
        except UnavailableError:
            self._services.sessions.end(session.id)
            raise
        return opened

    def sign_out(self, asker: Asker) -> None:
        """End the asker's session; without an open trail it ends all the same.

        Raises:
            NotFoundError: The credential is a token: those are revoked.
        """
        if not self._services.sessions.end(asker.session.id):
            raise NotFoundError("a token is not a session")
        # Whoever wants out gets out: a dead log must not keep a session alive.
        with suppress(UnavailableError):
            self._services.warden.append(
                Draft(action=Action.ACCESS_SESSION_ENDED, caller=asker.caller)
            )

    def add_token(
        self, asker: Asker, *, name: str, ttl_s: float | None
    ) -> dict[str, object]:
        """Make a personal token and return its members, the secret among them.

        Raises:
            AccessDeniedError: A token asks for a token, and would outlive itself.
        """
        if asker.session.kind is SessionKind.TOKEN:
            raise AccessDeniedError("a token makes no tokens: sign in")
        tokens = self._services.tokens
        added = tokens.add(asker.session.user_id, name, ttl_s=ttl_s or DEFAULT_TTL_S)
        draft = Draft(
            action=Action.ACCESS_TOKEN_ADDED,
            caller=asker.caller,
            detail={"token": added.listed.id},
        )
        try:
            self._services.warden.append(draft)
        except UnavailableError:
            tokens.revoke(added.listed.id)
            raise
        return _token_members(added.listed) | {"token": added.secret}

    def tokens(self, asker: Asker) -> list[dict[str, object]]:
        """Return the asker's tokens without their secrets."""
        listed = self._services.tokens.list(asker.session.user_id)
        return [_token_members(one) for one in listed]

    def revoke_token(self, asker: Asker, token_id: str) -> None:
        """Revoke one of the asker's own tokens.

        Raises:
            NotFoundError: It is not theirs, or never was.
        """
        owner = asker.session.user_id
        if not self._services.tokens.revoke(token_id, user_id=owner):
            raise NotFoundError("no such token")
        self._services.warden.append(
            Draft(
                action=Action.ACCESS_TOKEN_REVOKED,
                caller=asker.caller,
                detail={"token": token_id},
            )
        )

    def _log_refusal(
        self, origin: str, error: NotAuthenticatedError | ThrottledError
    ) -> None:
        throttled = isinstance(error, ThrottledError)
        with suppress(UnavailableError):
            self._services.warden.append(
                Draft(
                    action=Action.ACCESS_SESSION_REFUSED,
                    caller=Caller(actor=NOBODY, origin=origin),
                    result=Result.REFUSED,
                    reason=_THROTTLED if throttled else _WRONG,
                )
            )


def set_cookie(response: Response, secret: str) -> None:
    """Give the browser its session; no script and no other site ever sees it."""
    response.set_cookie(
        COOKIE, secret, path="/", secure=True, httponly=True, samesite="strict"
    )


def clear_cookie(response: Response) -> None:
    """Take the session back from the browser."""
    response.delete_cookie(
        COOKIE, path="/", secure=True, httponly=True, samesite="strict"
    )


def _token_members(listed: TokenListed) -> dict[str, object]:
    return {
        "id": listed.id,
        "name": listed.name,
        "created": rfc3339(listed.created_ns),
        "expires": rfc3339(listed.expires_ns),
        "used": None if listed.used_ns is None else rfc3339(listed.used_ns),
    }
