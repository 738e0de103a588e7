"""The audit trail: entries, checkpoint, tiles and the export."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Header, Path, Query
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from vault.audit.language import MAX_TEXT
from vault.audit.receipt import tlog_proof
from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    SealBrokenError,
    StepUpRequiredError,
    ThrottledError,
    TrailBrokenError,
)
from vault.core.openapi import may_answer
from vault.web.api.queries import each_once
from vault.web.api.shapes import EntryTextShape, TrailPageShape
from vault.web.identity import Rooms, SignedIn, passive
from vault.web.streaming import CuttableResponse
from vault.web.tail import TailResponse
from vault.web.trail import ProvenEntry, TrailDesk, entry_members
from vault.web.trail_export import TrailExportDesk

router = APIRouter(prefix="/api/v1/audit", dependencies=[Depends(each_once)])

MAX_INDEX: Final = 2**53 - 1


class Filters(BaseModel):
    """Members of every request that selects entries."""

    model_config = ConfigDict(extra="forbid")

    query: Annotated[str, Field(max_length=MAX_TEXT)] = ""
    "In the language of docs/reference/audit-query.md; empty for everything."


class EntriesQuery(Filters):
    """``GET /api/v1/audit/entries``."""

    cursor: Annotated[str | None, Field(max_length=20)] = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class TailQuery(Filters):
    """``GET /api/v1/audit/tail``."""

    after: Annotated[int | None, Field(ge=0, le=MAX_INDEX)] = None
    "The last index that the reader has; what was logged since is sent first."


class ExportQuery(Filters):
    """``GET /api/v1/audit/export``."""

    format: Literal["jsonl", "csv", "cef", "leef", "ocsf", "bundle"] = "jsonl"
    previous: Literal["last", "none"] = "last"
    "Whether it must be proved to go on from the asker's last export."


@router.get("/entries", response_model=TrailPageShape)
@may_answer(AccessDeniedError, AuditUnavailableError)
def list_entries(
    query: Annotated[EntriesQuery, Query()], asker: SignedIn, services: Rooms
) -> JSONResponse:
    """List entries, newest first."""
    desk = TrailDesk(services, asker)
    page = desk.page(
        desk.read(query.query).query, cursor=query.cursor, limit=query.limit
    )
    items = [entry_members(one) for one in page.items]
    return JSONResponse({"items": items, "next": page.next})


@router.get(
    "/tail",
    response_class=Response,
    responses={200: {"content": {"text/event-stream": {}}}},
)
@may_answer(AccessDeniedError, AuditUnavailableError, ThrottledError)
@passive
def follow_entries(
    query: Annotated[TailQuery, Query()],
    asker: SignedIn,
    services: Rooms,
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", max_length=20)
    ] = None,
) -> TailResponse:
    """Follow the trail: entries as server-sent events, oldest first."""
    desk = TrailDesk(services, asker)
    return TailResponse(
        services,
        asker.session.id,
        desk,
        desk.read(query.query).query,
        entry_members,
        after=resumed(last_event_id, query.after),
    )


@router.get(
    "/entries/{index}/proof",
    response_class=PlainTextResponse,
    responses={200: {"content": {"text/plain": {}}}},
)
@may_answer(AccessDeniedError, AuditUnavailableError, NotFoundError)
def show_proof(
    index: Annotated[int, Path(ge=0, le=MAX_INDEX)], asker: SignedIn, services: Rooms
) -> Response:
    """Prove that one entry is in the log: a C2SP tlog-proof, newest checkpoint."""
    proven = TrailDesk(services, asker).proven(index)
    return proof_response(proven)


@router.get("/entries/{index}/text", response_model=EntryTextShape)
@may_answer(
    AccessDeniedError,
    AuditUnavailableError,
    NotFoundError,
    SealBrokenError,
    StepUpRequiredError,
    ThrottledError,
)
def read_text(
    index: Annotated[int, Path(ge=0, le=MAX_INDEX)], asker: SignedIn, services: Rooms
) -> JSONResponse:
    """Read what people typed beside one entry: a reason, what was before and after."""
    texts = TrailDesk(services, asker).texts(index)
    return JSONResponse({"index": index, "texts": dict(texts)})


@router.get("/checkpoint", response_class=PlainTextResponse)
@may_answer(AccessDeniedError)
def show_checkpoint(asker: SignedIn, services: Rooms) -> PlainTextResponse:
    """Show the newest signed checkpoint."""
    return PlainTextResponse(TrailDesk(services, asker).checkpoint())


@router.get(
    "/export",
    response_class=Response,
    responses={
        200: {
            "content": {
                "application/jsonl": {},
                "application/zip": {},
                "text/csv": {},
                "text/plain": {},
            }
        }
    },
)
@may_answer(
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    StepUpRequiredError,
    TrailBrokenError,
)
def export_trail(
    query: Annotated[ExportQuery, Query()], asker: SignedIn, services: Rooms
) -> CuttableResponse:
    """Export the trail; whoever has the verifier key can check it offline."""
    asked = TrailDesk(services, asker).read(query.query).query
    desk = TrailExportDesk(services, asker)
    return desk.response(asked, kind=query.format, goes_on=query.previous != "none")


@router.get(
    "/tile/{path:path}",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
@may_answer(AccessDeniedError, AuditUnavailableError, NotFoundError)
def show_tile(path: str, asker: SignedIn, services: Rooms) -> Response:
    """Show one tile (``tile/0/000``) of the log."""
    return Response(
        TrailDesk(services, asker).tile(f"tile/{path}"),
        media_type="application/octet-stream",
    )


def resumed(last_event_id: str | None, after: int | None) -> int | None:
    """Return the last index that a reader has: what its browser says, or its address.

    Raises:
        InvalidInputError: The browser says what is no index.
    """
    if not last_event_id:
        return after
    if not (last_event_id.isascii() and last_event_id.isdecimal()):
        raise InvalidInputError("Last-Event-ID is the index of an entry")
    return int(last_event_id)


def proof_response(proven: ProvenEntry) -> Response:
    """Return the proof of an entry as a file to keep."""
    name = f"callvault-audit-{proven.stored.index}.tlog-proof"
    return PlainTextResponse(
        tlog_proof(proven.stored, proven.checkpoint),
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "private, no-store",
        },
    )
