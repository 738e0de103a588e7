"""Break-glass: open, look, end."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response

from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    StepUpRequiredError,
)
from vault.core.ids import UserId
from vault.core.openapi import may_answer
from vault.web.api.bodies import JsonBody
from vault.web.api.policy_bodies import ReasonBody
from vault.web.api.policy_shapes import EmergenciesShape, EmergencyShape
from vault.web.emergencies import EmergencyDesk
from vault.web.identity import Rooms, SignedIn

router = APIRouter(prefix="/api/v1/emergency")


@router.get("", response_model=EmergenciesShape)
@may_answer()
def list_emergencies(asker: SignedIn, services: Rooms) -> JSONResponse:
    """List what is open: all of it for those who watch over policy, else one's own."""
    return JSONResponse({"items": EmergencyDesk(services, asker).list()})


@router.post("", status_code=201, response_model=EmergencyShape)
@may_answer(
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    StepUpRequiredError,
)
def break_glass(
    asker: SignedIn,
    body: Annotated[ReasonBody, Depends(JsonBody(shape=ReasonBody))],
    services: Rooms,
) -> JSONResponse:
    """Hear everything for a while, with an alarm."""
    desk = EmergencyDesk(services, asker)
    return JSONResponse(desk.members(desk.open(reason=body.reason)), status_code=201)


@router.delete("", status_code=204, response_class=Response)
@may_answer(AuditUnavailableError, NotFoundError)
def end_emergency(
    asker: SignedIn,
    services: Rooms,
    user: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """End one's own, or, for those who watch over policy, that of *user*."""
    EmergencyDesk(services, asker).end(None if user is None else UserId(user))
    return Response(status_code=204)
