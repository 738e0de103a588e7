"""Recordings: list, search, one of them, and grants on their media."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from vault.core.clock import rfc3339
from vault.core.errors import InvalidInputError
from vault.core.flow import MediaPart, RecordingState
from vault.core.ids import parse_recording_id
from vault.web.api.bodies import NewGrant, read_body
from vault.web.browse import RecordingQuery, browse_of
from vault.web.identity import Rooms, SignedIn
from vault.web.listening import Listening

router = APIRouter(prefix="/api/v1/recordings")

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
    cursor: Annotated[str | None, Field(max_length=64)] = None
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] = 50


async def _new_grant(request: Request) -> NewGrant:
    return await read_body(request, NewGrant, optional=True)


@router.get("")
def list_recordings(
    query: Annotated[ListQuery, Query()], asker: SignedIn, services: Rooms
) -> JSONResponse:
    """List what the asker may know of, newest first."""
    page = browse_of(services).find(asker, RecordingQuery(**query.model_dump()))
    items = [item.brief() for item in page.items]
    return JSONResponse({"items": items, "next": page.next})


@router.get("/{recording_id}")
def show_recording(recording_id: str, asker: SignedIn, services: Rooms) -> JSONResponse:
    """Show one recording."""
    item = browse_of(services).view(asker, parse_recording_id(recording_id))
    return JSONResponse(item.full())


@router.post("/{recording_id}/grants", status_code=201)
def open_grant(
    recording_id: str,
    body: Annotated[NewGrant, Depends(_new_grant)],
    asker: SignedIn,
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
