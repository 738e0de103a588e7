"""Signing in and out, proving again who one is, and who else is signed in.

Guarantees: the bearer form of a session is shown only to a client that is no
browser page (no ``Sec-Fetch-*`` header), so a script injected into a page can
never read it; every sign-in, proof, refusal and end has its leaf.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from vault.access.permissions import Permission
from vault.access.policy import Session, SessionKind
from vault.access.sessions import SessionOpened
from vault.core.clock import rfc3339
from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    NotAuthenticatedError,
    NotFoundError,
    SessionLockedError,
    ThrottledError,
)
from vault.core.openapi import may_answer
from vault.edge.origin import origin_of
from vault.web.apart import apart
from vault.web.api.bodies import JsonBody, NewSession, Proof
from vault.web.api.queries import each_once
from vault.web.api.shapes import CurrentShape, IdInPath, SessionShape, SessionsShape
from vault.web.entrance import (
    Entrance,
    clear_cookie,
    set_cookie,
    shown_device,
    welcome,
)
from vault.web.identity import (
    AnySession,
    Asker,
    Rooms,
    SignedIn,
    Unfinished,
    is_fresh,
    passive,
)
from vault.web.presence import Presence
from vault.web.services import Services

router = APIRouter(prefix="/api/v1/sessions", dependencies=[Depends(each_once)])

_FETCH_METADATA: Final = "sec-fetch-"

OfUser = Annotated[str, Query(max_length=64)]
"""An id or a name; empty for oneself."""


def kind_for(request: Request) -> SessionKind:
    """Return how the session's secret will come back: a page never sees it."""
    by_page = any(name.startswith(_FETCH_METADATA) for name in request.headers)
    return SessionKind.BROWSER if by_page else SessionKind.BEARER


def opened_members(opened: SessionOpened, *, with_token: bool) -> dict[str, object]:
    """Return a session that was just opened or renewed as the API shows it."""
    session = opened.session
    members: dict[str, object] = {
        "user": session.name,
        "roles": sorted(str(role) for role in session.roles),
        "csrf": session.csrf,
        "expires": rfc3339(session.expires_ns),
    }
    return members | ({"token": opened.secret} if with_token else {})


@router.post("", status_code=201, response_model=SessionShape)
@may_answer(NotAuthenticatedError, ThrottledError, AuditUnavailableError)
@apart
def sign_in(
    request: Request,
    body: Annotated[NewSession, Depends(JsonBody(shape=NewSession))],
    services: Rooms,
) -> JSONResponse:
    """Open a session: the cookie, and for scripts the bearer token."""
    kind = kind_for(request)
    opened = Entrance(services).sign_in(
        name=body.user,
        password=body.password.get_secret_value(),
        otp=body.otp.get_secret_value() if body.otp else "",
        origin=origin_of(request.scope),
        kind=kind,
        known_device=shown_device(request),
    )
    response = JSONResponse(
        opened_members(opened, with_token=kind is SessionKind.BEARER), status_code=201
    )
    welcome(request, response, services, opened)
    return response


@router.get("", response_model=SessionsShape)
@may_answer(AccessDeniedError, NotFoundError)
def list_sessions(asker: SignedIn, services: Rooms, user: OfUser = "") -> JSONResponse:
    """List one's own sessions; with the right to it another's, or with ``*`` all."""
    return JSONResponse({"items": Presence(services, asker).items(user)})


@router.get("/current", response_model=CurrentShape)
@passive
def show_current(asker: AnySession, services: Rooms) -> JSONResponse:
    """Tell who one is and how one came in; a locked session may ask, too."""
    return JSONResponse(current_members(asker.session, services))


@router.delete("/current", status_code=204, response_class=Response)
@may_answer(NotFoundError)
def sign_out(asker: AnySession, services: Rooms) -> Response:
    """End the session that this request came with."""
    Entrance(services).sign_out(asker)
    response = Response(status_code=204)
    clear_cookie(response)
    return response


@router.post("/current/step-up", response_model=SessionShape)
@may_answer(NotFoundError, SessionLockedError, ThrottledError, AuditUnavailableError)
@apart
def step_up(
    request: Request,
    asker: Unfinished,
    body: Annotated[Proof, Depends(JsonBody(shape=Proof))],
    services: Rooms,
) -> JSONResponse:
    """Prove again who one is: the session goes on under another id and secret."""
    return _renewed(request, asker, body, services, unlocking=False)


@router.post("/current/unlock", response_model=SessionShape)
@may_answer(NotFoundError, ThrottledError, AuditUnavailableError)
@apart
def unlock(
    request: Request,
    asker: AnySession,
    body: Annotated[Proof, Depends(JsonBody(shape=Proof))],
    services: Rooms,
) -> JSONResponse:
    """Open a locked session: it goes on under another id and secret."""
    return _renewed(request, asker, body, services, unlocking=True)


@router.post("/current/lock", status_code=204, response_class=Response)
@may_answer(NotFoundError)
def lock(asker: AnySession, services: Rooms) -> Response:
    """Lock the session until its owner proves again who they are."""
    Entrance(services).lock(asker)
    return Response(status_code=204)


@router.post("/current/activity", status_code=204, response_class=Response)
def be_there(asker: SignedIn) -> Response:
    """Say that somebody is there: a page with a player asks for nothing else."""
    del asker  # being asked is what counts
    return Response(status_code=204)


@router.delete("/{session_id}", status_code=204, response_class=Response)
@may_answer(NotFoundError, AuditUnavailableError)
def end_session(session_id: IdInPath, asker: SignedIn, services: Rooms) -> Response:
    """End a session: one's own, or with the right to it anybody's."""
    Presence(services, asker).end(session_id)
    return Response(status_code=204)


def renewal(
    asker: Asker, opened: SessionOpened, *, status_code: int = 200
) -> JSONResponse:
    """Return a renewed session the way its credential came."""
    response = JSONResponse(
        opened_members(opened, with_token=not asker.by_cookie), status_code=status_code
    )
    if asker.by_cookie:
        set_cookie(response, opened.secret)
    return response


def current_members(session: Session, services: Services) -> dict[str, object]:
    """Return who *session* is, as the API shows it."""
    members: dict[str, object] = {
        "session": session.id,
        "user": session.name,
        "user_id": session.user_id,
        "kind": str(session.kind),
        "locked": session.is_locked,
        "restricted": session.is_restricted,
        "expires": rfc3339(session.expires_ns),
        "methods": list(session.methods),
    }
    if session.csrf:
        members["csrf"] = session.csrf
    if session.is_locked or session.is_restricted:
        return members
    members |= {
        "roles": sorted(str(role) for role in session.roles),
        "permissions": sorted(
            str(one) for one in Permission if session.person.holds(one)
        ),
    }
    if session.kind is not SessionKind.TOKEN:
        members["proved"] = rfc3339(session.authenticated_ns)
        members["fresh"] = is_fresh(session, services)
    return members


def _renewed(
    request: Request,
    asker: Asker,
    body: Proof,
    services: Services,
    *,
    unlocking: bool,
) -> JSONResponse:
    entrance = Entrance(services)
    methods = entrance.prove(
        asker,
        password=body.password.get_secret_value(),
        otp=body.otp.get_secret_value() if body.otp else "",
        known_device=shown_device(request),
    )
    return renewal(asker, entrance.renew(asker, methods, unlocking=unlocking))
