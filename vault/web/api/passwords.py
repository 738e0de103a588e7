"""One's own password."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    NotAuthenticatedError,
    NotFoundError,
    ThrottledError,
)
from vault.core.openapi import may_answer
from vault.web.apart import apart
from vault.web.api.bodies import JsonBody, NewPassword
from vault.web.entrance import shown_device
from vault.web.identity import Rooms, Unfinished
from vault.web.passwords import PasswordDesk

router = APIRouter(prefix="/api/v1/users/current")


@router.post("/password", status_code=204, response_class=Response)
@may_answer(
    NotAuthenticatedError,
    NotFoundError,
    ConflictError,
    ThrottledError,
    AuditUnavailableError,
)
@apart
def change_password(
    request: Request,
    asker: Unfinished,
    body: Annotated[NewPassword, Depends(JsonBody(shape=NewPassword))],
    services: Rooms,
) -> Response:
    """Replace one's password; every other session of one's own ends."""
    PasswordDesk(services, asker).change(
        body.current.get_secret_value(),
        body.new.get_secret_value(),
        otp=body.otp.get_secret_value() if body.otp else "",
        known_device=shown_device(request),
    )
    return Response(status_code=204)
