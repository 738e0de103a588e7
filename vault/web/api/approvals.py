"""Approvals: ask for one, list them, say yes or no."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from vault.access.approvals import ApprovalState
from vault.core.clock import rfc3339
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    GoneError,
    InvalidInputError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
)
from vault.core.flow import MediaPart
from vault.core.ids import parse_recording_id
from vault.core.openapi import may_answer
from vault.web.api.bodies import JsonBody
from vault.web.api.policy_bodies import DecisionBody, NewApprovalBody
from vault.web.api.policy_shapes import ApprovalShape, ApprovalsShape, DecisionShape
from vault.web.api.shapes import IdInPath
from vault.web.approving import ApprovalDesk
from vault.web.identity import Rooms, SignedIn

router = APIRouter(prefix="/api/v1/approvals")


@router.get("", response_model=ApprovalsShape)
@may_answer(AuditUnavailableError)
def list_approvals(asker: SignedIn, services: Rooms) -> JSONResponse:
    """List what the asker asked for, and what waits for somebody like them."""
    found = ApprovalDesk(services, asker).list()
    return JSONResponse({"items": list(found.items), "not_listed": found.not_listed})


@router.post("", status_code=201, response_model=ApprovalShape)
@may_answer(
    AuditUnavailableError,
    ConflictError,
    GoneError,
    InvalidInputError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
)
def ask_for_approval(
    asker: SignedIn,
    body: Annotated[NewApprovalBody, Depends(JsonBody(shape=NewApprovalBody))],
    services: Rooms,
) -> JSONResponse:
    """Ask somebody to agree that a part of a recording is played."""
    try:
        part = MediaPart(body.media)
    except ValueError:
        raise InvalidInputError("media: audio, screen, peaks or capture") from None
    desk = ApprovalDesk(services, asker)
    asked = desk.ask(parse_recording_id(body.recording), part, reason=body.reason)
    return JSONResponse(desk.members(asked), status_code=201)


@router.post("/{approval_id}/decision", response_model=DecisionShape)
@may_answer(AuditUnavailableError, ConflictError, InvalidInputError, NotFoundError)
def decide_approval(
    approval_id: IdInPath,
    asker: SignedIn,
    body: Annotated[DecisionBody, Depends(JsonBody(shape=DecisionBody))],
    services: Rooms,
) -> JSONResponse:
    """Say yes or no to what somebody else asked for; a yes to a change makes it."""
    desk = ApprovalDesk(services, asker)
    half = desk.decide(approval_id, approve=body.approve, reason=body.reason)
    state = ApprovalState.APPROVED if body.approve else ApprovalState.REFUSED
    members = {"id": approval_id, "state": str(state)}
    if half is not None:
        members |= {
            "user": half.user_id,
            "code_half": half.second,
            "expires": rfc3339(half.expires_ns),
        }
    return JSONResponse(members)
