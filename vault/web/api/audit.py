"""The audit trail: entries, checkpoint, tiles and the export."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from vault.core.errors import InvalidInputError
from vault.web.identity import Rooms, SignedIn
from vault.web.streaming import CuttableResponse
from vault.web.trail import (
    QUERY_MEMBERS,
    TrailDesk,
    TrailFilter,
    entry_members,
    parse_query,
)

router = APIRouter(prefix="/api/v1/audit")

_Text = Annotated[str, Field(max_length=128)]


class Filters(BaseModel):
    """Members of every request that selects entries."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(max_length=512)] = ""
    actor: _Text = ""
    action: _Text = ""
    recording: _Text = ""
    result: _Text = ""
    since: _Text = ""
    until: _Text = ""

    def wanted(self) -> TrailFilter:
        """Return both spellings as one filter.

        Raises:
            InvalidInputError: A member is given both ways, or the query is none.
        """
        given = {name: getattr(self, name) for name in QUERY_MEMBERS}
        given = {name: value for name, value in given.items() if value}
        asked = parse_query(self.query).members()
        if given.keys() & asked.keys():
            raise InvalidInputError("a member stands in the query and beside it")
        return TrailFilter(**asked, **given)


class EntriesQuery(Filters):
    """``GET /api/v1/audit/entries``."""

    cursor: Annotated[str | None, Field(max_length=20)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class ExportQuery(Filters):
    """``GET /api/v1/audit/export``."""

    format: Literal["jsonl"] = "jsonl"


@router.get("/entries")
def list_entries(
    query: Annotated[EntriesQuery, Query()], asker: SignedIn, services: Rooms
) -> JSONResponse:
    """List entries, newest first."""
    page = TrailDesk(services, asker).page(
        query.wanted(), cursor=query.cursor, limit=query.limit
    )
    items = [entry_members(one) for one in page.items]
    return JSONResponse({"items": items, "next": page.next})


@router.get("/checkpoint")
def show_checkpoint(asker: SignedIn, services: Rooms) -> PlainTextResponse:
    """Show the newest signed checkpoint."""
    return PlainTextResponse(TrailDesk(services, asker).checkpoint())


@router.get("/export")
def export_trail(
    query: Annotated[ExportQuery, Query()], asker: SignedIn, services: Rooms
) -> CuttableResponse:
    """Export the trail; whoever has the verifier key can check it offline."""
    return export_response(TrailDesk(services, asker), query.wanted())


@router.get("/tile/{path:path}")
def show_tile(path: str, asker: SignedIn, services: Rooms) -> Response:
    """Show one tile (``tile/0/000``) of the log."""
    return Response(
        TrailDesk(services, asker).tile(f"tile/{path}"),
        media_type="application/octet-stream",
    )


def export_response(desk: TrailDesk, wanted: TrailFilter) -> CuttableResponse:
    """Return the export as a file to keep."""
    return CuttableResponse(
        desk.export(wanted),
        status_code=200,
        headers={
            "Content-Type": "application/jsonl",
            "Content-Disposition": 'attachment; filename="callvault-audit.jsonl"',
            "Cache-Control": "private, no-store",
        },
    )
