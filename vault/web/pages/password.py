"""The page on which people change their password; some must, before all else."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.core.errors import (
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
    ThrottledError,
    VaultError,
)
from vault.core.problems import problem_for
from vault.web.apart import apart
from vault.web.entrance import shown_device
from vault.web.identity import must_change_password
from vault.web.pages.frame import HOME, PASSWORD, UnfinishedVisit, Visit
from vault.web.passwords import PasswordDesk
from vault.web.views import sentence

router = APIRouter()

_WRONG: Final = "The password that you have now, or the code, is wrong."
_DIFFERENT: Final = "the two new passwords are not the same"


@router.get(PASSWORD)
def password_form(visit: UnfinishedVisit) -> Response:
    """Show the form."""
    return _form(visit)


@router.post(PASSWORD)
@apart
def change_password(visit: UnfinishedVisit) -> Response:
    """Replace the password and go on."""
    form = visit.form
    new = form.get("new", "")
    if new != form.get("again", ""):
        return _form(visit, InvalidInputError(_DIFFERENT))
    try:
        PasswordDesk(visit.services, visit.asker).change(
            form.get("current", ""),
            new,
            otp=form.get("otp", ""),
            known_device=shown_device(visit.request),
        )
    except (
        NotAuthenticatedError,
        ThrottledError,
        InvalidInputError,
        ConflictError,
    ) as error:
        return _form(visit, error)
    return visit.lead(HOME, "Your password is changed.")


def _said(error: VaultError) -> str:
    if isinstance(error, NotAuthenticatedError):
        return _WRONG
    return sentence(str(error)) + "."


def _form(visit: Visit, error: VaultError | None = None) -> Response:
    return visit.page(
        "password.html",
        refused=None if error is None else problem_for(error),
        error="" if error is None else _said(error),
        must=must_change_password(visit.asker),
    )
