import os
import resource
from collections.abc import Iterator
from dataclasses import replace

import pytest

from vault import process
from vault.core.errors import SpoolFullError
from vault.tap.capacity import Capacity, WorkerLoad, WorkerReport, free_descriptors
from vault.tap.config import TapConfig

IDLE = WorkerLoad(pid=7, streams=0, late_s=0.0, free_descriptors=10_000)
CONFIG = TapConfig(streams_per_worker=100)


class Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (process.open_descriptors() + 135, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def check(streams: int, *workers: WorkerLoad, free_pairs: int = 1000) -> None:
    Capacity(CONFIG).check(streams, workers=workers, free_pairs=free_pairs)


class TestRoom:
    def test_an_idle_worker_takes_a_call(self) -> None:
        check(2, IDLE)

    def test_a_worker_is_filled_to_the_last_stream(self) -> None:
        check(2, replace(IDLE, streams=98))
        with pytest.raises(SpoolFullError, match="7 has 99 streams"):
            check(2, replace(IDLE, streams=99))

    def test_one_with_room_is_enough(self) -> None:
        check(2, replace(IDLE, streams=100), replace(IDLE, late_s=9.0), IDLE)

    def test_one_that_is_behind_gets_no_call(self) -> None:
        check(2, replace(IDLE, late_s=1.0))
        with pytest.raises(SpoolFullError, match=r"7 is 1\.1 s behind"):
            check(2, replace(IDLE, late_s=1.1))

    def test_one_without_descriptors_gets_no_call(self) -> None:
        with pytest.raises(SpoolFullError, match="7 has 130 free descriptors"):
            check(2, replace(IDLE, free_descriptors=130))

    def test_without_a_worker_no_call_is_taken(self) -> None:
        with pytest.raises(SpoolFullError, match="none is running"):
            check(1)

    def test_every_worker_says_why(self) -> None:
        with pytest.raises(SpoolFullError, match=r"9 has 100 streams; 7 is 2\.0 s"):
            check(1, replace(IDLE, pid=9, streams=100), replace(IDLE, late_s=2.0))

    def test_each_stream_needs_a_pair_of_ports(self) -> None:
        check(3, IDLE, free_pairs=3)
        with pytest.raises(SpoolFullError, match="2 pairs of media ports"):
            check(3, IDLE, free_pairs=2)

    @pytest.mark.usefixtures("few_descriptors")
    def test_a_low_limit_of_descriptors_refuses(self) -> None:
        with pytest.raises(SpoolFullError, match="descriptors are free"):
            check(2, IDLE)


class TestReports:
    def test_a_worker_is_on_time_until_its_first_report_is_due(self) -> None:
        clock = Clock()
        capacity = Capacity(CONFIG, clock=clock)
        load = capacity.load(7, 4)
        clock.now_s += 1.2

        assert (load.streams, load.late_s) == (4, 0.0)
        assert capacity.load(7, 4).late_s == pytest.approx(0.0)

    def test_what_it_reports_counts(self) -> None:
        capacity = Capacity(CONFIG, clock=Clock())
        capacity.heard(7, WorkerReport(late_s=0.4, free_descriptors=60))

        expected = WorkerLoad(pid=7, streams=4, late_s=0.4, free_descriptors=60)
        assert capacity.load(7, 4) == expected

    def test_silence_is_lateness(self) -> None:
        clock = Clock()
        capacity = Capacity(CONFIG, clock=clock)
        capacity.heard(7, WorkerReport(late_s=0.4, free_descriptors=60))
        clock.now_s += 11.2

        assert capacity.load(7, 4).late_s == pytest.approx(10.0)

    def test_one_that_ended_is_forgotten(self) -> None:
        clock = Clock()
        capacity = Capacity(CONFIG, clock=clock)
        capacity.heard(7, WorkerReport(late_s=3.0, free_descriptors=60))
        capacity.forget(7)
        capacity.forget(7)

        assert capacity.load(7, 0).late_s == 0.0


class TestDescriptors:
    def test_an_open_one_is_not_free(self) -> None:
        before = free_descriptors()
        opened = os.dup(0)
        after = free_descriptors()
        os.close(opened)

        assert after == before - 1
