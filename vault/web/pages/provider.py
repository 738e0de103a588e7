"""Signing in and out at an OpenID provider: where browsers leave and come back.

The session's own cookie is Strict, and does not come along when another site leads
back here.  So a ceremony has a cookie of its own, Lax and for this alone; the answer
to the callback is a page that sets the session's cookie and then goes on by itself:
from our own page the browser sends it.

Guarantees:
    * Another site can't begin a sign-in, and can't finish one that was not begun here.
    * Where to go on to is a path of ours, remembered here and not brought back.
    * Whatever goes wrong is a page with status 401, or 503 while the provider is down.

Left to others: what holds (`vault.access.oidc`), leaves
(`vault.web.provider_entrance`).

Spec: RFC 9700; draft-ietf-httpbis-rfc6265bis, section 5.6.7 (SameSite)
"""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from vault.access.oidc import CEREMONY_S, OpenIdConnect
from vault.core.errors import (
    IdentityRefusedError,
    NotAuthenticatedError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
)
from vault.core.problems import problem_for
from vault.edge.origin import origin_of
from vault.web.apart import Elsewhere
from vault.web.entrance import welcome
from vault.web.identity import FormFields, Rooms, find_asker
from vault.web.pages.frame import (
    HOME,
    SIGN_IN,
    SIGNED_OUT,
    PageViews,
    local_path,
    see_other,
)
from vault.web.provider_entrance import ProviderEntrance
from vault.web.services import Services
from vault.web.views import Views

router = APIRouter()

COOKIE: Final = "__Host-callvault-oidc"
BEGIN: Final = "/sign-in/oidc"
CALLBACK: Final = "/sign-in/oidc/callback"
BACK_CHANNEL: Final = "/sign-in/oidc/back-channel-logout"
LEAVE: Final = "/sign-in/oidc/sign-out"

_FOR_THE_PROVIDER: Final = Elsewhere("provider")
_FOR_ITS_LOGOUTS: Final = Elsewhere("provider-logout")

_FAILED: Final = "That did not work. Start again."
_DOWN: Final = "It can't be asked now. Try again in a while."
_THROTTLED: Final = "Too many sign-ins are under way. Try again in a while."
_MAX_NEXT: Final = 2048


@router.get(BEGIN)
@_FOR_THE_PROVIDER
def begin(
    request: Request,
    views: PageViews,
    services: Rooms,
    next: Annotated[str, Query(max_length=_MAX_NEXT)] = HOME,  # noqa: A002 - in links
    *,
    again: bool = False,
) -> Response:
    """Lead the browser to the provider."""
    oidc, entrance = _provided(services)
    target = local_path(next)
    # Signing somebody in is this browser's own wish, or nobody's.
    if request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        return see_other(SIGN_IN)
    asker = find_asker(request, even_locked=True)
    replaces = asker.session.id if asker is not None and asker.by_cookie else ""
    try:
        # A session that is there is a proof no longer: the person is asked again.
        begun = oidc.begin(target, replaces=replaces, again=again or bool(replaces))
    except (IdentityRefusedError, ThrottledError, UnavailableError) as error:
        if isinstance(error, IdentityRefusedError):
            entrance.log_refusal(origin_of(request.scope), error)
        return _failed(request, views, oidc, error, target=target)
    response = see_other(begun.location)
    response.set_cookie(
        COOKIE,
        begun.secret,
        max_age=CEREMONY_S,
        path="/",
        secure=True,
        httponly=True,
        # Not Strict: the provider's redirection brings it back, and no sub-request.
        samesite="lax",
    )
    return response


@router.get(CALLBACK)
@_FOR_THE_PROVIDER
def callback(request: Request, views: PageViews, services: Rooms) -> Response:
    """Take the provider's answer, and go on as whoever it vouches for."""
    oidc, entrance = _provided(services)
    try:
        opened, target = entrance.finish(
            request.cookies.get(COOKIE, ""),
            request.query_params.multi_items(),
            origin_of(request.scope),
        )
    except (NotAuthenticatedError, UnavailableError) as error:
        response = _failed(request, views, oidc, error, target=HOME)
    else:
        response = views.page(request, "continue.html", reader=None, target=target)
        welcome(request, response, services, opened)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return response


@router.post(BACK_CHANNEL)
@_FOR_ITS_LOGOUTS
def back_channel_logout(
    request: Request, form: FormFields, services: Rooms
) -> Response:
    """End the sessions that the provider says have ended.

    Spec: OpenID Connect Back-Channel Logout 1.0, sections 2.5 and 2.8
    """
    _, entrance = _provided(services)
    try:
        entrance.end(form.get("logout_token", ""), origin_of(request.scope))
    except IdentityRefusedError:
        # The standard's own form of an error; the reason is for the trail.
        return JSONResponse({"error": "invalid_request"}, status_code=400)
    return Response(status_code=200)


@router.get(SIGNED_OUT)
def signed_out(request: Request, views: PageViews, services: Rooms) -> Response:
    """Say that one is out here, and offer to leave the provider as well."""
    _provided(services)
    return views.page(request, "signed_out.html", reader=None)


@router.get(LEAVE)
@_FOR_THE_PROVIDER
def leave(request: Request, services: Rooms) -> Response:
    """Lead the browser to the provider's own sign-out, if there is one."""
    oidc, _ = _provided(services)
    if request.headers.get("sec-fetch-site") in {"cross-site", "same-site"}:
        return see_other(SIGN_IN)
    try:
        return see_other(oidc.leaving() or SIGN_IN)
    except IdentityRefusedError:
        return see_other(SIGN_IN)


def _provided(services: Services) -> tuple[OpenIdConnect, ProviderEntrance]:
    """Return the provider, and the way in by it.

    Raises:
        NotFoundError: None is configured.
    """
    if services.oidc is None or services.provider_sessions is None:
        raise NotFoundError("no provider is configured")
    entrance = ProviderEntrance(services, services.oidc, services.provider_sessions)
    return services.oidc, entrance


def _failed(
    request: Request,
    views: Views,
    oidc: OpenIdConnect,
    error: NotAuthenticatedError | ThrottledError | UnavailableError,
    *,
    target: str,
) -> Response:
    said = _FAILED
    if isinstance(error, UnavailableError):
        said = _DOWN
    elif isinstance(error, ThrottledError):
        said = _THROTTLED
    return views.page(
        request,
        "sign_in.html",
        reader=None,
        refused=problem_for(error),
        error=f"{oidc.config.label}: {said}",
        user="",
        next=target,
    )
