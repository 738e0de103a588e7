"""Signing in and out, and personal access tokens.

Guarantees: the bearer form of a session is shown only to a client that is no
browser page (no ``Sec-Fetch-*`` header), so a script injected into a page can
never read it; every sign-in, refusal and end has its leaf.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from vault.access.policy import SessionKind
from vault.core.clock import rfc3339
from vault.web.api.bodies import NewSession, NewToken, read_body
from vault.web.edge import origin_of
from vault.web.entrance import Entrance, clear_cookie, set_cookie
from vault.web.identity import Rooms, SignedIn

router = APIRouter(prefix="/api/v1")

_FETCH_METADATA: Final = "sec-fetch-"


async def _new_session(request: Request) -> NewSession:
    return await read_body(request, NewSession)


async def _new_token(request: Request) -> NewToken:
    return await read_body(request, NewToken)


@router.post("/sessions", status_code=201)
def sign_in(
    request: Request,
    body: Annotated[NewSession, Depends(_new_session)],
    services: Rooms,
) -> JSONResponse:
    """Open a session: the cookie, and for scripts the bearer token."""
    for_script = not any(name.startswith(_FETCH_METADATA) for name in request.headers)
    opened = Entrance(services).sign_in(
        name=body.user,
        password=body.password.get_secret_value(),
        origin=origin_of(request.scope),
        kind=SessionKind.BEARER if for_script else SessionKind.BROWSER,
    )
    session = opened.session
    members: dict[str, object] = {
        "user": session.name,
        "roles": sorted(str(role) for role in session.roles),
        "csrf": session.csrf,
        "expires": rfc3339(session.expires_ns),
    }
    if for_script:
        members["token"] = opened.secret
    response = JSONResponse(members, status_code=201)
    set_cookie(response, opened.secret)
    return response


@router.delete("/sessions/current", status_code=204)
def sign_out(asker: SignedIn, services: Rooms) -> Response:
    """End the session that this request came with."""
    Entrance(services).sign_out(asker)
    response = Response(status_code=204)
    clear_cookie(response)
    return response


@router.post("/tokens", status_code=201)
def add_token(
    body: Annotated[NewToken, Depends(_new_token)], asker: SignedIn, services: Rooms
) -> JSONResponse:
    """Make a personal access token; its secret is shown this once."""
    members = Entrance(services).add_token(asker, name=body.name, ttl_s=body.ttl_s)
    return JSONResponse(members, status_code=201)


@router.get("/tokens")
def list_tokens(asker: SignedIn, services: Rooms) -> dict[str, object]:
    """List the asker's own tokens, without their secrets."""
    return {"items": Entrance(services).tokens(asker)}


@router.delete("/tokens/{token_id}", status_code=204)
def revoke_token(token_id: str, asker: SignedIn, services: Rooms) -> Response:
    """Revoke one of the asker's own tokens."""
    Entrance(services).revoke_token(asker, token_id)
    return Response(status_code=204)
