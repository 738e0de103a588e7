"""Workgroups: list, add, rename, move in the tree, give a class."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from vault.access.permissions import Permission
from vault.access.policy_changes import AddWorkgroup, SetWorkgroup
from vault.access.workgroups import Workgroup
from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
from vault.core.ids import WorkgroupId
from vault.core.openapi import may_answer
from vault.web.administration import Changes
from vault.web.api.bodies import JsonBody
from vault.web.api.people_bodies import (
    NewWorkgroupBody,
    WorkgroupBody,
    WorkgroupShape,
    WorkgroupsShape,
)
from vault.web.api.policy_answers import PENDING, answered
from vault.web.api.shapes import IdInPath
from vault.web.identity import Rooms, SignedIn, insist

router = APIRouter(prefix="/api/v1/workgroups")


@router.get("", response_model=WorkgroupsShape)
@may_answer(AccessDeniedError)
def list_workgroups(asker: SignedIn, services: Rooms) -> JSONResponse:
    """List all workgroups by name, for those who edit policy or people."""
    if not asker.may(Permission.ACCESS_USER_EDIT):
        insist(services, asker, Permission.ACCESS_POLICY_EDIT)
    return JSONResponse(
        {"items": [_members(one) for one in services.workgroups.list()]}
    )


@router.post("", status_code=201, response_model=WorkgroupShape, responses=PENDING)
@may_answer(
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
def add_workgroup(
    asker: SignedIn,
    body: Annotated[NewWorkgroupBody, Depends(JsonBody(shape=NewWorkgroupBody))],
    services: Rooms,
) -> JSONResponse:
    """Add a workgroup."""
    change = AddWorkgroup(
        name=body.name, parent_id=body.parent or "", class_name=body.class_name
    )
    return answered(Changes(services, asker).run(change), _members, status=201)


@router.patch("/{workgroup_id}", response_model=WorkgroupShape, responses=PENDING)
@may_answer(
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
def change_workgroup(
    workgroup_id: IdInPath,
    asker: SignedIn,
    body: Annotated[WorkgroupBody, Depends(JsonBody(shape=WorkgroupBody))],
    services: Rooms,
) -> JSONResponse:
    """Rename a workgroup, move it, or say of which class its calls are.

    A null parent or class takes it away; a member that is left out stays as it is.
    """
    given = body.model_fields_set
    change = SetWorkgroup(
        workgroup_id=WorkgroupId(workgroup_id),
        name=body.name,
        parent_id=(body.parent or "") if "parent" in given else None,
        class_name=(body.class_name or "") if "class_name" in given else None,
    )
    return answered(Changes(services, asker).run(change), _members)


def _members(group: Workgroup) -> dict[str, object]:
    return {
        "id": group.id,
        "name": group.name,
        "parent": group.parent_id,
        "class": group.class_name or None,
    }
