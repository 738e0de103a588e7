"""What every page starts from: the reader, the places they may go, signing in.

Guarantees: a place that a person has no right to is not in their navigation,
and asking for it all the same is refused by the place itself.
"""

from collections.abc import Sequence
from typing import Annotated, Final, cast
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response

from vault.access.policy import Permission
from vault.web.identity import Asker, FormFields, check_csrf, find_asker
from vault.web.views import Place, Reader, Views

HOME: Final = "/"
SIGN_IN: Final = "/sign-in"
_SEE_OTHER: Final = 303

_PLACES: Final = (
    (Permission.RECORDING_METADATA_READ, Place(name="Recordings", href="/recordings")),
    (Permission.AUDIT_TRAIL_READ, Place(name="Audit trail", href="/audit")),
    (Permission.ACCESS_USER_EDIT, Place(name="People", href="/people")),
    (Permission.ACCESS_POLICY_EDIT, Place(name="Devices", href="/devices")),
    (Permission.SYSTEM_HEALTH_READ, Place(name="Health", href="/health")),
)


class SignInFirst(Exception):  # noqa: N818 - not an error: it leads to the form
    """A page was asked for without a session: the answer is the way to get one."""


def views_of(request: Request) -> Views:
    """Return the views that the application was made with."""
    return cast("Views", request.app.state.views)


def page_asker(request: Request, form: FormFields) -> Asker:
    """Return who is asking for a page.

    Raises:
        SignInFirst: Nobody, or not any more.
    """
    asker = find_asker(request)
    if asker is None:
        raise SignInFirst
    check_csrf(request, asker, form)
    # Should the page fail, the page that says so keeps navigation and sign-out.
    request.state.reader = reader_of(asker)
    return asker


PageAsker = Annotated[Asker, Depends(page_asker)]
PageViews = Annotated[Views, Depends(views_of)]


def places_of(asker: Asker) -> Sequence[Place]:
    """Return where the asker may go, most wanted first."""
    return [place for permission, place in _PLACES if asker.may(permission)]


def reader_of(asker: Asker) -> Reader:
    """Return the asker as the frame of a page shows them."""
    session = asker.session
    return Reader(
        name=session.name,
        roles=sorted(str(role) for role in session.roles),
        csrf=session.csrf,
        places=places_of(asker),
    )


def see_other(href: str) -> Response:
    """Return a redirection that a browser follows with GET."""
    return RedirectResponse(href, status_code=_SEE_OTHER)


async def lead_to_sign_in(request: Request, _error: Exception) -> Response:
    """Answer a page request without a session."""
    # A link from a mail or a chat arrives without the SameSite=Strict cookie.
    # One step from our own page and the browser sends it, if there is one.
    if request.headers.get("sec-fetch-site") == "cross-site":
        return views_of(request).page(request, "continue.html", reader=None)
    target = request.url.path
    if request.url.query:
        target += "?" + request.url.query
    if request.method != "GET" or target == HOME:
        return see_other(SIGN_IN)
    return see_other(f"{SIGN_IN}?next={quote(target, safe='/')}")
