"""A fork API over a desk in memory: the HTTP edge alone, no sockets."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest
from limits import RateLimitItemPerMinute

from vault.core.errors import NotFoundError
from vault.core.flow import (
    Device,
    SessionAnswer,
    SessionChange,
    SessionOrder,
    SessionStatus,
    StreamStatus,
)
from vault.core.ids import DeviceId, RecordingId, new_recording_id
from vault.forks.app import create_forks_app

PBX = Device(id=DeviceId("d1"), name="pbx")
OTHER = Device(id=DeviceId("d2"), name="other")
TOKENS = {"cvd_pbx": PBX, "cvd_other": OTHER}


class MemoryDesk:
    """A desk that remembers orders and fails when told to."""

    def __init__(self) -> None:
        self.orders: dict[RecordingId, SessionOrder] = {}
        self.changes: list[SessionChange] = []
        self.ended: list[RecordingId] = []
        self.failure: Exception | None = None

    async def open(self, order: SessionOrder) -> SessionAnswer:
        self._fail()
        recording_id = new_recording_id()
        self.orders[recording_id] = order
        return SessionAnswer(recording_id=recording_id, sdp="v=0\r\n")

    async def renew(
        self,
        device: Device,
        recording_id: RecordingId,
        *,
        offer: str,
        labels: tuple[str, ...] = (),
    ) -> SessionAnswer:
        self._known(device, recording_id)
        return SessionAnswer(recording_id=recording_id, sdp=offer)

    async def change(
        self, device: Device, recording_id: RecordingId, change: SessionChange
    ) -> SessionStatus:
        self._known(device, recording_id)
        self.changes.append(change)
        return await self.status(device, recording_id)

    async def status(self, device: Device, recording_id: RecordingId) -> SessionStatus:
        self._known(device, recording_id)
        return SessionStatus(
            recording_id=recording_id,
            state="recording",
            reason=None,
            streams=(StreamStatus(label="agent", codec="PCMU", suite="S"),),
        )

    async def close(self, device: Device, recording_id: RecordingId) -> None:
        self._known(device, recording_id)
        self.ended.append(recording_id)

    def _known(self, device: Device, recording_id: RecordingId) -> None:
        self._fail()
        order = self.orders.get(recording_id)
        if order is None or order.device != device:
            raise NotFoundError("no such session")

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure


class Directory:
    def identify(self, token_sha256: bytes) -> Device | None:
        digests = {hashlib.sha256(t.encode()).digest(): d for t, d in TOKENS.items()}
        return digests.get(token_sha256)


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
