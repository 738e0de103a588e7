"""The page of one's second factors; who came in by half is led here.

Guarantees: the page itself asks for a fresh proof, so that what is on it can be used;
who came in by half and has a factor is asked for that one, and sees nothing else.

Left to others: what is done on it (the API, by vault/web/assets/src/factors.ts).
"""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.core.errors import NotAuthenticatedError, ThrottledError
from vault.core.problems import problem_for
from vault.web.entrance import set_cookie, shown_device
from vault.web.factors import FactorDesk
from vault.web.identity import insist_on_proof
from vault.web.pages.frame import FACTORS, HOME, UnfinishedVisit, see_other
from vault.web.passkeys import PasskeyGate

router = APIRouter()

_WRONG: Final = "The code is wrong, or was used already."
_THROTTLED: Final = "Too many tries. Wait a while, then try again."


@router.get(FACTORS)
def factors_page(visit: UnfinishedVisit) -> Response:
    """Show what is set up, or ask for it where it is still missing."""
    members = FactorDesk(visit.services, visit.asker).members()
    is_restricted = visit.asker.session.is_restricted
    if is_restricted and (members["passkeys"] or "totp" in members):
        return visit.page("give_factor.html", error="")
    insist_on_proof(visit.services, visit.asker)
    return visit.page("factors.html", factors=members, is_restricted=is_restricted)


@router.post(FACTORS + "/proof")
def give_code(visit: UnfinishedVisit) -> Response:
    """Take the code that a half sign-in still lacks, and go on."""
    try:
        opened = PasskeyGate(visit.services).give_code(
            visit.asker,
            visit.form.get("otp", "")[:64],
            known_device=shown_device(visit.request),
        )
    except (NotAuthenticatedError, ThrottledError) as error:
        return visit.page(
            "give_factor.html",
            refused=problem_for(error),
            error=_THROTTLED if isinstance(error, ThrottledError) else _WRONG,
        )
    response = see_other(HOME)
    set_cookie(response, opened.secret)
    return response
