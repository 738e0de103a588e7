"""Pages of duties kept apart: saying why, asking, deciding, and breaking the glass."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import Response

from vault.access.activations import HalfCode
from vault.access.permissions import Permission
from vault.core.errors import ConflictError, InvalidInputError, UnavailableError
from vault.core.flow import MediaPart
from vault.core.ids import UserId, parse_recording_id
from vault.web.approving import ApprovalDesk, ApprovalList
from vault.web.emergencies import EmergencyDesk
from vault.web.holding import HOLDS
from vault.web.identity import Asker
from vault.web.listening import Listening
from vault.web.pages.frame import PageVisit, Visit, see_other
from vault.web.pages.said import Said

router = APIRouter()

PAGE: Final = "/approvals"
_RECORDINGS: Final = "/recordings"


@router.post(_RECORDINGS + "/{recording_id}/reason")
def say_why(recording_id: str, visit: PageVisit) -> Response:
    """Open the player of a recording whose class asks for a reason."""
    listening = Listening(visit.services, visit.asker)
    for part in (MediaPart.AUDIO, MediaPart.PEAKS):
        listening.grant(
            parse_recording_id(recording_id), part, reason=visit.form.get("reason", "")
        )
    return see_other(f"{_RECORDINGS}/{recording_id}")


@router.post(_RECORDINGS + "/{recording_id}/approval")
def ask_somebody(recording_id: str, visit: PageVisit) -> Response:
    """Ask for a second person where the class of a recording wants one."""
    ApprovalDesk(visit.services, visit.asker).ask(
        parse_recording_id(recording_id),
        MediaPart.AUDIO,
        reason=visit.form.get("reason", ""),
    )
    return visit.lead(f"{_RECORDINGS}/{recording_id}", "You asked a second person.")


@router.get(PAGE)
def approvals_page(visit: PageVisit) -> Response:
    """Show what waits for the reader, what they asked for, and broken glass."""
    return _drawn(visit)


@router.post(PAGE + "/{approval_id}")
def approvals_decide(approval_id: str, visit: PageVisit) -> Response:
    """Say yes or no."""
    decision = visit.form.get("decision")
    if decision not in {"approve", "refuse"}:
        raise InvalidInputError("approve or refuse")
    try:
        half = ApprovalDesk(visit.services, visit.asker).decide(
            approval_id, approve=decision == "approve"
        )
    except ConflictError as error:
        return _drawn(visit, error=str(error))
    if half is not None:
        return _drawn(visit, half=half)
    done = "You agreed." if decision == "approve" else "You refused."
    return visit.lead(PAGE, done)


@router.post("/emergency")
def emergency_open(visit: PageVisit) -> Response:
    """Break the glass."""
    try:
        EmergencyDesk(visit.services, visit.asker).open(
            reason=visit.form.get("reason", "")
        )
    except (ConflictError, InvalidInputError) as error:
        return _drawn(visit, error=str(error))
    return see_other(PAGE)


@router.post("/emergency/{user_id}/end")
def emergency_end(user_id: str, visit: PageVisit) -> Response:
    """End an emergency."""
    EmergencyDesk(visit.services, visit.asker).end(UserId(user_id))
    return visit.lead(PAGE, "That emergency has ended.")


def _recordings_at(asker: Asker) -> str:
    """Return where the asker finds a recording; empty: nowhere."""
    if asker.may(Permission.RECORDING_METADATA_READ):
        return _RECORDINGS
    return "/holds" if any(map(asker.may, HOLDS)) else ""


def _listed(visit: Visit, half: HalfCode | None) -> ApprovalList:
    try:
        return ApprovalDesk(visit.services, visit.asker).list()
    except UnavailableError:
        if half is None:
            raise
        # The change is made, and this half of the code is shown this once.
        return ApprovalList(items=(), not_listed=0)


def _drawn(visit: Visit, *, error: str = "", half: HalfCode | None = None) -> Response:
    services, asker = visit.services, visit.asker
    approvals = _listed(visit, half)
    mine = asker.session.user_id
    return visit.page(
        "approvals.html",
        said=Said(error=error),
        waiting=[one for one in approvals.items if not one["own"]],
        own=[one for one in approvals.items if one["own"]],
        not_listed=approvals.not_listed,
        recordings_at=_recordings_at(asker),
        emergencies=EmergencyDesk(services, asker).list(),
        is_open=any(one.user_id == mine for one in services.duties.emergencies.list()),
        may_break=asker.may(Permission.ACCESS_EMERGENCY_USE),
        error=error,
        half=half,
    )
