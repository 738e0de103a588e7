"""Recordings: list, search, one of them, and grants on their media."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from vault.core.clock import rfc3339
from vault.core.errors import (
    ApprovalRequiredError,
    AuditUnavailableError,
    GoneError,
    InvalidInputError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
    ReasonRequiredError,
    StepUpRequiredError,
)
from vault.core.flow import MediaPart, RecordingState
from vault.core.ids import parse_recording_id
from vault.core.openapi import may_answer
from vault.web.api.bodies import JsonBody, NewGrant
from vault.web.api.queries import each_once
from vault.web.api.shapes import (
    GrantShape,
    IdInPath,
    RecordingFull,
    RecordingsPage,
)
from vault.web.browse import RecordingQuery, browse_of
from vault.web.identity import Rooms, SignedIn
from vault.web.listening import Listening

router = APIRouter(prefix="/api/v1/recordings", dependencies=[Depends(each_once)])

MAX_LIMIT = 200


class ListQuery(BaseModel):
    """``GET /api/v1/recordings``: an unknown parameter is refused, not ignored."""

    model_config = ConfigDict(extra="forbid", populate_by_name=False)

    from_day: Annotated[str | None, Field(alias="from", max_length=40)] = None
    to_day: Annotated[str | None, Field(alias="to", max_length=40)] = None
    party: Annotated[str | None, Field(min_length=1, max_length=128)] = None
    agent: Annotated[str | None, Field(min_length=1, max_length=256)] = None
    workgroup: Annotated[str | None, Field(min_length=1, max_length=64)] = None
    state: RecordingState | None = None
    class_name: Annotated[str | None, Field(alias="class", max_length=32)] = None
    cursor: Annotated[str | None, Field(max_length=64)] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 50


@router.get("", response_model=RecordingsPage)
@may_answer(AuditUnavailableError)
def list_recordings(
    query: Annotated[ListQuery, Query()], asker: SignedIn, services: Rooms
) -> JSONResponse:
    """List what the asker may know of, newest first."""
    page = browse_of(services).find(asker, RecordingQuery(**query.model_dump()))
    items = [item.brief() for item in page.items]
    return JSONResponse({"items": items, "next": page.next})


@router.get("/{recording_id}", response_model=RecordingFull)
@may_answer(NotFoundError, AuditUnavailableError)
def show_recording(
    recording_id: IdInPath, asker: SignedIn, services: Rooms
) -> JSONResponse:
    """Show one recording."""
    item = browse_of(services).view(asker, parse_recording_id(recording_id))
    return JSONResponse(item.full())


@router.post("/{recording_id}/grants", status_code=201, response_model=GrantShape)
@may_answer(
    NotFoundError,
    NotReadyError,
    NoMediaError,
    GoneError,
    ApprovalRequiredError,
    ReasonRequiredError,
    StepUpRequiredError,
)
def open_grant(
    recording_id: IdInPath,
    asker: SignedIn,
    body: Annotated[NewGrant, Depends(JsonBody(shape=NewGrant, optional=True))],
    services: Rooms,
) -> JSONResponse:
    """Ask for one part of one recording before fetching it."""
    try:
        part = MediaPart(body.media)
    except ValueError:
        raise InvalidInputError("media: audio, screen, peaks or capture") from None
    grant = Listening(services, asker).grant(
        parse_recording_id(recording_id), part, reason=body.reason
    )
    return JSONResponse(
        {"grant": grant.id, "expires": rfc3339(grant.expires_ns)}, status_code=201
    )
