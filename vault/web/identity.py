"""Who is asking: a cookie or a bearer, looked up for every single request.

Guarantees:
    * A credential is checked against the database once per request; nothing
      about a person is remembered between two of them.
    * An unsafe request by cookie repeats the session's own token (the second
      layer; the first, Fetch Metadata, is `vault.web.edge`).
    * A refusal for want of a right is on the trail.

Left to others: what a person may do (`vault.access.policy`).
"""

import hmac
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from vault.access.credentials import SecretKind
from vault.access.policy import Permission, Session, require, scope_of
from vault.audit.entry import Action, Draft, Result
from vault.core.errors import (
    AccessDeniedError,
    InvalidInputError,
    NotAuthenticatedError,
    UnavailableError,
)
from vault.core.flow import Caller, VisibilityScope
from vault.core.secrets import SecretBytes
from vault.trust.interfaces import Trail
from vault.web.edge import SAFE_METHODS, origin_of
from vault.web.services import Services, services_of

COOKIE: Final = "__Host-callvault"
CSRF_HEADER: Final = "x-csrf-token"
CSRF_FIELD: Final = "csrf"
_FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 32
_BEARER: Final = "bearer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asker:
    """A checked credential and where it came from; lives for one request."""

    session: Session
    origin: str
    secret: SecretBytes
    "The credential itself, to look it up again while media streams."
    by_cookie: bool

    @property
    def caller(self) -> Caller:
        """On whose behalf the rooms act."""
        return self.session.caller(self.origin)

    @property
    def scope(self) -> VisibilityScope:
        """Which recordings may exist for this person."""
        return scope_of(self.session.person)

    def may(self, permission: Permission) -> bool:
        """Tell whether the person holds *permission*."""
        return self.session.person.holds(permission)


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a page's form; empty for any other body.

    Raises:
        InvalidInputError: It does not decode, or has too many fields.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != _FORM:
        return {}
    try:
        pairs = parse_qsl(
            (await request.body()).decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise InvalidInputError("the form does not decode") from None
    return dict(pairs)


FormFields = Annotated[dict[str, str], Depends(read_form)]


def find_asker(request: Request) -> Asker | None:
    """Return who is asking, or None where no credential came or it is void.

    Raises:
        NotAuthenticatedError: An ``Authorization`` header that is no use.
    """
    services = services_of(request)
    headers = request.headers.getlist("authorization")
    if headers:
        # An explicit credential is the only one: never fall back to a cookie.
        secret = _bearer(headers)
        return _looked_up(services, request, secret, by_cookie=False)
    secret = request.cookies.get(COOKIE, "")
    if not secret:
        return None
    try:
        return _looked_up(services, request, secret, by_cookie=True)
    except NotAuthenticatedError:
        return None


def check_csrf(request: Request, asker: Asker, form: dict[str, str]) -> None:
    """Insist on the session's token where a browser sends the credential itself.

    Raises:
        AccessDeniedError: The token is missing or another session's.
    """
    if not asker.by_cookie or request.method in SAFE_METHODS:
        return
    given = request.headers.get(CSRF_HEADER) or form.get(CSRF_FIELD, "")
    expected = asker.session.csrf
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        raise AccessDeniedError("the request does not carry its session's token")


def asker_of(request: Request, form: FormFields) -> Asker:
    """Return who is asking, checked in every way.

    Raises:
        NotAuthenticatedError: No credential, or one that proves nothing.
        AccessDeniedError: An unsafe request without its session's token.
    """
    asker = find_asker(request)
    if asker is None:
        raise NotAuthenticatedError("no credential, or one that has ended")
    check_csrf(request, asker, form)
    return asker


SignedIn = Annotated[Asker, Depends(asker_of)]
Rooms = Annotated[Services, Depends(services_of)]


def insist(services: Services, asker: Asker, permission: Permission) -> None:
    """Insist on a right over a collection, and log a refusal.

    Raises:
        AccessDeniedError: The person does not hold it.
    """
    try:
        require(asker.session.person, permission)
    except AccessDeniedError:
        log_refusal(services.warden, asker, right=permission)
        raise


def log_refusal(trail: Trail, asker: Asker, *, right: str, recording: str = "") -> None:
    """Write that *asker* was refused; a refusal stands even if that fails."""
    with suppress(UnavailableError):
        trail.append(
            Draft(
                action=Action.ACCESS_REFUSED,
                caller=asker.caller,
                result=Result.REFUSED,
                recording=recording,
                right=right,
            )
        )


def _bearer(headers: list[str]) -> str:
    scheme, _, secret = headers[0].partition(" ")
    if len(headers) != 1 or scheme.lower() != _BEARER or not secret.strip():
        raise NotAuthenticatedError("not a bearer credential")
    return secret.strip()


def _looked_up(
    services: Services, request: Request, secret: str, *, by_cookie: bool
) -> Asker:
    return Asker(
        session=look_up(services, secret, by_cookie=by_cookie),
        origin=origin_of(request.scope),
        secret=SecretBytes(secret.encode("utf-8", "surrogatepass")),
        by_cookie=by_cookie,
    )


def look_up(services: Services, secret: str, *, by_cookie: bool) -> Session:
    """Return the session behind *secret*.

    Raises:
        NotAuthenticatedError: There is none, or not any more.
    """
    if not by_cookie and secret.startswith(SecretKind.PERSONAL_TOKEN):
        return services.tokens.lookup(secret)
    return services.sessions.lookup(secret)
