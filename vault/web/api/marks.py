"""What officers mark recordings with: holds and classes."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from vault.catalog.values import RecordingRow
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    GoneError,
    InvalidInputError,
    NotFoundError,
    StepUpRequiredError,
)
from vault.core.ids import parse_recording_id
from vault.core.openapi import may_answer
from vault.web.api.bodies import JsonBody
from vault.web.api.policy_answers import PENDING, answered
from vault.web.api.policy_bodies import ClassifyBody, ReasonBody
from vault.web.api.policy_shapes import ClassifiedShape, HeldShape
from vault.web.api.shapes import IdInPath
from vault.web.identity import Rooms, SignedIn
from vault.web.marking import Marking

router = APIRouter(prefix="/api/v1/recordings")

Why = Annotated[ReasonBody, Depends(JsonBody(shape=ReasonBody))]


@router.put("/{recording_id}/hold", response_model=HeldShape)
@may_answer(AuditUnavailableError, GoneError, InvalidInputError, NotFoundError)
def place_hold(
    recording_id: IdInPath, asker: SignedIn, body: Why, services: Rooms
) -> JSONResponse:
    """Put a recording under legal hold: nothing erases it until that is released."""
    marking = Marking(services, asker)
    return JSONResponse(
        _held(marking.hold(parse_recording_id(recording_id), reason=body.reason))
    )


@router.delete("/{recording_id}/hold", response_model=HeldShape)
@may_answer(
    AuditUnavailableError,
    GoneError,
    InvalidInputError,
    NotFoundError,
    StepUpRequiredError,
)
def release_hold(
    recording_id: IdInPath, asker: SignedIn, body: Why, services: Rooms
) -> JSONResponse:
    """End a legal hold."""
    marking = Marking(services, asker)
    return JSONResponse(
        _held(marking.release(parse_recording_id(recording_id), reason=body.reason))
    )


@router.patch("/{recording_id}", response_model=ClassifiedShape, responses=PENDING)
@may_answer(AuditUnavailableError, ConflictError, InvalidInputError, NotFoundError)
def classify_recording(
    recording_id: IdInPath,
    asker: SignedIn,
    body: Annotated[ClassifyBody, Depends(JsonBody(shape=ClassifyBody))],
    services: Rooms,
) -> JSONResponse:
    """Say of which class a recording is; null: of that of its workgroup."""
    outcome = Marking(services, asker).classify(
        parse_recording_id(recording_id), body.class_name
    )
    return answered(outcome, lambda row: {"id": row.id, "class": row.class_name})


def _held(row: RecordingRow) -> dict[str, object]:
    return {"id": row.id, "held": row.held}
