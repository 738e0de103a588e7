"""What the warden writes of its own deeds and refusals.

Left to others: when (`vault.warden.service`), making leaves of it
(`vault.warden.leaves`).
"""

from types import MappingProxyType

from vault.audit.entry import Action, Draft, Result
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import RecordingId
from vault.trust import messages as m
from vault.warden.roles import Role
from vault.warden.texts import KeptTexts


def release_draft(
    request: m.ReleaseRequest, *, result: Result = Result.OK, reason: str = ""
) -> Draft:
    """Return the leaf of a key that is handed out, or refused."""
    detail: dict[str, str | int] = {"purpose": str(request.purpose)}
    if request.grant:
        detail["grant"] = str(request.grant)
    return Draft(
        action=Action.RECORDING_KEY_RELEASED,
        caller=request.caller,
        result=result,
        recording=request.recording_id,
        right=request.right,
        reason=reason,
        detail=detail,
        text={"reason": request.reason} if request.reason else MappingProxyType({}),
    )


def texts_draft(
    request: m.TextsRequest,
    kept: KeptTexts | None = None,
    *,
    result: Result = Result.OK,
    reason: str = "",
) -> Draft:
    """Return the leaf of texts that are read, or refused: never what they say."""
    detail: dict[str, str | int] = {"entry": request.index}
    if kept is not None:
        detail["fields"] = "/".join(sorted(kept.sealed))
    return Draft(
        action=Action.AUDIT_TEXT_READ,
        caller=request.caller,
        result=result,
        recording="" if kept is None else kept.recording,
        right=request.right,
        reason=reason,
        detail=detail,
    )


def refusal_by_role(role: Role, request: m.Request) -> Draft:
    """Return the leaf of a call that the connection's role does not cover."""
    if isinstance(request, m.ReleaseRequest):
        return release_draft(request, result=Result.REFUSED, reason="role")
    if isinstance(request, m.TextsRequest):
        return texts_draft(request, result=Result.REFUSED, reason="role")
    process = Caller(actor=Actor(kind=ActorKind.PROCESS, id=str(role)))
    return Draft(
        action=Action.ACCESS_REFUSED,
        caller=getattr(request, "caller", process),
        result=Result.REFUSED,
        reason="role",
        detail={"process": str(role), "part": f"warden:{request.call}"},
    )


def damaged_row(caller: Caller, id: RecordingId) -> Draft:
    """Return the leaf of a sealed row that does not open."""
    return Draft(
        action=Action.RECORDING_DAMAGED,
        caller=caller,
        result=Result.FAILED,
        recording=id,
        detail={"object": "row"},
    )
