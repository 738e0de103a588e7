import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest
from sqlalchemy import Engine

from vault.catalog.claims import MAX_ATTEMPTS
from vault.catalog.recordings import Recordings
from vault.catalog.values import OpenRecording
from vault.core.errors import ConflictError, NotFoundError
from vault.core.flow import Reason, RecordingState
from vault.core.ids import RecordingId, new_recording_id

Capture = Callable[[RecordingId], None]


class Clock(Protocol):
    def advance(self, seconds: float) -> None: ...


@pytest.fixture
def captured(
    recordings: Recordings, new_order: Callable[..., OpenRecording], capture: Capture
) -> RecordingId:
    order = new_order()
    recordings.open(order)
    capture(order.id)
    return order.id


def test_a_claimed_recording_is_rendering_and_nobody_elses(
    recordings: Recordings, captured: RecordingId
) -> None:
    row = recordings.claim_for_rendering("first", 60)

    assert row is not None
    assert (captured, RecordingState.RENDERING, "first", 1) == (
        row.id,
        row.state,
        row.worker,
        row.attempts,
    )
    assert recordings.claim_for_rendering("second", 60) is None


def test_a_worker_that_died_releases_by_lapse(
    recordings: Recordings, captured: RecordingId, clock: Clock
) -> None:
    recordings.claim_for_rendering("dead", 60)
    clock.advance(61)
    row = recordings.claim_for_rendering("second", 60)

    assert row is not None
    assert ("second", 2) == (row.worker, row.attempts)
    with pytest.raises(ConflictError):
        recordings.renew(captured, "dead", 60)


def test_a_renewed_lease_does_not_lapse(
    recordings: Recordings, captured: RecordingId, clock: Clock
) -> None:
    recordings.claim_for_rendering("first", 60)
    clock.advance(50)
    recordings.renew(captured, "first", 60)
    clock.advance(50)

    assert recordings.claim_for_rendering("second", 60) is None


def test_a_lease_of_a_missing_recording_is_not_found(recordings: Recordings) -> None:
    with pytest.raises(NotFoundError):
        recordings.renew(new_recording_id(), "first", 60)


def test_a_recording_that_was_never_opened_is_not_claimed(
    recordings: Recordings, capture: Capture
) -> None:
    capture(new_recording_id())

    assert recordings.claim_for_rendering("first", 60) is None


def test_five_failures_make_a_recording_failed_with_the_given_reason(
    recordings: Recordings, captured: RecordingId, clock: Clock
) -> None:
    for _ in range(MAX_ATTEMPTS):
        assert recordings.claim_for_rendering("w", 60) is not None
        recordings.give_back(
            captured, "w", retry_after_s=1, reason=Reason.CODEC_UNSUPPORTED
        )
        clock.advance(2)

    row = recordings.row(captured)
    assert (RecordingState.FAILED, Reason.CODEC_UNSUPPORTED) == (row.state, row.reason)
    assert recordings.claim_for_rendering("w", 60) is None


def test_five_dead_workers_make_a_recording_store_damaged(
    recordings: Recordings, captured: RecordingId, clock: Clock
) -> None:
    for _ in range(MAX_ATTEMPTS):
        assert recordings.claim_for_rendering("w", 60) is not None
        clock.advance(61)

    assert recordings.claim_for_rendering("w", 60) is None
    row = recordings.row(captured)
    assert (RecordingState.FAILED, Reason.STORE_DAMAGED) == (row.state, row.reason)


def test_an_outage_costs_no_attempt(
    recordings: Recordings, captured: RecordingId, clock: Clock
) -> None:
    for _ in range(3 * MAX_ATTEMPTS):
        assert recordings.claim_for_rendering("w", 60) is not None
        recordings.give_back(captured, "w", counted=False, retry_after_s=1)
        clock.advance(2)

    row = recordings.row(captured)
    assert (RecordingState.CAPTURED, 0) == (row.state, row.attempts)


def test_a_recording_given_back_waits_its_time(
    recordings: Recordings, captured: RecordingId, clock: Clock
) -> None:
    recordings.claim_for_rendering("w", 60)
    recordings.give_back(captured, "w", retry_after_s=30)

    assert recordings.claim_for_rendering("w", 60) is None
    clock.advance(31)
    assert recordings.claim_for_rendering("w", 60) is not None


def test_a_format_that_never_succeeds_is_given_up_and_the_recording_stays_ready(
    recordings: Recordings, captured: RecordingId, clock: Clock
) -> None:
    recordings.claim_for_rendering("w", 60)
    recordings.finish(captured, state=RecordingState.READY)
    recordings.want(captured, "audio/mp4")
    for _ in range(MAX_ATTEMPTS):
        assert recordings.claim_for_rendering("w", 60) is not None
        clock.advance(61)

    assert recordings.claim_for_rendering("w", 60) is None
    row = recordings.row(captured)
    assert (RecordingState.READY, ()) == (row.state, row.wanted)


def test_a_result_that_leaves_the_wish_open_still_counts_as_an_attempt(
    recordings: Recordings, captured: RecordingId
) -> None:
    recordings.claim_for_rendering("w", 60)
    recordings.finish(captured, state=RecordingState.READY)
    recordings.want(captured, "audio/mp4")
    recordings.claim_for_rendering("w", 60)
    recordings.finish(captured, state=RecordingState.READY)

    assert recordings.row(captured).attempts == 1


def test_eight_threads_never_claim_the_same_recording(
    recordings: Recordings,
    catalog_engine: Engine,
    new_order: Callable[..., OpenRecording],
    capture: Capture,
) -> None:
    waiting = set()
    for _ in range(24):
        order = new_order()
        recordings.open(order)
        capture(order.id)
        waiting.add(order.id)
    start = threading.Barrier(8)

    def work(number: int) -> list[RecordingId]:
        mine = []
        start.wait()
        while (row := recordings.claim_for_rendering(f"w{number}", 60)) is not None:
            mine.append(row.id)
        return mine

    with ThreadPoolExecutor(8) as pool:
        claimed = [one for mine in pool.map(work, range(8)) for one in mine]

    assert sorted(waiting) == sorted(claimed)
