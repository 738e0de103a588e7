"""What the session recording server is handed: who may ask, and who records.

A `RecordingDesk` is told the device with every call.  A session of another device
MUST look exactly like one that does not exist (`NotFoundError`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from vault.core.flow import (
    Device,
    HowEnded,
    SessionAnswer,
    SessionChange,
    SessionOrder,
    SessionStatus,
)
from vault.core.ids import RecordingId
from vault.core.prefixes import AddressLists


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestSecret:
    """What one device's answers to challenges are checked with (RFC 8760)."""

    device: Device
    ha1: bytes = field(repr=False)
    "``H(name:realm:token)`` in lower-case hexadecimal, as the digest needs it."
    certificate_required: bool = False
    "It has pinned certificates: an answer without one of them is not enough."


class SipDevices(Protocol):
    """Knows who may speak SIP to us; usable without any server.

    No call waits for a network or a disk: they are made on the event loop.  Revoked
    devices are never returned.
    """

    def by_certificate(self, sha256: bytes) -> Device | None:
        """Return the device that has pinned this certificate (SHA-256 of its DER)."""
        ...

    def by_address(self, address: str) -> Device | None:
        """Return the one device that may be known by *address*; None if several."""
        ...

    def digest_secret(self, username: str, algorithm: str) -> DigestSecret | None:
        """Return how to check *username*; None for one that is unknown.

        So is ``MD5`` where the device is not allowed it.

        Args:
            username: A device's name, as it was typed into the PBX.
            algorithm: ``SHA-256`` or ``MD5``.
        """
        ...

    def digest_algorithms(self, address: str) -> tuple[str, ...]:
        """Return what a peer at *address* is challenged with, best first.

        ``SHA-256``; ``MD5`` after it where a device is allowed it that may come
        from there; ``MD5`` alone where every device that lists *address* is.
        """
        ...

    def expects(self, address: str) -> bool:
        """Whether *address* is in the list of some device."""
        ...

    def limits_of(self, device: Device) -> Device | None:
        """Return *device* as it stands now; None once it was revoked."""
        ...

    def note_use(self, device: Device) -> None:
        """Note that *device* was heard just now; MUST take no longer than a look-up."""
        ...

    def address_lists(self, listener: str) -> AddressLists:
        """Return which addresses are listened to at all, by rules that may change."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSession:
    """A session that outlived the process which took it on."""

    recording_id: RecordingId
    device: Device
    signalling: bytes
    "As it was last handed to `RecordingDesk.note_signalling`."


class RecordingDesk(Protocol):
    """Takes orders to record, and answers for every one it has taken."""

    def check(self, device: Device) -> None:
        """Say, without any work, whether another session could be taken now.

        Raises:
            UnavailableError: No: draining, no room, no keys; or *device* is at
                its limit of calls.
        """
        ...

    async def open(self, order: SessionOrder) -> SessionAnswer:
        """Begin to record; see `vault.forks.interfaces.SessionDesk.open`."""
        ...

    async def renew(
        self,
        device: Device,
        recording_id: RecordingId,
        *,
        offer: str,
        labels: tuple[str, ...] = (),
    ) -> SessionAnswer:
        """Answer a new offer; ports stay.  See `SessionDesk.renew`."""
        ...

    def current(self, device: Device, recording_id: RecordingId) -> SessionAnswer:
        """Return our SDP as it stands: the offer for a re-INVITE without one.

        Raises:
            NotFoundError: No such session of this device, or it has ended.
        """
        ...

    async def change(
        self, device: Device, recording_id: RecordingId, change: SessionChange
    ) -> SessionStatus:
        """Pause, resume, or replace facts about the call."""
        ...

    async def close(
        self,
        device: Device,
        recording_id: RecordingId,
        *,
        how: HowEnded = HowEnded.BYE,
    ) -> None:
        """End a session; returns when its manifest is durable.

        Args:
            device: Whose it is.
            recording_id: Which; closing one that has ended changes nothing.
            how: ``bye``, or ``timeout`` for a peer that is not heard of any more.

        Raises:
            NotFoundError: No such session of this device.
            UnavailableError: The manifest is not written yet; it is tried again.
        """
        ...

    def note_signalling(
        self, device: Device, recording_id: RecordingId, state: bytes
    ) -> None:
        """Keep *state* beside the call, instead of what was kept before.

        It MUST be called between `open` and the answer to the peer: until then
        another process would take the call for one that was never answered.

        Raises:
            NotFoundError: No such session of this device, or it has ended.
        """
        ...

    def kept(self) -> tuple[KeptSession, ...]:
        """Return the sessions of an earlier process that go on (`signalling` set)."""
        ...

    def on_end(self, told: Callable[[RecordingId, HowEnded], None]) -> None:
        """Call *told* on the event loop whenever a session has ended, however."""
        ...
