from dataclasses import replace

import pytest

from vault.audit.entry import Action, Draft
from vault.core.errors import AccessDeniedError, ConfigurationError
from vault.core.flow import Actor, ActorKind, Caller, Purpose
from vault.core.ids import new_recording_id
from vault.trust import messages as m
from vault.warden.roles import PERMITS, WARDEN_ONLY, Role, check, parse_role

ID = new_recording_id()
CALLS = {"append", "release", "open_rows", "seal_row", "tokens", "texts", "health"}


def by(kind: ActorKind) -> Caller:
    return Caller(actor=Actor(kind=kind, id="x"))


def request_of(call: str, role: Role) -> m.Request:
    """A request that only the call itself can be refused for."""
    permit = PERMITS[role]
    caller = by(next(iter(permit.actors), ActorKind.USER))
    purpose = next(iter(permit.purposes), Purpose.PLAY)
    draft = Draft(action=Action.RECORDING_LISTED, caller=caller)
    requests: dict[str, m.Request] = {
        "append": m.AppendRequest(drafts=(draft,)),
        "release": m.ReleaseRequest(recording_id=ID, caller=caller, purpose=purpose),
        "open_rows": m.OpenRowsRequest(caller=caller, recordings=(ID,)),
        "seal_row": m.SealRowRequest(recording_id=ID, metadata=b"", month="2026-11"),
        "tokens": m.TokensRequest(caller=caller, field="caller", value="1", months=()),
        "texts": m.TextsRequest(caller=caller, index=0),
        "health": m.HealthRequest(),
    }
    return requests[call]


@pytest.mark.parametrize(
    ("role", "calls", "purposes"),
    [
        (Role.TAP, {"append", "health"}, set()),
        (Role.AUDITOR, {"append", "health"}, set()),
        (Role.SERVE, {"append", "health"}, set()),
        (
            Role.WORKER,
            {"append", "release", "seal_row", "tokens", "health"},
            {Purpose.RENDER, Purpose.RECOVER},
        ),
        (
            Role.WEB,
            {"append", "release", "open_rows", "tokens", "texts", "health"},
            {Purpose.PLAY, Purpose.EXPORT, Purpose.LIVE},
        ),
        (
            Role.CLI,
            {"append", "release", "open_rows", "tokens", "health"},
            {Purpose.EXPORT, Purpose.RECOVER},
        ),
    ],
)
def test_a_role_may_do_this_and_nothing_else(
    role: Role, calls: set[str], purposes: set[Purpose]
) -> None:
    for call in calls:
        check(role, request_of(call, role))
    for call in CALLS - calls:
        with pytest.raises(AccessDeniedError):
            check(role, request_of(call, role))

    assert purposes == set(PERMITS[role].purposes)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("kind", ActorKind)
def test_a_purpose_belongs_to_a_role_and_its_kind_of_actor(
    role: Role, purpose: Purpose, kind: ActorKind
) -> None:
    request = m.ReleaseRequest(recording_id=ID, caller=by(kind), purpose=purpose)
    permit = PERMITS[role]
    if purpose in permit.purposes and kind in permit.actors:
        check(role, request)
    else:
        with pytest.raises(AccessDeniedError):
            check(role, request)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("call", ["open_rows", "tokens", "texts"])
@pytest.mark.parametrize("kind", ActorKind)
def test_nothing_is_opened_for_another_kind_of_actor(
    role: Role, call: str, kind: ActorKind
) -> None:
    permit = PERMITS[role]
    request = replace(request_of(call, role), caller=by(kind))
    if call in permit.calls and kind in permit.actors:
        check(role, request)
    else:
        with pytest.raises(AccessDeniedError):
            check(role, request)


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("action", sorted(WARDEN_ONLY))
def test_nobody_else_says_that_a_key_was_released(role: Role, action: Action) -> None:
    good = Draft(action=Action.PROCESS_STARTED, caller=by(ActorKind.PROCESS))
    forged = Draft(action=action, caller=by(ActorKind.PROCESS))

    with pytest.raises(AccessDeniedError):
        check(role, m.AppendRequest(drafts=(good, forged)))


def test_only_workers_are_not_counted() -> None:
    assert [role for role in Role if not PERMITS[role].limited] == [Role.WORKER]


@pytest.mark.parametrize("text", ["", "WEB", "root", "web ", "warden"])
def test_what_is_no_role_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        parse_role(text)


def test_a_role_is_read_by_its_name() -> None:
    assert [parse_role(str(role)) for role in Role] == list(Role)
