import pytest

from vault.core.clock import NS_PER_S
from vault.core.errors import UnavailableError
from vault.recorder.clock_check import SETTLE_S, ClockCheck, Witness

NOON_S = 1_790_000_000


class Times:
    """A clock that can be set, and time that only passes."""

    def __init__(self) -> None:
        self.wall_s = float(NOON_S)
        self.steady_s = 1000.0

    def passes(self, seconds: float) -> None:
        self.wall_s += seconds
        self.steady_s += seconds

    def check(self, *witnesses: Witness) -> ClockCheck:
        return ClockCheck(
            witnesses,
            tolerance_s=300,
            clock=lambda: round(self.wall_s * NS_PER_S),
            steady_ns=lambda: round(self.steady_s * NS_PER_S),
        )


def saw(seconds: float) -> Witness:
    return Witness(
        name="the roster's signature", newest_ns=lambda: round(seconds * NS_PER_S)
    )


class TestWhatIsWritten:
    def test_a_clock_after_everything_that_is_written_is_believed(self) -> None:
        Times().check(saw(NOON_S - 1), saw(0)).check()

    def test_one_a_little_behind_is_believed(self) -> None:
        Times().check(saw(NOON_S + 300)).check()

    def test_one_further_behind_is_not(self) -> None:
        with pytest.raises(
            UnavailableError, match="301 s behind the roster's signature"
        ) as refused:
            Times().check(saw(NOON_S + 301)).check()

        assert refused.value.retry_after_s == SETTLE_S

    def test_a_call_that_was_accepted_counts(self) -> None:
        times = Times()
        check = times.check()
        check.note_call((NOON_S + 3600) * NS_PER_S)
        check.note_call(NOON_S * NS_PER_S)
        with pytest.raises(UnavailableError, match="3600 s behind the newest call"):
            check.check()
        times.passes(3300)

        check.check()

    def test_1970_is_not_now(self) -> None:
        times = Times()
        times.wall_s = 30.0

        with pytest.raises(UnavailableError, match="behind"):
            times.check(saw(NOON_S)).check()


class TestSteps:
    def test_time_that_passes_is_no_step(self) -> None:
        times = Times()
        check = times.check()
        for _ in range(3):
            check.check()
            times.passes(86_400)

        check.check()

    def test_a_step_back_refuses_until_it_has_stood_for_a_minute(self) -> None:
        times = Times()
        check = times.check()
        check.check()
        times.wall_s -= 3600
        refused = []
        for _ in range(2):
            with pytest.raises(UnavailableError, match="set back by 3600 s") as each:
                check.check()
            refused.append(each.value.retry_after_s)
            times.passes(SETTLE_S - 1)
        times.passes(1)
        check.check()

        assert refused == [SETTLE_S, SETTLE_S]

    def test_a_step_that_is_taken_back_is_forgotten(self) -> None:
        times = Times()
        check = times.check()
        check.check()
        times.wall_s -= 3600
        with pytest.raises(UnavailableError):
            check.check()
        times.wall_s += 3600

        check.check()

    def test_a_step_forward_refuses_nothing_and_back_again_does(self) -> None:
        times = Times()
        check = times.check()
        check.check()
        times.wall_s += 3600
        check.check()
        times.wall_s -= 3600

        with pytest.raises(UnavailableError, match="set back"):
            check.check()

    def test_what_is_slewed_little_by_little_is_no_step(self) -> None:
        times = Times()
        check = times.check()
        for _ in range(10):
            times.wall_s -= 200
            times.passes(1000)
            check.check()

    def test_a_step_behind_what_is_written_is_never_believed(self) -> None:
        times = Times()
        check = times.check(saw(NOON_S))
        check.check()
        times.wall_s -= 3600
        for _ in range(3):
            with pytest.raises(UnavailableError, match="behind the roster"):
                check.check()
            times.passes(SETTLE_S)
