"""A desk for the fork API in memory, and the devices that may ask it."""

import hashlib

from vault.core.errors import NotFoundError
from vault.core.flow import (
    Device,
    SessionAnswer,
    SessionChange,
    SessionOrder,
    SessionStatus,
    StreamStatus,
    Wanted,
)
from vault.core.ids import DeviceId, RecordingId, new_recording_id

PBX = Device(id=DeviceId("d1"), name="pbx")
OTHER = Device(id=DeviceId("d2"), name="other")
TOKENS = {"cvd_pbx": PBX, "cvd_other": OTHER}


class MemoryDesk:
    """A desk that remembers orders and fails when told to."""

    def __init__(self) -> None:
        self.orders: dict[RecordingId, SessionOrder] = {}
        self.changes: list[SessionChange] = []
        self.wanted: list[Wanted] = []
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

    async def matching(
        self, device: Device, wanted: Wanted, change: SessionChange | None
    ) -> tuple[SessionStatus, ...]:
        self._fail()
        self.wanted.append(wanted)
        if change is not None:
            self.changes.append(change)
        return tuple(
            SessionStatus(
                recording_id=recording_id,
                state="paused",
                reason=None,
                streams=(),
                resumes_in_s=59.5,
            )
            for recording_id, order in self.orders.items()
            if order.device == device
        )

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
