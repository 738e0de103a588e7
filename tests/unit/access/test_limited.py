import threading

import pytest

from vault.access.limited import LimitedCalls
from vault.core.errors import UnavailableError


def test_a_call_returns_what_it_returns_and_raises_what_it_raises() -> None:
    calls = LimitedCalls("it", limit_s=30)

    assert 7 == calls.run(lambda: 7)
    with pytest.raises(ZeroDivisionError):
        calls.run(lambda: 1 // 0)


def test_who_hangs_is_not_waited_for_and_keeps_one_place() -> None:
    calls = LimitedCalls("it", limit_s=0.05, concurrent=2)
    free = threading.Event()
    with pytest.raises(UnavailableError):
        calls.run(lambda: free.wait(30))

    assert 7 == calls.run(lambda: 7, limit_s=30)
    with pytest.raises(UnavailableError):
        calls.run(lambda: free.wait(30))
    with pytest.raises(UnavailableError, match="busy"):
        calls.run(lambda: 7)
    free.set()
    assert 7 == calls.run(lambda: 7, limit_s=30)


def test_a_callee_that_wants_to_end_the_process_ends_nothing() -> None:
    def leave() -> None:
        raise SystemExit(1)

    with pytest.raises(RuntimeError):
        LimitedCalls("it", limit_s=30).run(leave)
