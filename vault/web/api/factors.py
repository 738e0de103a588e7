"""Second factors: one's own, and resetting another's.

Guarantees: a half sign-in reaches nothing here but seeing what is set up, adding a
first factor, and giving the one that is; secrets are shown once, by the call that
made them.
"""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from vault.access.ceremonies import CeremonyKind
from vault.access.sessions import SessionOpened
from vault.core.errors import (
    AccessDeniedError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
    SecondFactorRequiredError,
    StepUpRequiredError,
    ThrottledError,
)
from vault.core.openapi import may_answer
from vault.web.api.bodies import JsonBody
from vault.web.api.factor_shapes import (
    CodeBody,
    FactorsShape,
    NewPasskey,
    PasskeyAskedShape,
    RecoveryCodesShape,
    TotpBegunShape,
)
from vault.web.api.sessions import opened_members, renewal
from vault.web.api.shapes import IdInPath, SessionShape
from vault.web.entrance import set_cookie, shown_device
from vault.web.factors import FactorDesk, reset_factors
from vault.web.identity import Asker, Rooms, SignedIn, Unfinished
from vault.web.passkeys import PasskeyGate, bind, bound, host_of, release
from vault.web.services import Services

router = APIRouter(prefix="/api/v1")


@router.get("/factors", response_model=FactorsShape)
@may_answer(AccessDeniedError)
def list_factors(asker: Unfinished, services: Rooms) -> JSONResponse:
    """Tell which second factors one has set up, without their secrets."""
    return JSONResponse(FactorDesk(services, asker).members())


@router.post("/factors/totp", response_model=TotpBegunShape)
@may_answer(AccessDeniedError, SecondFactorRequiredError, StepUpRequiredError)
def begin_totp(asker: Unfinished, services: Rooms) -> JSONResponse:
    """Make a secret for an authenticator app; it counts once a code was shown."""
    return JSONResponse(FactorDesk(services, asker).begin_totp())


@router.post("/factors/totp/confirmation", status_code=201, response_model=FactorsShape)
@may_answer(
    AccessDeniedError,
    SecondFactorRequiredError,
    StepUpRequiredError,
    AuditUnavailableError,
)
def confirm_totp(
    asker: Unfinished,
    body: Annotated[CodeBody, Depends(JsonBody(shape=CodeBody))],
    services: Rooms,
) -> JSONResponse:
    """Show the first code of an app: now it counts, and the one before is gone."""
    opened = FactorDesk(services, asker).confirm_totp(body.otp.get_secret_value())
    return _added(services, asker, opened)


@router.delete("/factors/totp", status_code=204, response_class=Response)
@may_answer(
    AccessDeniedError,
    StepUpRequiredError,
    ConflictError,
    NotFoundError,
    AuditUnavailableError,
)
def remove_totp(asker: SignedIn, services: Rooms) -> Response:
    """Take one's authenticator app away."""
    FactorDesk(services, asker).remove_totp()
    return Response(status_code=204)


@router.post("/factors/passkeys", response_model=PasskeyAskedShape)
@may_answer(
    AccessDeniedError,
    SecondFactorRequiredError,
    StepUpRequiredError,
    ConflictError,
    ThrottledError,
)
def begin_passkey(request: Request, asker: Unfinished, services: Rooms) -> JSONResponse:
    """Ask the browser to make a passkey; the answer's cookie binds it."""
    begun = FactorDesk(services, asker).begin_passkey(host_of(request))
    response = JSONResponse({"options": begun.options})
    bind(response, CeremonyKind.PASSKEY_ADD, begun.secret)
    return response


@router.post(
    "/factors/passkeys/confirmation", status_code=201, response_model=FactorsShape
)
@may_answer(
    AccessDeniedError,
    SecondFactorRequiredError,
    StepUpRequiredError,
    NotAuthenticatedError,
    ConflictError,
    InvalidInputError,
    AuditUnavailableError,
)
def confirm_passkey(
    request: Request,
    asker: Unfinished,
    body: Annotated[NewPasskey, Depends(JsonBody(shape=NewPasskey))],
    services: Rooms,
) -> JSONResponse:
    """Hand in the passkey that the browser made."""
    kind = CeremonyKind.PASSKEY_ADD
    opened = FactorDesk(services, asker).confirm_passkey(
        bound(request, kind), body.credential, body.name
    )
    response = _added(services, asker, opened)
    release(response, kind)
    return response


@router.delete(
    "/factors/passkeys/{passkey_id}", status_code=204, response_class=Response
)
@may_answer(
    AccessDeniedError,
    StepUpRequiredError,
    ConflictError,
    NotFoundError,
    AuditUnavailableError,
)
def remove_passkey(passkey_id: IdInPath, asker: SignedIn, services: Rooms) -> Response:
    """Take one of one's passkeys away."""
    FactorDesk(services, asker).remove_passkey(passkey_id)
    return Response(status_code=204)


@router.post(
    "/factors/recovery-codes", status_code=201, response_model=RecoveryCodesShape
)
@may_answer(
    AccessDeniedError, StepUpRequiredError, ConflictError, AuditUnavailableError
)
def renew_recovery_codes(asker: SignedIn, services: Rooms) -> JSONResponse:
    """Make ten recovery codes, shown this once; those of before are void."""
    codes = FactorDesk(services, asker).renew_recovery_codes()
    return JSONResponse({"codes": codes}, status_code=201)


@router.post("/factors/proof", response_model=SessionShape)
@may_answer(NotFoundError, ThrottledError, AuditUnavailableError)
def prove_by_code(
    request: Request,
    asker: Unfinished,
    body: Annotated[CodeBody, Depends(JsonBody(shape=CodeBody))],
    services: Rooms,
) -> JSONResponse:
    """Give the code that a half sign-in still lacks."""
    opened = PasskeyGate(services).give_code(
        asker, body.otp.get_secret_value(), known_device=shown_device(request)
    )
    return renewal(asker, opened)


@router.delete("/users/{user_id}/factors", status_code=204, response_class=Response)
@may_answer(
    AccessDeniedError,
    StepUpRequiredError,
    ConflictError,
    NotFoundError,
    AuditUnavailableError,
)
def reset(user_id: IdInPath, asker: SignedIn, services: Rooms) -> Response:
    """Take all factors of somebody else away, and end their sessions."""
    reset_factors(services, asker, user_id)
    return Response(status_code=204)


def _added(
    services: Services, asker: Asker, opened: SessionOpened | None
) -> JSONResponse:
    members = FactorDesk(services, asker).members()
    if opened is not None:
        members["session"] = opened_members(opened, with_token=not asker.by_cookie)
    response = JSONResponse(members, status_code=201)
    if opened is not None and asker.by_cookie:
        set_cookie(response, opened.secret)
    return response
