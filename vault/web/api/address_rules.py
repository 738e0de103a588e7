"""Rules about addresses: list, add and remove, for administrators."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response

from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
)
from vault.core.openapi import may_answer
from vault.web.address_rules import AddressRuleDesk
from vault.web.api.bodies import JsonBody, NewAddressRule
from vault.web.api.shapes import AddressRuleShape, AddressRulesShape, IdInPath
from vault.web.identity import Rooms, SignedIn

router = APIRouter(prefix="/api/v1/address-rules")


@router.get("", response_model=AddressRulesShape)
@may_answer(AccessDeniedError)
def list_address_rules(asker: SignedIn, services: Rooms) -> JSONResponse:
    """List all rules by listener, verdict and prefix."""
    rules = AddressRuleDesk(services, asker).list()
    return JSONResponse({"items": [one.members() for one in rules]})


@router.post("", status_code=201, response_model=AddressRuleShape)
@may_answer(AccessDeniedError, AuditUnavailableError, ConflictError, InvalidInputError)
def add_address_rule(
    asker: SignedIn,
    body: Annotated[NewAddressRule, Depends(JsonBody(shape=NewAddressRule))],
    services: Rooms,
) -> JSONResponse:
    """Make a rule, unless it would shut out who makes it."""
    changed = AddressRuleDesk(services, asker).add(
        body.listener, body.verdict, body.prefix
    )
    return JSONResponse(changed.rule.members(), status_code=201)


@router.delete("/{rule_id}", status_code=204, response_class=Response)
@may_answer(AccessDeniedError, AuditUnavailableError, ConflictError, NotFoundError)
def remove_address_rule(
    rule_id: IdInPath, asker: SignedIn, services: Rooms
) -> Response:
    """Take a rule away, unless what is left would shut out who does it."""
    AddressRuleDesk(services, asker).remove(rule_id)
    return Response(status_code=204)
