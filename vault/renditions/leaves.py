"""What the trail is told about rendered, recovered, damaged and failed calls.

Guarantees: one leaf for each object that a row will name, with its digest; that of
a part that was recovered has two, the digest of what the tap left and that of what
takes its place, which stand in for the tap's signature.

Left to others: writing them before anything counts (`vault.renditions.worker`).

Spec: docs/reference/formats/audit-entry.md
"""

from collections.abc import Iterator, Sequence
from typing import Final

from vault.audit.entry import Action, Draft, Result
from vault.core.flow import Actor, ActorKind, Caller, Reason, RecordingState
from vault.core.ids import RecordingId
from vault.renditions.deposit import RECOVERED, Made
from vault.renditions.finalise import Finalised
from vault.renditions.reading import Damage

WORKER: Final = Caller(actor=Actor(kind=ActorKind.PROCESS, id="worker"))


def finished_drafts(
    recording_id: RecordingId, result: Finalised, made: Sequence[Made]
) -> Iterator[Draft]:
    """Yield the leaves of one finalised call, in the order in which it was done."""
    for damage in result.damage:
        yield _damage(recording_id, damage)
    for one in made:
        cut_sha256 = result.recovered.get(one.object.name, "")
        yield made_draft(recording_id, one, result.state, cut_sha256=cut_sha256)
    if result.state is RecordingState.FAILED:
        yield Draft(
            action=Action.RECORDING_FAILED,
            caller=WORKER,
            result=Result.FAILED,
            recording=recording_id,
            reason=str(result.reason or ""),
        )


def made_detail(made: Made) -> dict[str, str | int]:
    """Return what every leaf about an object that was made says of it."""
    return {
        "object": made.object.name,
        "sha256": made.object.sha256,
        "size": made.object.size,
        "format": made.object.media_type,
        "addendum_sha256": made.addendum.sha256,
    }


def made_draft(
    recording_id: RecordingId,
    made: Made,
    state: RecordingState,
    *,
    cut_sha256: str = "",
) -> Draft:
    """Return the leaf of one object that was made.

    Args:
        recording_id: Of which call.
        made: The object and its addendum.
        state: In which the call ends.
        cut_sha256: Of the ``.cut`` part that the object takes the place of, in hex.
    """
    recovered = made.object.name.endswith(RECOVERED)
    return Draft(
        action=Action.RECORDING_RECOVERED if recovered else Action.RECORDING_RENDERED,
        caller=WORKER,
        recording=recording_id,
        detail={
            **made_detail(made),
            "state": str(state),
            **({"cut_sha256": cut_sha256} if cut_sha256 else {}),
        },
    )


def _damage(recording_id: RecordingId, damage: Damage) -> Draft:
    detail: dict[str, str | int] = {"object": damage.name}
    if damage.expected_sha256:
        detail["sha256"] = damage.expected_sha256
    return Draft(
        action=Action.RECORDING_DAMAGED,
        caller=WORKER,
        result=Result.FAILED,
        recording=recording_id,
        reason=str(Reason.STORE_DAMAGED),
        detail=detail,
    )
