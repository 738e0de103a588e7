"""The audit trail, for officers: one search field, histories, entries with proofs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.access.permissions import Permission
from vault.audit.entry import Action, Result
from vault.audit.kinds import JSONL
from vault.audit.language import MAX_TEXT, Reading
from vault.audit.query import OBJECT_MEMBERS, PREFIX, TYPED_MEMBERS
from vault.audit.source import LoggedEntry
from vault.core import canonical
from vault.core.errors import InvalidInputError, NotFoundError
from vault.web.api.audit import proof_response, resumed
from vault.web.identity import passive
from vault.web.pages.frame import MENDABLE, PageVisit, Visit, see_other
from vault.web.pages.said import NOTHING_SAID, Said
from vault.web.searches import SearchDesk
from vault.web.streaming import CuttableResponse
from vault.web.tail import TailResponse
from vault.web.trail import READS_TEXTS, TrailDesk
from vault.web.trail_export import TrailExportDesk
from vault.web.trail_words import (
    TRAIL,
    Chip,
    Subject,
    added,
    chips_of,
    history_href,
    href_of,
    own_toggled,
    subject_of,
)
from vault.web.views import utc_text

router = APIRouter()

ENTRIES: Final = f"{TRAIL}/entries"
_MAX_DIGITS: Final = 15
_EXPORT_KINDS: Final = (
    ("bundle", "Bundle to hand over"),
    ("csv", "CSV"),
    ("cef", "CEF"),
    ("leef", "LEEF 2.0"),
    ("ocsf", "OCSF"),
)
_FILTERS: Final = ("actor", "action", "result", "since", "until")
_GROUPS: Final = sorted({f"{action.partition('.')[0]}{PREFIX}" for action in Action})


@router.get(TRAIL)
def trail_page(visit: PageVisit) -> Response:
    """Show the newest entries that match."""
    return draw_trail(visit, _text(visit))


def draw_trail(visit: Visit, text: str, said: Said = NOTHING_SAID) -> Response:
    """Return the page of what *text* selects, with what is *said* on top."""
    desk = TrailDesk(visit.services, visit.asker)
    labels = desk.names.labels()
    try:
        reading, chips = desk.read(text), chips_of(text, labels)
    except InvalidInputError as error:
        desk.size()  # whoever may not read the trail learns nothing of its language
        return _drawn(visit, desk, text, Said(error=str(error)))
    leaves_out, other = own_toggled(text)
    size = desk.size()
    page = desk.page(
        reading.query, cursor=visit.request.query_params.get("cursor") or None
    )
    listed = Listed(
        chips=chips,
        entries=[entry_line(one, labels) for one in page.items],
        count=desk.count(reading.query, size),
        size=size,
        unknown=_unknown(desk, reading),
        subject=subject_of(reading.text, labels),
        own_left_out=leaves_out,
        own_href=href_of(other),
        next_href=href_of(text, cursor=page.next) if page.next else "",
        follows="cursor" not in visit.request.query_params,
    )
    return _drawn(visit, desk, text, said, listed)


@router.get(f"{TRAIL}/filter")
def add_filter(visit: PageVisit) -> Response:
    """Lead to the query with what the filter fields say."""
    TrailDesk(visit.services, visit.asker).size()
    given = visit.request.query_params
    fields = {name: given.get(name, "").strip()[:128] for name in _FILTERS}
    try:
        return see_other(href_of(added(_text(visit), fields)))
    except InvalidInputError:
        return see_other(href_of(_text(visit)))


@router.post(f"{TRAIL}/searches")
def save_search(visit: PageVisit) -> Response:
    """Keep what the search field says under a name."""
    text = visit.form.get("query", "")
    desk = SearchDesk(visit.services, visit.asker)
    try:
        saved = desk.add(visit.form.get("name", ""), text)
    except MENDABLE as error:
        return draw_trail(visit, text, Said(error=str(error)))
    return visit.lead(href_of(saved.query), f"The search {saved.name} is saved.")


@router.post(TRAIL + "/searches/{search_id}/remove")
def remove_search(search_id: str, visit: PageVisit) -> Response:
    """Remove one of the asker's searches."""
    SearchDesk(visit.services, visit.asker).remove(search_id)
    return visit.lead(href_of(visit.form.get("query", "")), "The search is removed.")


@router.get(f"{TRAIL}/export")
def trail_export(visit: PageVisit) -> CuttableResponse:
    """Hand out the export as a file."""
    given = visit.request.query_params
    asked = TrailDesk(visit.services, visit.asker).read(_text(visit)).query
    return TrailExportDesk(visit.services, visit.asker).response(
        asked,
        kind=given.get("format", JSONL),
        goes_on=given.get("previous", "") != "none",
    )


@router.get(f"{TRAIL}/tail")
@passive
def trail_tail(visit: PageVisit) -> TailResponse:
    """Send entries to the page as they are logged."""
    desk = TrailDesk(visit.services, visit.asker)
    labels = desk.names.labels()
    request = visit.request
    last = request.headers.get("last-event-id") or request.query_params.get("after")
    return TailResponse(
        visit.services,
        visit.asker.session.id,
        desk,
        desk.read(_text(visit)).query,
        lambda one: entry_line(one, labels),
        after=resumed((last or "")[:_MAX_DIGITS], None),
    )


@router.get(ENTRIES + "/{index}")
def entry_page(index: str, visit: PageVisit) -> Response:
    """Show one entry as it was hashed, and what proves it."""
    desk = TrailDesk(visit.services, visit.asker)
    proven = desk.proven(_index(index))
    logged = LoggedEntry(index=proven.stored.index, entry=proven.entry)
    return visit.page(
        "audit_entry.html",
        line=entry_line(logged, desk.names.labels()),
        octets=canonical.dumps(proven.entry.members).decode(),
        leaf=(proven.stored.leaf or b"").hex(),
        proof=[one.hex() for one in proven.stored.proof],
        checkpoint=proven.checkpoint,
        may_read_texts=visit.asker.may(READS_TEXTS),
    )


@router.get(ENTRIES + "/{index}/proof")
def entry_proof(index: str, visit: PageVisit) -> Response:
    """Hand out the proof of one entry as a file."""
    return proof_response(TrailDesk(visit.services, visit.asker).proven(_index(index)))


@router.get(TRAIL + "/{index}/text")
def entry_text(index: str, visit: PageVisit) -> Response:
    """Show what people typed beside one entry."""
    texts = TrailDesk(visit.services, visit.asker).texts(_index(index))
    return visit.page("entry_text.html", index=int(index), texts=texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a query selects, as the page shows it."""

    chips: Sequence[Chip]
    entries: Sequence[Mapping[str, object]]
    count: int
    size: int
    "Entries of the whole log."
    unknown: Sequence[str]
    "Names that nobody has."
    subject: Subject | None
    "Whose history it is."
    own_left_out: bool
    own_href: str
    next_href: str
    follows: bool
    "Whether new entries can be followed: on the first page."


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One member of an entry as the page shows it."""

    name: str
    text: str
    whole: str = ""
    "What the trail has in place of *text*; empty for the same."
    href: str = ""
    "The history of what it names."


def entry_line(logged: LoggedEntry, names: Mapping[str, str]) -> dict[str, object]:
    """Return one entry as the page shows it, with names for ids."""
    members = logged.entry.members
    detail = members.get("detail")
    facts = dict(detail) if isinstance(detail, Mapping) else {}
    if reason := members.get("reason"):
        facts["reason"] = reason
    if recording := members.get("recording"):
        facts = {"recording": recording, **facts}
    actor = str(members.get("actor", ""))
    return {
        "index": logged.index,
        "href": f"{ENTRIES}/{logged.index}",
        "time": str(members.get("time", "")),
        "action": str(members.get("action", "")),
        "actor": actor,
        "who": names.get(actor, actor),
        "who_href": history_href(actor),
        "via": "via " + str(members.get("via", "")),
        "result": str(members.get("result", "")),
        "has_text": "text" in members,
        "facts": [
            asdict(_fact(name, str(value), names)) for name, value in facts.items()
        ],
    }


def _fact(name: str, value: str, names: Mapping[str, str]) -> Fact:
    if name in TYPED_MEMBERS and ":" in value:
        typed = value
    elif name == "recording" or name in OBJECT_MEMBERS:
        typed = f"{name}:{value}"
    else:
        short = utc_text(value) if name == "until" else _short(value)
        return Fact(name=name, text=short, whole=value if short != value else "")
    text = names.get(typed, value)
    return Fact(
        name=name,
        text=text,
        whole=value if text != value else "",
        href=history_href(typed),
    )


def _drawn(
    visit: Visit, desk: TrailDesk, text: str, said: Said, listed: "Listed | None" = None
) -> Response:
    """Return the page; nothing is listed where what was typed is no query."""
    return visit.page(
        "audit.html",
        said=said,
        text=text,
        actions=[str(action) for action in Action],
        groups=_GROUPS,
        results=[str(result) for result in Result],
        saved=[
            {
                "id": one.id,
                "name": one.name,
                "query": one.query,
                "href": href_of(one.query),
            }
            for one in SearchDesk(visit.services, visit.asker).items()
        ],
        checkpoint=desk.checkpoint(),
        anchors=visit.services.anchors(),
        may_export=visit.asker.may(Permission.AUDIT_TRAIL_EXPORT),
        may_read_texts=visit.asker.may(READS_TEXTS),
        may_edit_people=visit.asker.may(Permission.ACCESS_USER_EDIT),
        may_see_recordings=visit.asker.may(Permission.RECORDING_METADATA_READ),
        export_kinds=_EXPORT_KINDS,
        export_href=href_of(text).replace(TRAIL, f"{TRAIL}/export", 1),
        tail_href=href_of(text).replace(TRAIL, f"{TRAIL}/tail", 1),
        listed=listed,
    )


def _unknown(desk: TrailDesk, reading: Reading) -> tuple[str, ...]:
    """Return the names that nobody has, for who may know that."""
    return reading.unknown if desk.names.tells_who_is_there() else ()


def _text(visit: Visit) -> str:
    text = visit.request.query_params.get("query", "").strip()
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT + 1]


def _index(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS):
        raise NotFoundError("no such entry")
    return int(text)


def _short(text: str) -> str:
    most = 24
    return text if len(text) <= most else text[:12] + "…"
