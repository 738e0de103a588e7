from collections import Counter

import pytest

from vault.warden.rates import ReleaseRates, Verdict


class Clock:
    """Seconds that pass only when the test says so."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_sixtieth_raises_an_alarm_once_and_the_601st_is_refused(
    clock: Clock,
) -> None:
    rates = ReleaseRates(clock)
    verdicts = [rates.count("user:1") for _ in range(603)]

    assert verdicts.index(Verdict.ADMITTED_WITH_ALARM) == 59
    assert verdicts.index(Verdict.REFUSED) == 600
    assert Counter(verdicts) == {
        Verdict.ADMITTED: 599,
        Verdict.ADMITTED_WITH_ALARM: 1,
        Verdict.REFUSED: 1,
        Verdict.REFUSED_AGAIN: 2,
    }


def test_each_actor_has_a_window_of_its_own(clock: Clock) -> None:
    rates = ReleaseRates(clock)
    for _ in range(600):
        rates.count("user:1")

    assert rates.count("user:2") is Verdict.ADMITTED


def test_the_window_moves(clock: Clock) -> None:
    rates = ReleaseRates(clock)
    for _ in range(600):
        rates.count("user:1")
        clock.now_s += 1
    assert rates.count("user:1") is Verdict.REFUSED
    assert rates.retry_after_s("user:1") == 3001

    clock.now_s += 3000
    assert rates.count("user:1") is Verdict.ADMITTED
    assert rates.count("user:1") is Verdict.REFUSED


def test_a_refusal_is_worth_a_leaf_once_a_minute(clock: Clock) -> None:
    rates = ReleaseRates(clock)
    for _ in range(600):
        rates.count("user:1")
    verdicts = []
    for _ in range(4):
        verdicts.append(rates.count("user:1"))
        clock.now_s += 30

    assert verdicts == [
        Verdict.REFUSED,
        Verdict.REFUSED_AGAIN,
        Verdict.REFUSED,
        Verdict.REFUSED_AGAIN,
    ]


def test_an_alarm_comes_again_after_a_quiet_hour(clock: Clock) -> None:
    rates = ReleaseRates(clock)
    first = [rates.count("user:1") for _ in range(61)]
    clock.now_s += 3601
    second = [rates.count("user:1") for _ in range(61)]

    assert first == second
    assert first.count(Verdict.ADMITTED_WITH_ALARM) == 1


def test_actors_of_yesterday_are_forgotten(clock: Clock) -> None:
    rates = ReleaseRates(clock)
    for number in range(1000):
        rates.count(f"user:{number}")
    clock.now_s += 4000
    rates.count("user:new")

    assert list(rates._windows) == ["user:new"]


def test_an_actor_without_releases_may_ask_at_once(clock: Clock) -> None:
    assert ReleaseRates(clock).retry_after_s("user:1") == 1
