"""A recording desk in memory, and the devices that may ask it: no media, no disk."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from vault.core.errors import NotFoundError, VaultError
from vault.core.flow import (
    Allowance,
    CallFacts,
    Device,
    Document,
    HowEnded,
    SessionAnswer,
    SessionChange,
    SessionOrder,
    SessionStatus,
)
from vault.core.ids import DeviceId, RecordingId, new_id
from vault.core.prefixes import AddressLists
from vault.core.secrets import SecretBytes
from vault.sip.offer import AnsweredStream, Offer, answer, read_offer
from vault.siprec.interfaces import DigestSecret, KeptSession

TOKEN: Final = "token-of-the-pbx"
PBX: Final = Device(
    id=DeviceId("22222222-2222-4222-8222-222222222222"),
    name="pbx",
    allowances=frozenset({Allowance.MD5_DIGEST}),
)
OTHER: Final = Device(id=DeviceId("33333333-3333-4333-8333-333333333333"), name="other")


class MemoryDevices:
    """Implements `SipDevices`."""

    def __init__(self, *devices: Device, by_address: Device | None = None) -> None:
        self.devices = {device.name: device for device in devices or (PBX, OTHER)}
        self.address_is_enough = by_address
        self.expected: set[str] = set()
        self.rules = AddressLists()
        self.heard: list[DeviceId] = []

    def by_certificate(self, sha256: bytes) -> Device | None:
        return None

    def by_address(self, address: str) -> Device | None:
        return self.address_is_enough

    def note_use(self, device: Device) -> None:
        """Note that *device* was heard."""
        self.heard.append(device.id)

    def digest_secret(self, username: str, algorithm: str) -> DigestSecret | None:
        device = self.devices.get(username)
        if device is None:
            return None
        name = {"SHA-256": "sha256", "MD5": "md5"}[algorithm]
        text = f"{username}:callvault:{TOKEN}".encode()
        return DigestSecret(
            device=device, ha1=hashlib.new(name, text).hexdigest().encode()
        )

    def digest_algorithms(self, address: str) -> tuple[str, ...]:
        return ("SHA-256", "MD5")

    def expects(self, address: str) -> bool:
        return address in self.expected

    def limits_of(self, device: Device) -> Device | None:
        return self.devices.get(device.name)

    def address_lists(self, listener: str) -> AddressLists:
        return self.rules


@dataclass(kw_only=True)
class MemorySession:
    """One session, and everything that was asked of it."""

    order: SessionOrder
    offer: Offer
    sdp: str
    facts: CallFacts
    documents: list[Document] = field(default_factory=list)
    renewals: list[str] = field(default_factory=list)
    changes: list[SessionChange] = field(default_factory=list)
    signalling: bytes = b""
    ended: HowEnded | None = None


class MemoryDesk:
    """Implements `RecordingDesk`; refusals and slowness are parameters."""

    def __init__(self) -> None:
        self.sessions: dict[RecordingId, MemorySession] = {}
        self.refusal: VaultError | None = None
        "Raised by `check` and `open`."
        self.change_refusal: VaultError | None = None
        self.gate: asyncio.Event | None = None
        "`open` waits for it."
        self.asked = 0
        "How many calls `open` was asked for."
        self.kept_sessions: tuple[KeptSession, ...] = ()
        self._told: list[Callable[[RecordingId, HowEnded], None]] = []

    @property
    def only(self) -> MemorySession:
        """The one session that there is."""
        (session,) = self.sessions.values()
        return session

    def check(self, device: Device) -> None:
        if self.refusal is not None:
            raise self.refusal

    async def open(self, order: SessionOrder) -> SessionAnswer:
        self.asked += 1
        self.check(order.device)
        offer = read_offer(order.offer, order.labels, order.device.allowances)
        if self.gate is not None:
            await self.gate.wait()
        recording_id = RecordingId(new_id())
        session = MemorySession(
            order=order,
            offer=offer,
            sdp=_answered(offer),
            facts=order.call,
            documents=list(order.documents),
            signalling=order.signalling,
        )
        self.sessions[recording_id] = session
        return SessionAnswer(recording_id=recording_id, sdp=session.sdp)

    async def renew(
        self,
        device: Device,
        recording_id: RecordingId,
        *,
        offer: str,
        labels: tuple[str, ...] = (),
    ) -> SessionAnswer:
        session = self._live(device, recording_id)
        session.offer = read_offer(offer, labels, device.allowances)
        session.renewals.append(offer)
        session.sdp = _answered(session.offer, 1 + len(session.renewals))
        return SessionAnswer(recording_id=recording_id, sdp=session.sdp)

    def current(self, device: Device, recording_id: RecordingId) -> SessionAnswer:
        session = self._live(device, recording_id)
        return SessionAnswer(recording_id=recording_id, sdp=session.sdp)

    async def change(
        self, device: Device, recording_id: RecordingId, change: SessionChange
    ) -> SessionStatus:
        session = self._live(device, recording_id)
        if self.change_refusal is not None:
            raise self.change_refusal
        session.changes.append(change)
        session.documents += change.documents
        return await self.status(device, recording_id)

    async def status(self, device: Device, recording_id: RecordingId) -> SessionStatus:
        return SessionStatus(
            recording_id=recording_id, state="recording", reason=None, streams=()
        )

    async def close(
        self,
        device: Device,
        recording_id: RecordingId,
        *,
        how: HowEnded = HowEnded.BYE,
    ) -> None:
        session = self.sessions.get(recording_id)
        if session is None or session.order.device.id != device.id:
            raise NotFoundError("no such session of this device")
        self.end(recording_id, how)

    def note_signalling(
        self, device: Device, recording_id: RecordingId, state: bytes
    ) -> None:
        self._live(device, recording_id).signalling = state

    def kept(self) -> tuple[KeptSession, ...]:
        return self.kept_sessions

    def on_end(self, told: Callable[[RecordingId, HowEnded], None]) -> None:
        self._told.append(told)

    # -- what tests do -----------------------------------------------------------

    def end(self, recording_id: RecordingId, how: HowEnded) -> None:
        """End a session, as time or the device does."""
        session = self.sessions[recording_id]
        if session.ended is None:
            session.ended = how
            for told in self._told:
                told(recording_id, how)

    def end_only(self, how: HowEnded) -> None:
        """End the one session that there is."""
        (recording_id,) = self.sessions
        self.end(recording_id, how)

    def survivors(self) -> tuple[KeptSession, ...]:
        """Return what a next process would be handed."""
        return tuple(
            KeptSession(
                recording_id=recording_id,
                device=session.order.device,
                signalling=session.signalling,
            )
            for recording_id, session in self.sessions.items()
            if session.ended is None
        )

    def _live(self, device: Device, recording_id: RecordingId) -> MemorySession:
        session = self.sessions.get(recording_id)
        if session is None or session.ended or session.order.device.id != device.id:
            raise NotFoundError("no such session of this device")
        return session


def _answered(offer: Offer, version: int = 1) -> str:
    ours = {
        one.index: AnsweredStream(
            port=40_000 + 2 * one.index, key=SecretBytes(bytes(64))
        )
        for one in offer.streams
    }
    return str(answer(offer, ours, address="127.0.0.1", session=1, version=version))
