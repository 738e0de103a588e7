import pytest

from vault.core.errors import ThrottledError
from vault.web.rates import ActorRates


def test_an_actor_that_asks_too_often_is_told_when_to_come_back() -> None:
    now_s = [0.0]
    rates = ActorRates(per_minute=3, clock=lambda: now_s[0])
    for _ in range(3):
        rates.spend("a")
    with pytest.raises(ThrottledError) as refused:
        rates.spend("a")
    rates.spend("b")
    now_s[0] += refused.value.retry_after_s
    rates.spend("a")

    assert refused.value.retry_after_s == 20
