from collections.abc import Mapping

import pytest

from vault.audit.entry import Action, Draft, Result
from vault.core import canonical
from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import new_recording_id
from vault.trust.drafts import caller_members, draft_members, parse_caller, parse_draft
from vault.trust.shapes import Members

CALLER = Caller(
    actor=Actor(kind=ActorKind.USER, id="5f0c7d0e-8d5e-4a3b-9a0f-000000000001"),
    session="s-17",
    origin="2001:db8::1",
)
FULL = Draft(
    action=Action.RECORDING_PLAYED,
    caller=CALLER,
    result=Result.FAILED,
    recording=new_recording_id(),
    right="recording:media:play",
    reason="store-damaged",
    detail={"ranges": "0-99", "bytes": 100},
    text={"reason": "Beschwerde von Frau Müller"},
    source="tap-1",
    source_seq=12,
    occurred_ns=1_795_500_000_123_456_789,
)


def over_the_wire(members: canonical.JsonObject) -> Members:
    return Members(canonical.parse(canonical.dumps(members)))


@pytest.mark.parametrize(
    "draft", [FULL, Draft(action=Action.PROCESS_STARTED, caller=CALLER)]
)
def test_a_draft_comes_out_as_it_went_in(draft: Draft) -> None:
    assert draft == parse_draft(over_the_wire(draft_members(draft)))


def test_a_caller_comes_out_as_it_went_in() -> None:
    assert parse_caller(over_the_wire(caller_members(CALLER))) == CALLER


@pytest.mark.parametrize(
    "change",
    [
        {"action": "recording.stolen"},
        {"result": "maybe"},
        {"right": "+49 30 1234"},
        {"reason": "because I said so"},
        {"source": "tap one"},
        {"source_seq": -1},
        {"occurred_ns": "1e9"},
        {"occurred_ns": 5},
        {"detail": {"count": True}},
        {"detail": {"count": None}},
        {"detail": {"device": "line\nbreak"}},
        {"detail": {f"d{i}": 1 for i in range(33)}},
        {"text": {"Reason!": "x"}},
        {"text": {"reason": "x" * 4001}},
        {"text": {f"t{chr(97 + i)}": "x" for i in range(9)}},
        {"caller": {"kind": "user", "id": "x", "session": "", "origin": "a b"}},
        {"caller": {"kind": "god", "id": "", "session": "", "origin": ""}},
        {"caller": {"kind": "user", "id": "", "session": ""}},
        {"extra": 1},
    ],
)
def test_a_draft_of_another_shape_is_refused(
    change: Mapping[str, canonical.JsonValue],
) -> None:
    with pytest.raises(InvalidInputError):
        parse_draft(over_the_wire({**draft_members(FULL), **change}))


def test_a_recording_that_is_none_is_not_found() -> None:
    with pytest.raises(NotFoundError):
        parse_draft(over_the_wire({**draft_members(FULL), "recording": "x"}))
