"""Extensions: list, set, remove and try, for administrators and their scripts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response

from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
from vault.core.openapi import may_answer
from vault.web.api.bodies import JsonBody, NewExtension
from vault.web.api.queries import each_once
from vault.web.api.shapes import (
    ExtensionFound,
    ExtensionShape,
    ExtensionsShape,
    IdInPath,
)
from vault.web.extensions import ExtensionDesk
from vault.web.identity import Rooms, SignedIn

router = APIRouter(prefix="/api/v1/extensions", dependencies=[Depends(each_once)])


@router.get("", response_model=ExtensionsShape)
@may_answer(AccessDeniedError)
def list_extensions(asker: SignedIn, services: Rooms) -> JSONResponse:
    """List all entries by pattern."""
    entries = ExtensionDesk(services, asker).list()
    return JSONResponse({"items": [one.members() for one in entries]})


@router.get("/match", response_model=ExtensionFound)
@may_answer(AccessDeniedError)
def match_extension(
    asker: SignedIn,
    services: Rooms,
    address: Annotated[str, Query(min_length=1, max_length=512)],
) -> JSONResponse:
    """Say whose an address is."""
    found = ExtensionDesk(services, asker).match(address)
    return JSONResponse({"extension": None if found is None else found.members()})


@router.post(
    "",
    response_model=ExtensionShape,
    responses={201: {"model": ExtensionShape, "description": "A new entry"}},
)
@may_answer(AccessDeniedError, AuditUnavailableError, ConflictError, InvalidInputError)
def set_extension(
    asker: SignedIn,
    body: Annotated[NewExtension, Depends(JsonBody(shape=NewExtension))],
    services: Rooms,
) -> JSONResponse:
    """Make an entry, or replace what its pattern stands for."""
    changed = ExtensionDesk(services, asker).put(
        body.pattern, agent=body.agent, workgroup=body.workgroup
    )
    status = 200 if changed.before else 201
    return JSONResponse(changed.entry.members(), status_code=status)


@router.delete("/{extension_id}", status_code=204, response_class=Response)
@may_answer(AccessDeniedError, AuditUnavailableError, ConflictError, NotFoundError)
def remove_extension(
    extension_id: IdInPath, asker: SignedIn, services: Rooms
) -> Response:
    """Take an entry away."""
    ExtensionDesk(services, asker).remove(extension_id)
    return Response(status_code=204)
