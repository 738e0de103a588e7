"""Classes of recordings: list, set and remove, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path
from fastapi.responses import JSONResponse, Response

from vault.access.classes import Demands, RecordingClass
from vault.access.permissions import Permission
from vault.access.policy_changes import PutClass, RemoveClass
from vault.access.second_person import Asked
from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
from vault.core.openapi import may_answer
from vault.web.administration import Changes
from vault.web.api.bodies import JsonBody
from vault.web.api.policy_answers import PENDING, answered
from vault.web.api.policy_bodies import ClassBody
from vault.web.api.policy_shapes import ClassesShape, ClassShape
from vault.web.identity import Rooms, SignedIn, insist

router = APIRouter(prefix="/api/v1/classes")

NameInPath = Annotated[str, Path(max_length=64)]


@router.get("", response_model=ClassesShape)
@may_answer(AccessDeniedError)
def list_classes(asker: SignedIn, services: Rooms) -> JSONResponse:
    """List all classes, for those who edit policy or classify recordings."""
    if not asker.may(Permission.RECORDING_CLASS_EDIT):
        insist(services, asker, PutClass.right)
    classes = services.duties.classes.list()
    return JSONResponse({"items": [one.members() for one in classes]})


@router.put("/{name}", response_model=ClassShape, responses=PENDING)
@may_answer(AccessDeniedError, AuditUnavailableError, ConflictError, InvalidInputError)
def put_class(
    name: NameInPath,
    asker: SignedIn,
    body: Annotated[ClassBody, Depends(JsonBody(shape=ClassBody))],
    services: Rooms,
) -> JSONResponse:
    """Make a class, or change what it asks for."""
    demands = Demands(reason=body.needs_reason, approval=body.needs_approval)
    change = PutClass(new=RecordingClass(name=name, demands=demands))
    outcome = Changes(services, asker).run(change)
    return answered(outcome, RecordingClass.members)


@router.delete("/{name}", status_code=204, response_class=Response, responses=PENDING)
@may_answer(AccessDeniedError, AuditUnavailableError, ConflictError, NotFoundError)
def remove_class(name: NameInPath, asker: SignedIn, services: Rooms) -> Response:
    """Take a class away that nothing names any more."""
    outcome = Changes(services, asker).run(RemoveClass(name=name))
    if isinstance(outcome, Asked):
        return answered(outcome, lambda _: {})
    return Response(status_code=204)
