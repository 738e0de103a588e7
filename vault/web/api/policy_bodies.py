"""JSON bodies of rights, classes, approvals, emergencies and marks."""

from typing import Annotated

from pydantic import Field

from vault.access.reasons import MAX_REASON, MIN_REASON
from vault.web.api.bodies import Body

_Reason = Annotated[str, Field(min_length=MIN_REASON, max_length=MAX_REASON)]
_Time = Annotated[str, Field(max_length=40)]


class NewRightBody(Body):
    """``POST /api/v1/rights``."""

    to: Annotated[str, Field(min_length=1, max_length=80)]
    "``user:NAME``, ``workgroup:NAME`` or ``role:NAME``."
    permission: Annotated[str, Field(min_length=1, max_length=64)]
    over: Annotated[str, Field(min_length=1, max_length=80)] = "all"
    "``own``, ``workgroup``, ``workgroup:NAME``, ``class:NAME`` or ``all``."
    valid_from: Annotated[_Time | None, Field(alias="from")] = None
    until: _Time | None = None


class ClassBody(Body):
    """``PUT /api/v1/classes/{name}``."""

    needs_reason: bool = False
    needs_approval: bool = False


class NewApprovalBody(Body):
    """``POST /api/v1/approvals``."""

    recording: Annotated[str, Field(min_length=1, max_length=64)]
    media: Annotated[str, Field(max_length=16)] = "audio"
    reason: _Reason


class DecisionBody(Body):
    """``POST /api/v1/approvals/{id}/decision``."""

    approve: bool
    reason: Annotated[str, Field(max_length=MAX_REASON)] = ""


class ReasonBody(Body):
    """``POST /api/v1/emergency`` and ``PUT|DELETE /api/v1/recordings/{id}/hold``."""

    reason: _Reason


class ClassifyBody(Body):
    """``PATCH /api/v1/recordings/{id}``."""

    class_name: Annotated[
        Annotated[str, Field(min_length=1, max_length=32)] | None,
        Field(alias="class"),
    ]
    "None: that of its workgroup."
