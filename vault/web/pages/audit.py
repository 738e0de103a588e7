"""The audit trail, for officers."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from vault.access.policy import Permission
from vault.audit.entry import Action, Result
from vault.audit.reading import LoggedEntry
from vault.core.errors import InvalidInputError
from vault.web.api.audit import export_response
from vault.web.identity import Rooms
from vault.web.pages.frame import PageAsker, PageViews, reader_of
from vault.web.streaming import CuttableResponse
from vault.web.trail import QUERY_MEMBERS, TrailDesk, TrailFilter

router = APIRouter()

TRAIL: Final = "/audit"
_MAX_LENGTH: Final = 128


@router.get(TRAIL)
def trail_page(
    request: Request, asker: PageAsker, views: PageViews, services: Rooms
) -> Response:
    """Show the newest entries that match."""
    wanted = _wanted(request)
    desk = TrailDesk(services, asker)
    page = desk.page(wanted, cursor=request.query_params.get("cursor") or None)
    names = desk.names()
    members = wanted.members()
    return views.page(
        request,
        "audit.html",
        reader=reader_of(asker),
        query=wanted,
        entries=[entry_line(one, names) for one in page.items],
        actions=[str(action) for action in Action],
        results=[str(result) for result in Result],
        checkpoint=desk.checkpoint(),
        may_export=asker.may(Permission.AUDIT_TRAIL_EXPORT),
        export_href=_href(f"{TRAIL}/export", members),
        next_href=_href(TRAIL, members | {"cursor": page.next}) if page.next else "",
    )


@router.get(TRAIL + "/export")
def trail_export(
    request: Request, asker: PageAsker, services: Rooms
) -> CuttableResponse:
    """Hand out the export as a file."""
    return export_response(TrailDesk(services, asker), _wanted(request))


def entry_line(logged: LoggedEntry, names: Mapping[str, str]) -> dict[str, object]:
    """Return one entry as the page shows it, with names for ids."""
    members = logged.entry.members
    actor = str(members.get("actor", ""))
    detail = members.get("detail")
    facts = dict(detail) if isinstance(detail, Mapping) else {}
    if reason := members.get("reason"):
        facts["reason"] = reason
    return {
        "index": logged.index,
        "time": str(members.get("time", "")),
        "action": str(members.get("action", "")),
        "actor": actor,
        "who": names.get(actor, actor),
        "via": "via " + str(members.get("via", "")),
        "recording": str(members.get("recording", "")),
        "result": str(members.get("result", "")),
        "detail": " · ".join(
            f"{name} {_short(value)}" for name, value in facts.items()
        ),
    }


def _short(value: object) -> str:
    text, most = str(value), 24
    return text if len(text) <= most else text[:12] + "…"


def _wanted(request: Request) -> TrailFilter:
    given = {name: request.query_params.get(name, "").strip() for name in QUERY_MEMBERS}
    if any(len(value) > _MAX_LENGTH for value in given.values()):
        raise InvalidInputError("a filter is too long")
    return TrailFilter(**given)


def _href(path: str, members: Mapping[str, str]) -> str:
    return path + ("?" + urlencode(members) if members else "")
