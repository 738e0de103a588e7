"""The page of address rules: which addresses may come at all, and which may not."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.access.address_rules import Listener, Verdict
from vault.web.address_rules import AddressRuleDesk
from vault.web.pages.frame import PageVisit, Visit
from vault.web.pages.said import NOTHING_SAID, Said

router = APIRouter()

PAGE: Final = "/addresses"


@router.get(PAGE)
def addresses_page(visit: PageVisit) -> Response:
    """Show the rules, and a form to add one."""
    return _drawn(visit)


@router.post(PAGE)
def addresses_add(visit: PageVisit) -> Response:
    """Make a rule."""
    desk, form = AddressRuleDesk(visit.services, visit.asker), visit.form
    said = visit.tried(
        lambda: desk.add(
            form.get("listener", ""),
            form.get("verdict", ""),
            form.get("prefix", "")[:64].strip(),
        ),
        done="The rule counts within seconds.",
    )
    return _drawn(visit, said) if said.error else visit.lead(PAGE, said.done)


@router.post(PAGE + "/{rule_id}/remove")
def addresses_remove(rule_id: str, visit: PageVisit) -> Response:
    """Take a rule away."""
    desk = AddressRuleDesk(visit.services, visit.asker)
    said = visit.tried(
        lambda: desk.remove(rule_id), done="The rule counts no more within seconds."
    )
    return _drawn(visit, said) if said.error else visit.lead(PAGE, said.done)


def _drawn(visit: Visit, said: Said = NOTHING_SAID) -> Response:
    return visit.page(
        "addresses.html",
        said=said,
        rules=AddressRuleDesk(visit.services, visit.asker).list(),
        listeners=list(Listener),
        verdicts=list(Verdict),
        here_from=visit.asker.origin,
    )
