"""How a change is answered: made, or kept for a second person (202)."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from fastapi.responses import JSONResponse

from vault.access.changes import Done
from vault.access.second_person import Asked
from vault.core.clock import rfc3339
from vault.web.api.policy_shapes import PendingShape

R = TypeVar("R")

PENDING: Final[dict[int | str, dict[str, Any]]] = {
    202: {"model": PendingShape, "description": "It waits for another person"}
}


def answered(
    outcome: Done[R] | Asked,
    members: Callable[[R], Mapping[str, object]],
    *,
    status: int = 200,
) -> JSONResponse:
    """Return the answer to a change.

    Args:
        outcome: What became of it.
        members: Makes the JSON members of what a change that was made gave.
        status: Of that answer.
    """
    if isinstance(outcome, Asked):
        return JSONResponse(
            {
                "approval": outcome.approval.id,
                "gains": sorted(map(str, outcome.gains)),
                "expires": rfc3339(outcome.approval.expires_ns),
            },
            status_code=202,
        )
    return JSONResponse(dict(members(outcome.value)), status_code=status)
