"""Choosing a password with a code, before anybody is signed in."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from vault.core.errors import (
    InvalidInputError,
    NotAuthenticatedError,
    ThrottledError,
)
from vault.core.problems import problem_for
from vault.edge.origin import origin_of
from vault.web.identity import FormFields, Rooms
from vault.web.pages.frame import SIGN_IN, PageViews, see_other
from vault.web.people import ActivationDesk
from vault.web.views import sentence

router = APIRouter()

PAGE: Final = "/activate"
_WRONG: Final = "The name or the code is wrong, or the code has been used."
_THROTTLED: Final = "Too many tries. Wait a while, then try again."
_TWICE: Final = "The two passwords are not the same."


@router.get(PAGE)
def activation_form(request: Request, views: PageViews) -> Response:
    """Show the form."""
    return views.page(request, "activate.html", reader=None, error="", user="")


@router.post(PAGE)
def activation_choose(
    request: Request, form: FormFields, views: PageViews, services: Rooms
) -> Response:
    """Keep the password, and go on to signing in."""
    password, name = form.get("password", ""), form.get("user", "")[:256]
    error, status = "", 422
    if password != form.get("again", ""):
        error = _TWICE
    else:
        try:
            ActivationDesk(services).choose(
                name, form.get("code", "")[:128], password, origin_of(request.scope)
            )
        except InvalidInputError as refused:
            error = f"{sentence(str(refused))}."
        except (NotAuthenticatedError, ThrottledError) as refused:
            error = _THROTTLED if isinstance(refused, ThrottledError) else _WRONG
            status = problem_for(refused).status
    if not error:
        return see_other(SIGN_IN)
    return views.page(
        request, "activate.html", reader=None, status=status, error=error, user=name
    )
