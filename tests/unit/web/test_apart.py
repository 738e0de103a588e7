import asyncio
import inspect
import os
import threading

import pytest

from vault.core.errors import ThrottledError
from vault.web.apart import MOST_ELSEWHERE, Elsewhere, apart


def nice() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_costly_route_runs_in_a_thread_that_yields_to_others() -> None:
    own = nice()

    @apart
    def route() -> tuple[int, str]:
        return nice(), threading.current_thread().name

    found, name = asyncio.run(route())

    assert (max(own, 10), "proof") == (found, name.partition("_")[0])
    assert own == nice()


def test_it_looks_like_the_route_and_fails_like_it() -> None:
    @apart
    def route(number: int, *, text: str = "x") -> None:
        raise ThrottledError(f"{number}{text}")

    assert ["number", "text"] == list(inspect.signature(route).parameters)
    with pytest.raises(ThrottledError, match="7x"):
        asyncio.run(route(7))


def test_who_comes_when_all_wait_is_refused_and_the_next_ones_are_not() -> None:
    answers, waiting = threading.Event(), threading.Semaphore(0)
    elsewhere = Elsewhere("test")

    @elsewhere
    def route(number: int) -> int:
        waiting.release()
        assert answers.wait(60)
        return number

    async def ask() -> list[int]:
        first = [asyncio.ensure_future(route(n)) for n in range(MOST_ELSEWHERE)]
        for _ in first:
            assert await asyncio.to_thread(waiting.acquire, timeout=60)
        with pytest.raises(ThrottledError):
            await route(-1)
        answers.set()
        return [*await asyncio.gather(*first), await route(99)]

    assert [*range(MOST_ELSEWHERE), 99] == asyncio.run(ask())


def test_a_route_that_fails_gives_its_thread_back() -> None:
    elsewhere = Elsewhere("test")

    @elsewhere
    def route() -> None:
        raise ValueError("no")

    async def ask() -> None:
        for _ in range(2 * MOST_ELSEWHERE):
            with pytest.raises(ValueError, match="no"):
                await route()

    asyncio.run(ask())
