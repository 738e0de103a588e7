"""Drafts and callers on the wire.

Guarantees: `parse_draft` returns what `draft_members` was given, and takes
nothing whose shape would let a number, a name or a password into a leaf.

Left to others: the allow-list of details (`vault.audit.entry`).

Spec: docs/reference/formats/warden-protocol.md
"""

import re
from types import MappingProxyType
from typing import Final

from vault.audit.entry import Action, Draft, Result
from vault.core.canonical import JsonObject
from vault.core.errors import InvalidInputError
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import parse_recording_id
from vault.trust import shapes
from vault.trust.shapes import Members

MAX_DRAFTS: Final = 100
"Drafts in one request."

_MAX_DETAILS: Final = 32
_MAX_TEXTS: Final = 8
_DETAIL_TEXT: Final = re.compile(r"[ -~]{1,200}")


def caller_members(caller: Caller) -> JsonObject:
    """Return the JSON members of *caller*."""
    return {
        "kind": str(caller.actor.kind),
        "id": caller.actor.id,
        "session": caller.session,
        "origin": caller.origin,
    }


def parse_caller(members: Members) -> Caller:
    """Read a caller.

    Raises:
        InvalidInputError: A member is missing, unknown or of another shape.
    """
    caller = Caller(
        actor=Actor(
            kind=members.choice("kind", ActorKind), id=members.text("id", shapes.ID)
        ),
        session=members.text("session", shapes.ID),
        origin=members.text("origin", shapes.ORIGIN),
    )
    members.done()
    return caller


def draft_members(draft: Draft) -> JsonObject:
    """Return the JSON members of *draft*."""
    return {
        "action": str(draft.action),
        "caller": caller_members(draft.caller),
        "result": str(draft.result),
        "recording": draft.recording,
        "right": draft.right,
        "reason": draft.reason,
        "detail": dict(draft.detail),
        "text": dict(draft.text),
        "source": draft.source,
        "source_seq": draft.source_seq,
        # Nanoseconds since 1970 are beyond the integers that JSON keeps exact.
        "occurred_ns": str(draft.occurred_ns),
    }


def parse_draft(members: Members) -> Draft:
    """Read a draft.

    Raises:
        InvalidInputError: A member is missing, unknown or of another shape.
        NotFoundError: The recording's id is not an id.
    """
    recording = members.text("recording", shapes.ID)
    draft = Draft(
        action=members.choice("action", Action),
        caller=parse_caller(members.members("caller")),
        result=members.choice("result", Result),
        recording=parse_recording_id(recording) if recording else "",
        right=members.text("right", shapes.SLUG),
        reason=members.text("reason", shapes.SLUG),
        detail=MappingProxyType(_detail(members)),
        text=MappingProxyType(_text(members)),
        source=members.text("source", shapes.ID),
        source_seq=members.count("source_seq"),
        occurred_ns=int(members.text("occurred_ns", shapes.DECIMAL)),
    )
    members.done()
    return draft


def _detail(members: Members) -> dict[str, str | int]:
    detail: dict[str, str | int] = {}
    for name, value in members.mapping("detail").items():
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidInputError("a detail is neither text nor a count")
        if isinstance(value, str) and _DETAIL_TEXT.fullmatch(value) is None:
            raise InvalidInputError("a detail has the wrong shape")
        detail[name] = value
    if len(detail) > _MAX_DETAILS:
        raise InvalidInputError("too many details")
    return detail


def _text(members: Members) -> dict[str, str]:
    texts = members.members("text")
    found = {name: texts.free_text(name) for name in texts.names()}
    if len(found) > _MAX_TEXTS or not all(map(shapes.NAME.fullmatch, found)):
        raise InvalidInputError("text beside the log has unknown names")
    return found
