"""Passkeys instead of a password: to sign in, to prove again who one is, to unlock.

Guarantees: each is asked and answered once, by one browser, for one purpose.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse

from vault.access.ceremonies import CeremonyKind
from vault.access.policy import SessionKind
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    NotAuthenticatedError,
    NotFoundError,
    SessionLockedError,
    ThrottledError,
    UnavailableError,
)
from vault.core.openapi import may_answer
from vault.edge.origin import origin_of
from vault.web.api.bodies import JsonBody
from vault.web.api.factor_shapes import (
    AskedPasskey,
    PasskeyAskedShape,
    ProvedPasskey,
    ShownPasskey,
)
from vault.web.api.sessions import kind_for, opened_members, renewal
from vault.web.api.shapes import SessionShape
from vault.web.entrance import welcome
from vault.web.identity import AnySession, Rooms
from vault.web.passkeys import KINDS, PasskeyGate, bind, bound, host_of, release

router = APIRouter(prefix="/api/v1/sessions")

_SIGN_IN = CeremonyKind.PASSKEY_SIGN_IN


@router.post("/passkey", response_model=PasskeyAskedShape)
@may_answer(ConflictError, ThrottledError)
def ask_to_sign_in(request: Request, services: Rooms) -> JSONResponse:
    """Ask the browser for anybody's passkey; the answer's cookie binds it."""
    begun = PasskeyGate(services).ask(_SIGN_IN, host_of(request))
    response = JSONResponse({"options": begun.options})
    bind(response, _SIGN_IN, begun.secret)
    return response


@router.post("/passkey/confirmation", status_code=201, response_model=SessionShape)
@may_answer(
    NotAuthenticatedError, ThrottledError, UnavailableError, AuditUnavailableError
)
def sign_in_by_passkey(
    request: Request,
    body: Annotated[ShownPasskey, Depends(JsonBody(shape=ShownPasskey))],
    services: Rooms,
) -> JSONResponse:
    """Open a session for whose passkey it is: possession and verification are two."""
    kind = kind_for(request)
    opened = PasskeyGate(services).sign_in(
        bound(request, _SIGN_IN),
        body.credential,
        origin=origin_of(request.scope),
        kind=kind,
    )
    members = opened_members(opened, with_token=kind is SessionKind.BEARER)
    response = JSONResponse(members, status_code=201)
    welcome(request, response, services, opened)
    release(response, _SIGN_IN)
    return response


@router.post("/current/passkey", response_model=PasskeyAskedShape)
@may_answer(ConflictError, NotFoundError, ThrottledError)
def ask_again(
    request: Request,
    asker: AnySession,
    body: Annotated[AskedPasskey, Depends(JsonBody(shape=AskedPasskey))],
    services: Rooms,
) -> JSONResponse:
    """Ask the browser for a passkey of one's own."""
    kind = KINDS[body.purpose]
    begun = PasskeyGate(services).ask(kind, host_of(request), asker)
    response = JSONResponse({"options": begun.options})
    bind(response, kind, begun.secret)
    return response


@router.post("/current/passkey/confirmation", response_model=SessionShape)
@may_answer(
    NotAuthenticatedError,
    NotFoundError,
    SessionLockedError,
    ThrottledError,
    AuditUnavailableError,
)
def prove_again(
    request: Request,
    asker: AnySession,
    body: Annotated[ProvedPasskey, Depends(JsonBody(shape=ProvedPasskey))],
    services: Rooms,
) -> JSONResponse:
    """Prove who one is, or unlock: the session goes on under another id and secret."""
    kind = KINDS[body.purpose]
    opened = PasskeyGate(services).renew(
        asker, kind, bound(request, kind), body.credential
    )
    response = renewal(asker, opened)
    release(response, kind)
    return response
