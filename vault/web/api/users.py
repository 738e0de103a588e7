"""People: list, add, change, shut, and codes with which they choose a password."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from vault.access.changes import Change
from vault.access.people import PersonAdded, PersonChanged
from vault.access.people_changes import AddPerson, ReopenPerson, SetPerson, ShutPerson
from vault.access.permissions import Role
from vault.access.sources import check_source
from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    ThrottledError,
)
from vault.core.ids import UserId
from vault.core.openapi import may_answer
from vault.edge.origin import origin_of
from vault.web.administration import Changes
from vault.web.api.bodies import JsonBody
from vault.web.api.people_bodies import (
    ActivationBody,
    CodeShape,
    HalfCodeShape,
    NewPersonBody,
    PeopleShape,
    PersonBody,
    PersonShape,
)
from vault.web.api.policy_answers import PENDING, answered
from vault.web.api.shapes import IdInPath
from vault.web.identity import Rooms, SignedIn
from vault.web.people import ActivationDesk, CodeGiven, PeopleDesk

router = APIRouter(prefix="/api/v1")


@router.get("/users", response_model=PeopleShape)
@may_answer(AccessDeniedError)
def list_people(asker: SignedIn, services: Rooms) -> JSONResponse:
    """List everybody by name, disabled people included."""
    return JSONResponse({"items": PeopleDesk(services, asker).list()})


@router.post("/users", status_code=201, response_model=PersonShape, responses=PENDING)
@may_answer(AccessDeniedError, AuditUnavailableError, ConflictError, InvalidInputError)
def add_person(
    asker: SignedIn,
    body: Annotated[NewPersonBody, Depends(JsonBody(shape=NewPersonBody))],
    services: Rooms,
) -> JSONResponse:
    """Add somebody, without a password: give them a code to choose one."""
    desk = PeopleDesk(services, asker)
    check_source(body.source, body.external_id)
    outcome = Changes(services, asker).run(
        AddPerson(
            name=body.name,
            roles=_roles(body.roles),
            workgroups=tuple(body.workgroups),
            source=body.source,
            external_id=body.external_id,
        )
    )

    def members(added: PersonAdded) -> dict[str, object]:
        return desk.members(added.person)

    return answered(outcome, members, status=201)


@router.get("/users/{user_id}", response_model=PersonShape)
@may_answer(AccessDeniedError, NotFoundError)
def show_person(user_id: IdInPath, asker: SignedIn, services: Rooms) -> JSONResponse:
    """Show one person."""
    return JSONResponse(PeopleDesk(services, asker).show(UserId(user_id)))


@router.patch("/users/{user_id}", response_model=PersonShape, responses=PENDING)
@may_answer(
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
def change_person(
    user_id: IdInPath,
    asker: SignedIn,
    body: Annotated[PersonBody, Depends(JsonBody(shape=PersonBody))],
    services: Rooms,
) -> JSONResponse:
    """Replace roles or workgroups, or shut or open the account."""
    desk = PeopleDesk(services, asker)

    def members(changed: PersonChanged) -> dict[str, object]:
        return desk.members(changed.after)

    change = _change_of(UserId(user_id), body)
    return answered(Changes(services, asker).run(change), members)


@router.post(
    "/users/{user_id}/code",
    status_code=201,
    response_model=CodeShape,
    responses={
        202: {"model": HalfCodeShape, "description": "Half a code: the rest waits"}
    },
)
@may_answer(AccessDeniedError, AuditUnavailableError, ConflictError, NotFoundError)
def make_code(user_id: IdInPath, asker: SignedIn, services: Rooms) -> JSONResponse:
    """Make a code with which the person chooses a password; it is shown this once."""
    given = PeopleDesk(services, asker).give_code(UserId(user_id))
    return JSONResponse(code_members(given), status_code=202 if given.asked else 201)


@router.post("/activations", status_code=204, response_class=Response)
@may_answer(
    NotAuthenticatedError, ThrottledError, InvalidInputError, AuditUnavailableError
)
def choose_password(
    request: Request,
    body: Annotated[ActivationBody, Depends(JsonBody(shape=ActivationBody))],
    services: Rooms,
) -> Response:
    """Choose a password with a code; signing in comes after."""
    ActivationDesk(services).choose(
        body.user,
        body.code.get_secret_value(),
        body.password.get_secret_value(),
        origin_of(request.scope),
    )
    return Response(status_code=204)


def code_members(given: CodeGiven) -> dict[str, object]:
    """Return a code, or half of one, as the API shows it."""
    found: dict[str, object] = {"user": given.user_id, "expires": given.expires}
    if given.asked is None:
        return found | {"code": given.code}
    return found | {
        "code_half": given.code,
        "approval": given.asked.approval.id,
        "gains": sorted(map(str, given.asked.gains)),
    }


def _change_of(user_id: UserId, body: PersonBody) -> Change[PersonChanged]:
    others = body.roles is not None or body.workgroups is not None
    if body.disabled is None and others:
        return SetPerson(
            user_id=user_id,
            roles=None if body.roles is None else _roles(body.roles),
            workgroups=None if body.workgroups is None else tuple(body.workgroups),
        )
    if body.disabled is None or others:
        raise InvalidInputError("change roles and workgroups, or disabled")
    shut_or_open = ShutPerson if body.disabled else ReopenPerson
    return shut_or_open(user_id=user_id)


def _roles(names: list[str]) -> frozenset[Role]:
    try:
        return frozenset(map(Role, names))
    except ValueError:
        raise InvalidInputError("roles: " + ", ".join(Role)) from None
