import asyncio
from typing import Any

import pytest

from vault.web.apart import MOST
from vault.web.crowd import Crowd


class Door:
    """A crowd before an application that lets nobody go before it is told to."""

    def __init__(self) -> None:
        self.refused = 0
        self.go = asyncio.Event()
        self.crowd = Crowd(self._app, self._count)

    def _count(self) -> None:
        self.refused += 1

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        await self.go.wait()
        await send({"type": "http.response.start", "status": 201, "headers": []})

    async def comes(self, method: str = "POST", path: str = "/api/v1/sessions") -> int:
        statuses = list[int]()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def receive() -> Any:
            raise AssertionError

        scope = {"type": "http", "method": method, "path": path}
        await self.crowd(scope, receive, send)
        return statuses[0]


@pytest.mark.parametrize("path", ["/api/v1/sessions", "/sign-in"])
def test_who_does_not_fit_hears_so_at_once_and_others_are_not_concerned(
    path: str,
) -> None:
    async def scenario() -> None:
        door = Door()
        inside = [asyncio.create_task(door.comes(path=path)) for _ in range(MOST)]
        await asyncio.sleep(0)

        assert 429 == await door.comes(path=path)
        assert 1 == door.refused
        other = asyncio.create_task(door.comes("GET", path))
        elsewhere = asyncio.create_task(door.comes("POST", "/api/v1/tokens"))
        await asyncio.sleep(0)
        door.go.set()
        assert [201] * MOST == await asyncio.gather(*inside)
        assert [201, 201] == [await other, await elsewhere]
        assert 201 == await door.comes(path=path)

    asyncio.run(scenario())
