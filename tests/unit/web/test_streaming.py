import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.simulators.asgi import client_for
from vault.core.errors import NotAuthenticatedError, SealBrokenError
from vault.web import streaming
from vault.web.streaming import ABORT, CuttableResponse, asked_again


def blocks(*items: bytes | Exception) -> Iterator[bytes]:
    for item in items:
        if isinstance(item, Exception):
            raise item
        yield item


def served(iterator: Iterator[bytes]) -> httpx.Response:
    response = CuttableResponse(iterator, status_code=200, headers={"X-A": "b"})
    return client_for(response).get("/")


def test_blocks_arrive_in_order_with_the_headers() -> None:
    answer = served(blocks(b"ab", b"c", b"", b"d"))

    assert (answer.content, answer.headers["x-a"]) == (b"abcd", "b")


def test_nothing_at_all_is_a_whole_answer() -> None:
    assert served(blocks()).content == b""


def test_what_the_first_block_raises_is_raised_before_there_is_an_answer() -> None:
    with pytest.raises(SealBrokenError):
        CuttableResponse(blocks(SealBrokenError("")), status_code=200, headers={})


def test_a_later_failure_ends_the_connection_and_not_the_answer() -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        served(blocks(b"a", SealBrokenError("")))


def test_nothing_more_is_made_for_a_client_that_left() -> None:
    made: list[int] = []

    def endless() -> Iterator[bytes]:
        for n in range(10_000):
            made.append(n)
            yield b"x"

    async def scenario() -> None:
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(_message: dict[str, Any]) -> None:
            if len(made) == 3:
                left.set()
            await asyncio.sleep(0)

        response = CuttableResponse(endless(), status_code=200, headers={})
        await response({"type": "http"}, receive, send)

    asyncio.run(scenario())

    assert len(made) < 10


def test_a_client_that_does_not_read_is_cut_off_as_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "ASK_EVERY_S", 0.01)
    asked, aborted, closed = list[int](), list[bool](), list[bool]()

    def still_allowed() -> None:
        asked.append(len(asked))
        if len(asked) == 3:
            raise NotAuthenticatedError("signed out")

    def plenty() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.append(True)

    async def scenario() -> None:
        stalled = asyncio.Event()

        async def receive() -> dict[str, Any]:
            await stalled.wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            if message.get("body"):
                await stalled.wait()

        response = CuttableResponse(
            plenty(), status_code=200, headers={}, still_allowed=still_allowed
        )
        scope = {"type": "http", "state": {ABORT: lambda: aborted.append(True)}}
        await asyncio.wait_for(response(scope, receive, send), 10)

    asyncio.run(scenario())

    assert ([0, 1, 2], [True], [True]) == (asked, aborted, closed)


def test_blocks_stop_where_nothing_more_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streaming, "ASK_EVERY_S", 0.0)
    taken = list[bytes]()
    closed = list[bool]()

    def plenty() -> Iterator[bytes]:
        try:
            while True:
                yield b"x"
        finally:
            closed.append(True)

    def still_allowed() -> None:
        if len(taken) == 2:
            raise NotAuthenticatedError("signed out")

    def take() -> None:
        for block in asked_again(plenty(), still_allowed):
            taken.append(block)

    with pytest.raises(NotAuthenticatedError):
        take()

    assert ([b"x", b"x"], [True]) == (taken, closed)
