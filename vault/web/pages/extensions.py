"""The page of extensions: the table, a form to add to it, and one to try it."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.web.extensions import ExtensionDesk
from vault.web.pages.frame import PageVisit, Visit
from vault.web.pages.said import NOTHING_SAID, Said

router = APIRouter()

PAGE: Final = "/extensions"
_FIELDS: Final = ("pattern", "agent", "workgroup")
_MAX_LENGTH: Final = 512


@router.get(PAGE)
def extensions_page(visit: PageVisit) -> Response:
    """Show the table, and whose an address is where one is asked for."""
    return _drawn(visit)


@router.post(PAGE)
def extensions_set(visit: PageVisit) -> Response:
    """Make or replace an entry."""
    desk, given = ExtensionDesk(visit.services, visit.asker), _typed(visit)
    said = visit.tried(
        lambda: desk.put(
            given["pattern"], agent=given["agent"], workgroup=given["workgroup"]
        ),
        done=f"{given['pattern']} is in the table.",
    )
    return _drawn(visit, said) if said.error else visit.lead(PAGE, said.done)


@router.post(PAGE + "/{extension_id}/remove")
def extensions_remove(extension_id: str, visit: PageVisit) -> Response:
    """Take an entry away."""
    desk = ExtensionDesk(visit.services, visit.asker)
    said = visit.tried(
        lambda: desk.remove(extension_id), done="It is no longer in the table."
    )
    return _drawn(visit, said) if said.error else visit.lead(PAGE, said.done)


def _typed(visit: Visit) -> dict[str, str]:
    return {name: visit.form.get(name, "")[:_MAX_LENGTH].strip() for name in _FIELDS}


def _drawn(visit: Visit, said: Said = NOTHING_SAID) -> Response:
    desk = ExtensionDesk(visit.services, visit.asker)
    address = visit.request.query_params.get("address", "")[:_MAX_LENGTH].strip()
    return visit.page(
        "extensions.html",
        said=said,
        extensions=desk.list(),
        workgroups=[one.name for one in visit.services.workgroups.list()],
        address=address,
        found=desk.match(address) if address else None,
        given=_typed(visit),
    )
