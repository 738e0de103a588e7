"""What the API answers about rights, classes, approvals, emergencies and marks."""

from typing import Literal

from pydantic import Field

from vault.access.approvals import ApprovalKind, ApprovalState
from vault.access.permissions import Permission
from vault.web.api.shapes import Id, Shape, Time


class PendingShape(Shape):
    """A change that waits for another person."""

    approval: Id
    gains: list[Permission]
    "What it would open, and to whoever asked or somebody else."
    expires: Time


class RightShape(Shape):
    """A right beside the roles."""

    id: Id
    to: str
    permission: Permission
    over: str
    valid_from: Time = Field(alias="from")
    until: Time | None
    granted: Time
    granted_by: str
    emergency: bool


class RightsShape(Shape):
    """All that have not ended."""

    items: list[RightShape]


class ClassShape(Shape):
    """A class of recordings."""

    name: str
    needs_reason: bool
    needs_approval: bool


class ClassesShape(Shape):
    """All of them."""

    items: list[ClassShape]


class SomebodyShape(Shape):
    """Somebody, to those who may know of them."""

    id: Id
    name: str


class AskedCallShape(Shape):
    """What of a call decides whether somebody may hear it."""

    day: str
    started: Time | None = None
    "Only while it waits, to those who may decide."
    duration_s: float | None = None
    workgroup: str | None = None
    class_name: str | None = Field(None, alias="class")


class WordsShape(Shape):
    """One thing that a change is about, in words."""

    what: str
    before: str | None = None
    "What is so now; missing where nothing is, or where it stays."
    after: str


class ApprovalShape(Shape):
    """What waits for a second person, or was decided lately."""

    id: Id
    kind: ApprovalKind
    state: ApprovalState
    permission: Permission
    requester: SomebodyShape
    own: bool
    created: Time
    expires: Time
    recording: Id | None = None
    call: AskedCallShape | None = None
    reason: str | None = None
    "What who asked typed: to those who may decide, while it waits."
    change: dict[str, str] | None = None
    names: dict[str, str] | None = None
    "Of the people and workgroups whose ids are in *change*."
    gains: list[Permission] | None = None
    words: list[WordsShape] | None = None
    "The change in words."


class ApprovalsShape(Shape):
    """One's own, and those that one may decide."""

    items: list[ApprovalShape]
    not_listed: int
    "How many more wait for the asker behind those that are listed."


class DecisionShape(Shape):
    """What was decided; with the half of a code where that was agreed to."""

    id: Id
    state: Literal[ApprovalState.APPROVED, ApprovalState.REFUSED]
    user: Id | None = None
    code_half: str | None = None
    expires: Time | None = None


class EmergencyShape(Shape):
    """A broken glass."""

    user: SomebodyShape
    since: Time
    until: Time


class EmergenciesShape(Shape):
    """All that are open, or one's own."""

    items: list[EmergencyShape]


class HeldShape(Shape):
    """Whether a recording is held."""

    id: Id
    held: bool


class ClassifiedShape(Shape):
    """Of which class a recording is."""

    id: Id
    class_name: str | None = Field(alias="class")
