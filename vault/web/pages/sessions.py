"""Sessions and tokens of everybody, for those who may end them.

Left to others: who may end what, and its leaf (`vault.web.presence`,
`vault.web.tokens`); one's own (`vault.web.pages.account`).
"""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.web.pages.frame import PageVisit
from vault.web.presence import EVERYBODY, Presence
from vault.web.tokens import TokenDesk

router = APIRouter()

PAGE: Final = "/sessions"
_MOST: Final = 500
"Rows of a kind; a person's page has all of theirs."


@router.get(PAGE)
def sessions_page(visit: PageVisit) -> Response:
    """Show what lives, newest first."""
    sessions = Presence(visit.services, visit.asker).items(EVERYBODY)
    tokens = TokenDesk(visit.services, visit.asker).items(EVERYBODY)
    return visit.page(
        "sessions.html",
        sessions=sessions[:_MOST],
        tokens=tokens[:_MOST],
        left_out=max(0, len(sessions) - _MOST) + max(0, len(tokens) - _MOST),
    )


@router.post(PAGE + "/{session_id}/end")
def sessions_end(session_id: str, visit: PageVisit) -> Response:
    """End a session."""
    Presence(visit.services, visit.asker).end(session_id)
    return visit.lead(PAGE, "That session has ended.")


@router.post(PAGE + "/tokens/{token_id}/revoke")
def sessions_revoke(token_id: str, visit: PageVisit) -> Response:
    """Revoke a token."""
    TokenDesk(visit.services, visit.asker).revoke(token_id)
    return visit.lead(PAGE, "That token is revoked.")
