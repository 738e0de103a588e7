"""Holds and classes for officers: what is held, and the marks of one recording."""

from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter
from fastapi.responses import Response

from vault.access.second_person import Asked
from vault.core.errors import ConflictError, InvalidInputError
from vault.core.ids import RecordingId, parse_recording_id
from vault.web.holding import MAX_HELD, HoldDesk
from vault.web.marking import Marking
from vault.web.pages.frame import PageVisit, Visit, local_path, see_other
from vault.web.pages.said import NOTHING_SAID, WAITS, Said

router = APIRouter()

PAGE: Final = "/holds"
_RECORDING: Final = "/recordings/{recording_id}"


@router.get(PAGE)
def holds_page(visit: PageVisit) -> Response:
    """Show what is held; with ``?recording=`` lead to that one."""
    wanted = visit.request.query_params.get("recording", "").strip()
    if wanted:
        return see_other(f"{PAGE}/{quote(wanted[:64], safe='')}")
    held = HoldDesk(visit.services, visit.asker).held()
    return visit.page("holds.html", held=held, most=MAX_HELD)


@router.get(PAGE + "/{recording_id}")
def marks_page(recording_id: str, visit: PageVisit) -> Response:
    """Show what is marked on one recording."""
    return _drawn(visit, parse_recording_id(recording_id))


@router.post(_RECORDING + "/hold")
def hold(recording_id: str, visit: PageVisit) -> Response:
    """Hold a recording."""
    id, marking = parse_recording_id(recording_id), _marking(visit)
    return _marked(
        visit,
        id,
        lambda: marking.hold(id, reason=visit.form.get("reason", "")),
        "The recording is held: nothing erases it.",
    )


@router.post(_RECORDING + "/release")
def release(recording_id: str, visit: PageVisit) -> Response:
    """End a hold."""
    id, marking = parse_recording_id(recording_id), _marking(visit)
    return _marked(
        visit,
        id,
        lambda: marking.release(id, reason=visit.form.get("reason", "")),
        "The recording is not held any more.",
    )


@router.post(_RECORDING + "/class")
def classify(recording_id: str, visit: PageVisit) -> Response:
    """Say of which class a recording is."""
    id, marking = parse_recording_id(recording_id), _marking(visit)
    return _marked(
        visit,
        id,
        lambda: marking.classify(id, visit.form.get("class") or None),
        "The recording has another class.",
    )


def _marking(visit: Visit) -> Marking:
    return Marking(visit.services, visit.asker)


def _marked(
    visit: Visit, recording_id: RecordingId, act: Callable[[], object], done: str
) -> Response:
    # Whoever may not mark it is told what they are told of any that is not there, by
    # an error that nothing here answers.
    try:
        outcome = act()
    except (InvalidInputError, ConflictError) as error:
        return _drawn(visit, recording_id, Said(error=str(error)))
    back = local_path(visit.form.get("back", f"{PAGE}/{recording_id}"))
    return visit.lead(back, WAITS if isinstance(outcome, Asked) else done)


def _drawn(
    visit: Visit, recording_id: RecordingId, said: Said = NOTHING_SAID
) -> Response:
    marks = HoldDesk(visit.services, visit.asker).one(recording_id)
    return visit.page(
        "marks.html", said=said, marks=marks, back=f"{PAGE}/{recording_id}"
    )
