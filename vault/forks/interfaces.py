"""What the fork API is handed: who may ask, and who records.

Every call of a `SessionDesk` names the device that asks.  A session of another
device MUST look exactly like one that does not exist (`NotFoundError`).
"""

from typing import Protocol

from vault.core.flow import (
    Device,
    SessionAnswer,
    SessionChange,
    SessionOrder,
    SessionStatus,
    Wanted,
)
from vault.core.ids import RecordingId


class SessionDesk(Protocol):
    """Takes orders to record, and answers for every one it has taken."""

    async def open(self, order: SessionOrder) -> SessionAnswer:
        """Begin to record.

        Returns only when the wrapped data key is durable and the ports listen:
        from then on the session MUST end as stored, partial or failed.

        Raises:
            MalformedSignallingError: The offer is not SDP.
            UnsupportedOfferError: Nothing in the offer that we take.
            SpoolFullError: No room or no ports: nothing was begun.
            NoRecipientKeyError: No key to wrap for: nothing was begun.
            UnavailableError: Draining: nothing was begun.
        """
        ...

    async def renew(
        self,
        device: Device,
        recording_id: RecordingId,
        *,
        offer: str,
        labels: tuple[str, ...] = (),
    ) -> SessionAnswer:
        """Answer a new offer for a running session; ports stay.

        Raises:
            NotFoundError: No such session of this device.
            ConflictError: It has ended.
            MalformedSignallingError, UnsupportedOfferError: As `open`; the
                session goes on as it was.
        """
        ...

    async def change(
        self, device: Device, recording_id: RecordingId, change: SessionChange
    ) -> SessionStatus:
        """Pause, resume, or replace facts about the call.

        Raises:
            NotFoundError: No such session of this device.
            ConflictError: It has ended.
            SpoolFullError, UnavailableError: The trail could not be told: nothing
                has changed.
        """
        ...

    async def matching(
        self, device: Device, wanted: Wanted, change: SessionChange | None
    ) -> tuple[SessionStatus, ...]:
        """Find running sessions, and pause or resume them where *change* says so.

        Those of *device*, and of others where it is allowed `PAUSE_OTHERS`.  What is
        returned has no counters.

        Raises:
            UnavailableError: Some could not be changed; all others were.
        """
        ...

    async def status(self, device: Device, recording_id: RecordingId) -> SessionStatus:
        """Say where a session stands; counters may lag one tick.

        Raises:
            NotFoundError: No such session of this device.
        """
        ...

    async def close(self, device: Device, recording_id: RecordingId) -> None:
        """End a session; returns when its manifest is durable.

        Closing one that has ended succeeds and changes nothing.

        Raises:
            NotFoundError: No such session of this device.
        """
        ...


class DeviceDirectory(Protocol):
    """Knows which devices may ask; usable without any server."""

    def identify(self, token_sha256: bytes) -> Device | None:
        """Return the device whose token has this SHA-256, unless it was revoked.

        Implementations MUST compare in constant time, and MUST NOT wait for a
        network or a disk: they are called on the event loop.
        """
        ...
