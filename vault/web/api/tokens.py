"""Personal access tokens: one's own, and others' to whoever ends those."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    NotFoundError,
    StepUpRequiredError,
)
from vault.core.openapi import may_answer
from vault.web.api.bodies import JsonBody, NewToken
from vault.web.api.queries import each_once
from vault.web.api.sessions import OfUser
from vault.web.api.shapes import IdInPath, TokenMade, TokensShape
from vault.web.identity import Rooms, SignedIn
from vault.web.tokens import TokenDesk

router = APIRouter(prefix="/api/v1/tokens", dependencies=[Depends(each_once)])


@router.post("", status_code=201, response_model=TokenMade)
@may_answer(
    AccessDeniedError, ConflictError, StepUpRequiredError, AuditUnavailableError
)
def add_token(
    asker: SignedIn,
    body: Annotated[NewToken, Depends(JsonBody(shape=NewToken))],
    services: Rooms,
) -> JSONResponse:
    """Make a personal access token; its secret is shown this once."""
    members = TokenDesk(services, asker).add(
        name=body.name, ttl_s=body.ttl_s, permissions=body.permissions
    )
    return JSONResponse(members, status_code=201)


@router.get("", response_model=TokensShape)
@may_answer(AccessDeniedError, NotFoundError)
def list_tokens(asker: SignedIn, services: Rooms, user: OfUser = "") -> JSONResponse:
    """List one's own tokens, or with the right to it another's, without secrets."""
    return JSONResponse({"items": TokenDesk(services, asker).items(user)})


@router.delete("/{token_id}", status_code=204, response_class=Response)
@may_answer(NotFoundError, AuditUnavailableError)
def revoke_token(token_id: IdInPath, asker: SignedIn, services: Rooms) -> Response:
    """Revoke a token: one's own, or with the right to it anybody's."""
    TokenDesk(services, asker).revoke(token_id)
    return Response(status_code=204)
