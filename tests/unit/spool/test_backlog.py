from collections.abc import Iterator
from dataclasses import replace

import pytest

from vault.core.ids import RecordingId, new_recording_id
from vault.spool.backlog import Backlog
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool


class Clock:
    """Each look at it takes a second."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        self.now_s += 1.0
        return self.now_s


@pytest.fixture
def ended(spool: Spool, order: SpoolOrder) -> Iterator[RecordingId]:
    return (end(spool, order, day) for day in range(10, 30))


def end(spool: Spool, order: SpoolOrder, day: int) -> RecordingId:
    recording_id = new_recording_id()
    started = f"2026-11-{day}T06:16:09.123456789Z"
    folder = spool.create(replace(order, recording_id=recording_id, started=started))
    folder.write_once("manifest", b"m")
    return recording_id


class TestBacklog:
    def test_what_one_look_found_is_gone_through_before_the_next(
        self, spool: Spool, ended: Iterator[RecordingId]
    ) -> None:
        """A look through a long spool after each recording would take all the time."""
        backlog = Backlog(spool, clock=Clock())
        first, second = next(ended), next(ended)
        looked = [backlog.look()]
        third = next(ended)
        looked.append(backlog.look())

        taken = [backlog.take(), backlog.take(), backlog.take()]

        assert looked == [True, False]
        assert taken == [first, second, None]
        assert third in backlog.waiting()

    def test_a_look_may_take_a_tenth_of_the_time(self, spool: Spool) -> None:
        clock = Clock()
        backlog = Backlog(spool, clock=clock)
        backlog.look()
        began_s = clock.now_s
        while not backlog.look():
            pass

        # It took one second, and this one another.
        assert clock.now_s - began_s == 9 + 1
