"""Start, sign-in and sign-out."""

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from vault.access.policy import SessionKind
from vault.core.errors import NotAuthenticatedError, ThrottledError
from vault.core.problems import problem_for
from vault.web.edge import origin_of
from vault.web.entrance import Entrance, clear_cookie, set_cookie
from vault.web.identity import FormFields, Rooms, find_asker
from vault.web.pages.frame import (
    HOME,
    SIGN_IN,
    PageAsker,
    PageViews,
    places_of,
    reader_of,
    see_other,
)

router = APIRouter()

_WRONG: Final = "The name or the password is wrong."
_THROTTLED: Final = "Too many tries. Wait a while, then try again."
_MAX_NEXT: Final = 2048


@router.get(HOME)
def start(request: Request, asker: PageAsker, views: PageViews) -> Response:
    """Lead everybody to the first of their places."""
    places = places_of(asker)
    if places:
        return see_other(places[0].href)
    return views.page(request, "nowhere.html", reader=reader_of(asker))


@router.get(SIGN_IN)
def sign_in_form(
    request: Request,
    views: PageViews,
    next: Annotated[str, Query(max_length=_MAX_NEXT)] = HOME,  # noqa: A002 - in links
) -> Response:
    """Show the form."""
    if find_asker(request) is not None:
        return see_other(_local(next))
    return views.page(
        request,
        "sign_in.html",
        reader=None,
        error="",
        user="",
        next=_local(next),
    )


@router.post(SIGN_IN)
def sign_in(
    request: Request, form: FormFields, views: PageViews, services: Rooms
) -> Response:
    """Open a session and go on to where the person wanted."""
    target = _local(form.get("next", HOME))
    try:
        opened = Entrance(services).sign_in(
            name=form.get("user", ""),
            password=form.get("password", ""),
            origin=origin_of(request.scope),
            kind=SessionKind.BROWSER,
        )
    except (NotAuthenticatedError, ThrottledError) as error:
        throttled = isinstance(error, ThrottledError)
        problem = problem_for(error)
        response = views.page(
            request,
            "sign_in.html",
            reader=None,
            status=problem.status,
            error=_THROTTLED if throttled else _WRONG,
            user=form.get("user", "")[:256],
            next=target,
        )
        response.headers.update(problem.headers())
        return response
    response = see_other(target)
    set_cookie(response, opened.secret)
    return response


@router.post("/sign-out")
def sign_out(asker: PageAsker, services: Rooms) -> Response:
    """End the session."""
    Entrance(services).sign_out(asker)
    response = see_other(SIGN_IN)
    clear_cookie(response)
    return response


def _local(target: str) -> str:
    r"""Return *target* if it is a path of ours, else the start.

    ``//host`` and ``/\host`` are other sites to a browser, and control
    characters vanish from a URL before it is looked at.
    """
    local = (
        target.startswith("/")
        and not target.startswith(("//", "/\\"))
        and "\\" not in target
        and target.isprintable()
    )
    return target if local else HOME
