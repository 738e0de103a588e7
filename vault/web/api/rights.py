"""Rights: list, give and revoke, for administrators and their scripts."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from vault.access.policy_changes import GiveRight, RevokeRight
from vault.access.right_words import RightNames, RightWords, moment_ns
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
from vault.web.api.policy_bodies import NewRightBody
from vault.web.api.policy_shapes import RightShape, RightsShape
from vault.web.api.shapes import IdInPath
from vault.web.identity import Rooms, SignedIn, insist

router = APIRouter(prefix="/api/v1/rights")


@router.get("", response_model=RightsShape)
@may_answer(AccessDeniedError)
def list_rights(asker: SignedIn, services: Rooms) -> JSONResponse:
    """List all rights that have not ended, oldest first."""
    insist(services, asker, GiveRight.right)
    names = RightNames.of(services.people, services.workgroups)
    rights = services.duties.rights.list()
    return JSONResponse({"items": [names.members(one) for one in rights]})


@router.post("", status_code=201, response_model=RightShape, responses=PENDING)
@may_answer(
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
def give_right(
    asker: SignedIn,
    body: Annotated[NewRightBody, Depends(JsonBody(shape=NewRightBody))],
    services: Rooms,
) -> JSONResponse:
    """Give somebody a right; one that opens calls to the asker waits."""
    insist(services, asker, GiveRight.right)
    new = RightWords(people=services.people, workgroups=services.workgroups).read(
        to=body.to,
        permission=body.permission,
        over=body.over,
        from_ns=moment_ns(body.valid_from) if body.valid_from else 0,
        until_ns=moment_ns(body.until) if body.until else None,
    )
    outcome = Changes(services, asker).run(GiveRight(new=new))
    names = RightNames.of(services.people, services.workgroups)
    return answered(outcome, names.members, status=201)


@router.delete(
    "/{right_id}", status_code=204, response_class=Response, responses=PENDING
)
@may_answer(AccessDeniedError, AuditUnavailableError, ConflictError, NotFoundError)
def revoke_right(right_id: IdInPath, asker: SignedIn, services: Rooms) -> Response:
    """Take a right away, at once."""
    outcome = Changes(services, asker).run(RevokeRight(right_id=right_id))
    if isinstance(outcome, Asked):  # taking away opens nothing: no way leads here
        return answered(outcome, lambda _: {})
    return Response(status_code=204)
