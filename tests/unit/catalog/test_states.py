from itertools import product

import pytest

from vault.catalog.states import PLAYABLE, Event, next_state
from vault.core.errors import ConflictError, RetentionHoldError
from vault.core.flow import RecordingState as S

MOVES = {
    (S.RECORDING, Event.SHIPPED): S.CAPTURED,
    (S.RECORDING, Event.LOST): S.FAILED,
    (S.CAPTURED, Event.CLAIMED): S.RENDERING,
    (S.CAPTURED, Event.LOST): S.FAILED,
    (S.RENDERING, Event.CLAIMED): S.RENDERING,
    (S.RENDERING, Event.GIVEN_BACK): S.CAPTURED,
    (S.RENDERING, Event.MADE): S.READY,
    (S.RENDERING, Event.MADE_PART): S.PARTIAL,
    (S.RENDERING, Event.LOST): S.FAILED,
    (S.READY, Event.REMADE): S.READY,
    (S.PARTIAL, Event.REMADE): S.READY,
    (S.FAILED, Event.REMADE): S.READY,
    (S.READY, Event.REMADE_PART): S.PARTIAL,
    (S.PARTIAL, Event.REMADE_PART): S.PARTIAL,
    (S.FAILED, Event.REMADE_PART): S.PARTIAL,
    (S.READY, Event.EXPIRE): S.EXPIRED,
    (S.PARTIAL, Event.EXPIRE): S.EXPIRED,
    (S.FAILED, Event.EXPIRE): S.EXPIRED,
    (S.EXPIRED, Event.SHRED): S.SHREDDED,
}


@pytest.mark.parametrize(("state", "event"), list(product(S, Event)))
def test_only_the_moves_of_the_design_are_possible(state: S, event: Event) -> None:
    if (state, event) in MOVES:
        assert MOVES[state, event] is next_state(state, event, held=False)
        return

    with pytest.raises(ConflictError):
        next_state(state, event, held=False)


@pytest.mark.parametrize("event", [Event.EXPIRE, Event.SHRED])
@pytest.mark.parametrize("state", S)
def test_a_hold_always_wins(state: S, event: Event) -> None:
    with pytest.raises(RetentionHoldError):
        next_state(state, event, held=True)


@pytest.mark.parametrize("event", [Event.EXPIRE, Event.SHRED])
def test_nothing_ends_a_recording_without_looking_for_a_hold(event: Event) -> None:
    with pytest.raises(RuntimeError, match="looked"):
        next_state(S.EXPIRED, event)


def test_a_hold_stops_no_worker() -> None:
    assert S.READY is next_state(S.RENDERING, Event.MADE, held=True)


def test_every_state_can_be_reached_from_a_call_that_starts() -> None:
    reached = {S.RECORDING}
    for _ in S:
        reached |= {after for (before, _), after in MOVES.items() if before in reached}

    assert set(S) == reached


def test_nothing_leaves_shredded() -> None:
    assert not [move for move in MOVES if move[0] is S.SHREDDED]


def test_only_what_a_worker_finished_is_playable() -> None:
    assert {S.READY, S.PARTIAL} == PLAYABLE
