"""A fork API over a desk in memory: the HTTP edge alone, no sockets."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest
from limits import RateLimitItemPerMinute

from tests.simulators.fork_desk import Directory, MemoryDesk
from vault.forks.app import create_forks_app


@dataclass
class Api:
    desk: MemoryDesk = field(default_factory=MemoryDesk)
    rate: int = 10_000
    why_not: Callable[[], str] = lambda: ""

    def __post_init__(self) -> None:
        self.app = create_forks_app(
            self.desk,
            Directory(),
            rate=RateLimitItemPerMinute(self.rate),
            why_not=self.why_not,
        )

    def __call__(
        self, method: str, path: str, *, token: str | None = "cvd_pbx", **named: object
    ) -> httpx.Response:
        headers = dict(named.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://tap"
            ) as client:
                return await client.request(method, path, headers=headers, **named)

        return asyncio.run(ask())

    def opened(self, **call: object) -> str:
        answer = self("POST", "/api/v1/forks", json={"sdp": "v=0", "call": call})
        return answer.json()["id"]


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def make_api() -> Callable[..., Api]:
    return Api
