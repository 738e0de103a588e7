"""Who is asking: a cookie or a bearer, looked up for every single request.

Guarantees:
    * A credential is checked against the database once per request; nothing
      about a person is remembered between two of them.
    * An unsafe request by cookie repeats the session's own token (the second
      layer; the first, Fetch Metadata, is `vault.web.edge`).
    * A locked session, and one that still lacks a second factor, get nowhere but
      where a route says so (`AnySession`, `Unfinished`).
    * What a page asks for by itself (`passive` routes, media) keeps no browser
      session open; a script is there as long as it asks.
    * A refusal for want of a right is on the trail.

Left to others: what a person may do (`vault.access.policy`).
"""

import hmac
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qsl

from fastapi import Depends, Request

from vault.access.address_rules import Listener
from vault.access.credentials import SecretKind
from vault.access.permissions import STEP_UP, Permission
from vault.access.policy import Session, SessionKind, require, require_fresh, scope_of
from vault.audit.entry import Action, Draft, Result
from vault.core.errors import (
    AccessDeniedError,
    InvalidInputError,
    NotAuthenticatedError,
    PasswordChangeRequiredError,
    SecondFactorRequiredError,
    SessionLockedError,
    StepUpRequiredError,
    UnavailableError,
)
from vault.core.flow import Caller, VisibilityScope
from vault.core.openapi import may_answer
from vault.core.prefixes import LOOPBACK
from vault.core.secrets import SecretBytes
from vault.edge.framing import SAFE_METHODS
from vault.edge.origin import origin_of
from vault.trust.interfaces import Trail
from vault.web.rates import rates_of
from vault.web.services import Services, services_of

COOKIE: Final = "__Host-callvault"
CSRF_HEADER: Final = "x-csrf-token"
CSRF_FIELD: Final = "csrf"
BEARER: Final = "bearer"
BY_COOKIE: Final = "cookie"
"Names of the credentials, as the API's document has them."
_FORM: Final = "application/x-www-form-urlencoded"
_MAX_FIELDS: Final = 32
_PASSIVE: Final = "__passive__"
_NO_DETAIL: Final[Mapping[str, str]] = MappingProxyType({})


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
        return self.scope_for(Permission.RECORDING_METADATA_READ)

    def scope_for(self, permission: Permission) -> VisibilityScope:
        """Return over which recordings the person holds *permission*."""
        return scope_of(self.session.person, permission)

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


_R = TypeVar("_R", bound=Callable[..., object])


def passive(route: _R) -> _R:
    """Mark a route that pages call without anybody being there."""
    setattr(route, _PASSIVE, True)
    return route


def find_asker(request: Request, *, even_locked: bool = False) -> Asker | None:
    """Return who is asking, or None where no credential came or it is void.

    Raises:
        NotAuthenticatedError: An ``Authorization`` header that is no use.
        SessionLockedError: The session is locked, and *even_locked* is false.
        ThrottledError: The session or token has asked too often.
    """
    services = services_of(request)
    headers = request.headers.getlist("authorization")
    if headers:
        # An explicit credential is the only one: never fall back to a cookie.
        secret, by_cookie = _bearer(headers), False
    else:
        secret, by_cookie = request.cookies.get(COOKIE, ""), True
    if not secret:
        return None
    endpoint = request.scope.get("endpoint")
    try:
        session = look_up(
            services,
            secret,
            by_cookie=by_cookie,
            origin=origin_of(request.scope),
            is_activity=not getattr(endpoint, _PASSIVE, False),
            even_locked=even_locked,
        )
    except SessionLockedError:
        raise
    except NotAuthenticatedError:
        if by_cookie:
            return None
        raise
    rates_of(request).spend(session.id)
    return Asker(
        session=session,
        origin=origin_of(request.scope),
        secret=SecretBytes(secret.encode("utf-8", "surrogatepass")),
        by_cookie=by_cookie,
    )


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


@may_answer(NotAuthenticatedError, AccessDeniedError, credentials=(BEARER, BY_COOKIE))
def any_asker(request: Request, form: FormFields) -> Asker:
    """Return who is asking, locked, half signed in, or neither.

    Raises:
        NotAuthenticatedError: No credential, or one that proves nothing.
        AccessDeniedError: An unsafe request without its session's token.
    """
    asker = find_asker(request, even_locked=True)
    if asker is None:
        raise NotAuthenticatedError("no credential, or one that has ended")
    check_csrf(request, asker, form)
    return asker


AnySession = Annotated[Asker, Depends(any_asker)]
"""For routes that a locked session may use: unlocking, leaving, asking who one is."""


@may_answer(SessionLockedError)
def unfinished_asker(asker: AnySession) -> Asker:
    """Return who is asking, perhaps without the second factor that a role requires.

    Raises:
        SessionLockedError: The session is locked.
    """
    insist_on_unlocked(asker)
    return asker


Unfinished = Annotated[Asker, Depends(unfinished_asker)]
"""For routes by which somebody adds a second factor, or gives it."""


@may_answer(SecondFactorRequiredError, PasswordChangeRequiredError)
def asker_of(asker: Unfinished) -> Asker:
    """Return who is asking, checked in every way.

    Raises:
        SecondFactorRequiredError: A role requires a factor that was not given.
        PasswordChangeRequiredError: The password must be changed first.
    """
    insist_on_finished(asker)
    return asker


def insist_on_unlocked(asker: Asker) -> None:
    """Insist that somebody was there lately.

    Raises:
        SessionLockedError: The session is locked.
    """
    if asker.session.is_locked:
        raise SessionLockedError("the session is locked")


def must_change_password(asker: Asker) -> bool:
    """Tell whether a session can do nothing but take another password."""
    session = asker.session
    return session.person.must_change_password and session.kind is not SessionKind.TOKEN


def insist_on_finished(asker: Asker) -> None:
    """Insist that the person signed in with all that their roles require.

    Raises:
        SecondFactorRequiredError: A role requires a factor that was not given.
        PasswordChangeRequiredError: The password must be changed first.
    """
    if must_change_password(asker):
        raise PasswordChangeRequiredError("take another password first")
    if asker.session.is_restricted:
        raise SecondFactorRequiredError(
            "a second factor is required: add one, or give it"
        )


SignedIn = Annotated[Asker, Depends(asker_of)]
Rooms = Annotated[Services, Depends(services_of)]


def insist(
    services: Services, asker: Asker, permission: Permission, **asked: str | int
) -> None:
    """Insist on a right over a collection, and log a refusal.

    Args:
        services: The rooms.
        asker: Who asks.
        permission: What they need.
        asked: What for (``kind`` of a change, …), for the leaf of a refusal.

    Raises:
        AccessDeniedError: The person does not hold it.
        StepUpRequiredError: They do, and have to prove again who they are.
    """
    try:
        require(asker.session.person, permission)
    except AccessDeniedError:
        detail = {name: one for name, one in asked.items() if one != ""}
        log_refusal(services.warden, asker, right=permission, detail=detail)
        raise
    insist_on_proof(services, asker, permission)


def insist_on_proof(
    services: Services, asker: Asker, permission: Permission | None = None
) -> None:
    """Insist on a recent proof of who it is, where *permission* asks for one.

    The caller has made sure that the asker holds it: who does not is told so first.

    Args:
        services: The rooms.
        asker: Who asks.
        permission: What is about to be used; None insists in any case.

    Raises:
        StepUpRequiredError: The last proof is too old.
    """
    if permission is None or permission in STEP_UP:
        require_fresh(
            asker.session, now_ns=services.clock(), within_s=services.step_up_s
        )


def is_fresh(session: Session, services: Services) -> bool:
    """Tell whether the last proof of who it is still counts as recent."""
    try:
        require_fresh(session, now_ns=services.clock(), within_s=services.step_up_s)
    except StepUpRequiredError:
        return False
    return True


def log_refusal(
    trail: Trail,
    asker: Asker,
    *,
    right: str,
    recording: str = "",
    reason: str = "",
    detail: Mapping[str, str | int] = _NO_DETAIL,
) -> None:
    """Write that *asker* was refused; a refusal stands even if that fails.

    Args:
        trail: Where to.
        asker: Who was refused.
        right: The permission that it takes.
        recording: Which one they asked for, where it was one.
        reason: A slug, where it was not for want of the right.
        detail: What else they asked for: ids, slugs and counts.
    """
    with suppress(UnavailableError):
        trail.append(
            Draft(
                action=Action.ACCESS_REFUSED,
                caller=asker.caller,
                result=Result.REFUSED,
                recording=recording,
                right=right,
                reason=reason,
                detail={"permission": right, **detail},
            )
        )


def _bearer(headers: list[str]) -> str:
    scheme, _, secret = headers[0].partition(" ")
    if len(headers) != 1 or scheme.lower() != BEARER or not secret.strip():
        raise NotAuthenticatedError("not a bearer credential")
    return secret.strip()


def still_there(services: Services, asker: Asker) -> Session:
    """Look the asker up again, while something goes out to them.

    Raises:
        NotAuthenticatedError: Signed out, ended, disabled, or under another id since;
            or an administrator's rule keeps their address out.
        SessionLockedError: Nobody was there for a while.
    """
    session = look_up(
        services,
        asker.secret.reveal().decode(),
        by_cookie=asker.by_cookie,
        origin=asker.origin,
        is_activity=False,
    )
    if session.id != asker.session.id:
        raise NotAuthenticatedError("the session was replaced")
    # As at the edge: whoever sits at the machine is spared.
    if asker.origin and asker.origin not in LOOPBACK:
        rules = services.address_rules.snapshot(Listener.WEB)
        if not rules.admits(asker.origin):
            raise NotAuthenticatedError("the address may not come any more")
    return session


def look_up(
    services: Services,
    secret: str,
    *,
    by_cookie: bool,
    origin: str,
    is_activity: bool,
    even_locked: bool = False,
) -> Session:
    """Return the session behind *secret*.

    Raises:
        NotAuthenticatedError: There is none, or not any more.
        SessionLockedError: It is locked, and *even_locked* is false.
    """
    if not by_cookie and secret.startswith(SecretKind.PERSONAL_TOKEN):
        return services.tokens.lookup(secret, origin=origin)
    return services.sessions.lookup(
        secret, is_activity=is_activity, even_locked=even_locked
    )
