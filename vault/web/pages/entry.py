"""Start, sign-in, sign-out, and proving again who one is."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from vault.access.oidc import SOURCE
from vault.access.policy import SessionKind
from vault.core.errors import NotAuthenticatedError, ThrottledError
from vault.core.problems import problem_for
from vault.edge.origin import origin_of
from vault.web.apart import apart
from vault.web.entrance import (
    Entrance,
    clear_cookie,
    set_cookie,
    shown_device,
    welcome,
)
from vault.web.identity import FormFields, Rooms, find_asker
from vault.web.pages.frame import (
    HOME,
    SIGN_IN,
    SIGNED_OUT,
    AnyVisit,
    PageViews,
    PageVisit,
    UnfinishedVisit,
    Visit,
    local_path,
    places_of,
    see_other,
)

router = APIRouter()

_WRONG: Final = "The name, the password or the code is wrong."
_THROTTLED: Final = "Too many tries. Wait a while, then try again."
_AGAIN: Final = "It is you. Nothing has been done yet: do it again here."
_MAX_NEXT: Final = 2048


@router.get(HOME)
def start(visit: PageVisit) -> Response:
    """Lead everybody to the first of their places."""
    places = places_of(visit.asker)
    if places:
        return see_other(places[0].href)
    return visit.page("nowhere.html")


@router.get(SIGN_IN)
def sign_in_form(
    request: Request,
    views: PageViews,
    next: Annotated[str, Query(max_length=_MAX_NEXT)] = HOME,  # noqa: A002 - in links
) -> Response:
    """Show the form."""
    if find_asker(request) is not None:
        return see_other(local_path(next))
    return views.page(
        request,
        "sign_in.html",
        reader=None,
        error="",
        user="",
        next=local_path(next),
    )


@router.post(SIGN_IN)
@apart
def sign_in(
    request: Request, form: FormFields, views: PageViews, services: Rooms
) -> Response:
    """Open a session and go on to where the person wanted."""
    target = local_path(form.get("next", HOME))
    try:
        opened = Entrance(services).sign_in(
            name=form.get("user", ""),
            password=form.get("password", ""),
            otp=form.get("otp", ""),
            origin=origin_of(request.scope),
            kind=SessionKind.BROWSER,
            known_device=shown_device(request),
        )
    except (NotAuthenticatedError, ThrottledError) as error:
        return views.page(
            request,
            "sign_in.html",
            reader=None,
            refused=problem_for(error),
            error=_words_for(error),
            user=form.get("user", "")[:256],
            next=target,
        )
    response = see_other(target)
    welcome(request, response, services, opened)
    return response


@router.post("/sign-out")
def sign_out(visit: AnyVisit) -> Response:
    """End the session."""
    services, asker = visit.services, visit.asker
    Entrance(services).sign_out(asker)
    # Who came by a provider may want to leave there, too.
    by_provider = services.oidc is not None and asker.session.person.source == SOURCE
    response = see_other(SIGNED_OUT if by_provider else SIGN_IN)
    clear_cookie(response)
    return response


@router.post("/unlock")
@apart
def unlock(visit: AnyVisit) -> Response:
    """Open a locked session and go on to where the person was."""
    return _renewed(visit, "locked.html")


@router.post("/step-up")
@apart
def step_up(visit: UnfinishedVisit) -> Response:
    """Take a fresh proof of who it is and go on to what asked for it."""
    return _renewed(visit, "prove.html")


def _renewed(visit: Visit, template: str) -> Response:
    asker, form = visit.asker, visit.form
    entrance, target = Entrance(visit.services), local_path(form.get("next", HOME))
    # A form was sent whose words are gone: that is said, and where to type them again.
    undone = form.get("undone") == "1"
    try:
        methods = entrance.prove(
            asker,
            password=form.get("password", ""),
            otp=form.get("otp", ""),
            known_device=shown_device(visit.request),
        )
    except (NotAuthenticatedError, ThrottledError) as error:
        return visit.views.page(
            visit.request,
            template,
            reader=None,
            refused=problem_for(error),
            error=_words_for(error),
            csrf=asker.session.csrf,
            next=target,
            undone=undone,
        )
    opened = entrance.renew(asker, methods, unlocking=template == "locked.html")
    if undone:
        visit.services.done.leave(opened.session.id, _AGAIN)
    response = see_other(target)
    set_cookie(response, opened.secret)
    return response


def _words_for(error: NotAuthenticatedError | ThrottledError) -> str:
    return _THROTTLED if isinstance(error, ThrottledError) else _WRONG
