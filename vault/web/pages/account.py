"""One's own account: where one is signed in, and tokens.

Left to others: the password and second factors (pages of their own), other people's
sessions and tokens (the API, and the pages of administrators).
"""

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.access.permissions import Permission
from vault.access.policy import LOCAL
from vault.core.errors import InvalidInputError
from vault.web.pages.frame import MENDABLE, PageVisit, Visit
from vault.web.pages.said import NOTHING_SAID, Said
from vault.web.presence import Presence
from vault.web.tokens import TokenDesk

router = APIRouter()

PAGE: Final = "/account"
_MAY: Final = "may:"
_DAY_S: Final = 86_400
LIVES: Final = (7, 30, 90, 180, 366)
"Days that a token may be given here."


@router.get(PAGE)
def account_page(visit: PageVisit) -> Response:
    """Show sessions and tokens, and the ways to password and second factors."""
    return _drawn(visit)


@router.post(PAGE + "/sessions/{session_id}/end")
def account_end(session_id: str, visit: PageVisit) -> Response:
    """End another session of one's own."""
    Presence(visit.services, visit.asker).end(session_id)
    return visit.lead(PAGE, "That session has ended.")


@router.post(PAGE + "/tokens")
def account_add_token(visit: PageVisit) -> Response:
    """Make a token, and show its secret on the page that answers."""
    try:
        made = TokenDesk(visit.services, visit.asker).add(
            name=visit.form.get("name", ""),
            ttl_s=_days(visit.form) * _DAY_S,
            permissions=_limits(visit.form),
        )
    except MENDABLE as error:
        return _drawn(visit, Said(error=str(error)))
    return _drawn(visit, made=made)


@router.post(PAGE + "/tokens/{token_id}/revoke")
def account_revoke(token_id: str, visit: PageVisit) -> Response:
    """Revoke a token of one's own."""
    TokenDesk(visit.services, visit.asker).revoke(token_id)
    return visit.lead(PAGE, "That token is revoked.")


def _days(form: Mapping[str, str]) -> int:
    given = form.get("days", "")
    if given not in {str(one) for one in LIVES}:
        raise InvalidInputError("a token lives 7, 30, 90, 180 or 366 days here")
    return int(given)


def _limits(form: Mapping[str, str]) -> list[str] | None:
    if form.get("limits") != "some":
        return None
    return [name.removeprefix(_MAY) for name in form if name.startswith(_MAY)]


def _drawn(
    visit: Visit,
    said: Said = NOTHING_SAID,
    *,
    made: Mapping[str, object] | None = None,
) -> Response:
    person = visit.asker.session.person
    return visit.page(
        "account.html",
        said=said,
        person=person,
        roles=sorted(str(role) for role in person.roles),
        sessions=Presence(visit.services, visit.asker).items(),
        tokens=TokenDesk(visit.services, visit.asker).items(),
        permissions=sorted(str(one) for one in Permission if person.holds(one)),
        lives=LIVES,
        is_local=person.source == LOCAL,
        made=made,
    )
