"""The list and the recording page with its player."""

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from vault.access.permissions import Permission
from vault.core.errors import InvalidInputError
from vault.core.flow import RecordingState
from vault.core.ids import parse_recording_id
from vault.web import words
from vault.web.browse import RecordingQuery, asked_party, browse_of
from vault.web.holding import HoldDesk
from vault.web.identity import passive
from vault.web.items import RecordingItem
from vault.web.lacking import lacking
from vault.web.pages.frame import PageVisit
from vault.web.trail_words import history_of
from vault.web.views import clock_text, utc_text

router = APIRouter()

LIST: Final = "/recordings"
_FILTERS: Final = ("from", "to", "party", "agent", "workgroup", "state")
_MAX_LENGTH: Final = 256
_KIB: Final = 1024


def asked_query(request: Request) -> RecordingQuery:
    """Read the filters of a page's address; empty ones are not set.

    Raises:
        InvalidInputError: A state that is none, or text beyond its length.
    """
    given = {
        name: request.query_params.get(name, "").strip()
        for name in (*_FILTERS, "cursor")
    }
    given["party"] = asked_party(request.query_params.get("party", "")).strip()
    if any(len(value) > _MAX_LENGTH for value in given.values()):
        raise InvalidInputError("a filter is too long")
    try:
        state = RecordingState(given["state"]) if given["state"] else None
    except ValueError:
        raise InvalidInputError("no such state") from None
    return RecordingQuery(
        from_day=given["from"] or None,
        to_day=given["to"] or None,
        party=given["party"] or None,
        agent=given["agent"] or None,
        workgroup=given["workgroup"] or None,
        state=state,
        cursor=given["cursor"] or None,
    )


@router.get(LIST)
def list_page(
    visit: PageVisit, query: Annotated[RecordingQuery, Depends(asked_query)]
) -> Response:
    """Show the list; its address is the query."""
    browse, asker = browse_of(visit.services), visit.asker
    page = browse.find(asker, query)
    filters = {
        name: value
        for name in _FILTERS
        if (value := visit.request.query_params.get(name, "").strip())
    }
    if query.party:
        filters["party"] = query.party
    return visit.page(
        "recordings.html",
        query=query,
        page=page,
        workgroups=(workgroups := browse.workgroups(asker)),
        empty_text=words.empty_list_text(
            may_see=asker.may(Permission.RECORDING_METADATA_READ),
            in_a_workgroup=bool(workgroups),
            narrows=query.narrows,
        ),
        states=[str(state) for state in RecordingState],
        first_href=_href(filters),
        next_href=_href(filters | {"cursor": page.next or ""}),
    )


@router.get(LIST + "/{recording_id}")
def recording_page(recording_id: str, visit: PageVisit) -> Response:
    """Show one recording, with the player where there is something to play."""
    services, asker = visit.services, visit.asker
    item = browse_of(services).view(asker, parse_recording_id(recording_id))
    may_play = item.playable or item.in_progress
    return visit.page(
        "recording.html",
        item=item,
        lacking=lacking(services, asker, item.id) if may_play else "",
        facts=facts_of(item),
        marks=HoldDesk(visit.services, visit.asker).marks_of(item.id),
        back=f"{LIST}/{item.id}",
        history_href=history_of(asker, f"recording:{item.id}"),
    )


@router.get(LIST + "/{recording_id}/state")
@passive
def recording_state(recording_id: str, visit: PageVisit) -> Response:
    """Tell a waiting page to draw itself again once the recording moved on."""
    state = browse_of(visit.services).state(
        visit.asker, parse_recording_id(recording_id)
    )
    waiting = state in words.PROGRESS
    return Response(
        status_code=204 if waiting else 200,
        headers={} if waiting else {"HX-Refresh": "true"},
    )


def facts_of(item: RecordingItem) -> list[tuple[str, str]]:
    """Return what is known about a call, in the order people look for it."""
    found = (
        ("Started", utc_text(item.started) if item.started else item.day),
        ("Length", "" if item.duration_s is None else clock_text(item.duration_s)),
        ("Agent", item.agent),
        ("Workgroup", _workgroup(item)),
        ("Class", item.class_name or ""),
        ("Legal hold", "yes" if item.held else ""),
        ("From", item.caller),
        ("To", item.callee),
        ("Device", item.device),
        ("PBX id", item.pbx_id),
        (
            "Sealed size",
            f"{item.size_bytes / _KIB:,.0f} KiB" if item.size_bytes else "",
        ),
        *item.attributes.items(),
    )
    return [(name, value) for name, value in found if value]


def _workgroup(item: RecordingItem) -> str:
    name = item.workgroup or ""
    return name if item.workgroup_known else f"{name} (the PBX named an unknown one)"


def _href(filters: dict[str, str]) -> str:
    return LIST + ("?" + urlencode(filters) if filters else "")
