"""What a recorder may ask of a tap.

Guarantees: an implementation never blocks the event loop on a disk or on a
worker, and never lets a packet end a call.
"""

from typing import Protocol

from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.tap.orders import (
    CallOrder,
    CallReport,
    PortPair,
    StreamChange,
    StreamCounters,
    StreamOrder,
)


class MediaTap(Protocol):
    """Takes media in and seals it into part files; `vault.tap.pool` is the real one."""

    def reserve(self, streams: int) -> list[PortPair]:
        """Bind two ports for each of *streams* streams, RTP even and RTCP odd.

        From here on the kernel keeps what arrives.  The caller MUST hand every
        pair to `open_call` or `add_streams`, or give it back with `release`.

        Raises:
            SpoolFullError: No free media ports or descriptors.
        """
        ...

    def release(self, ports: list[PortPair]) -> None:
        """Give back pairs that no call uses."""
        ...

    async def open_call(self, order: CallOrder) -> None:
        """Start to capture; returns when a worker has the call.

        Raises:
            UnavailableError: The first part could not be opened or no worker took
                the call.  The ports have been released.
        """
        ...

    async def change_stream(
        self, recording_id: RecordingId, change: StreamChange
    ) -> None:
        """Re-key, re-map, hold or unhold a stream of a running call.

        Raises:
            NotFoundError: No such call or stream.
        """
        ...

    async def add_streams(
        self, recording_id: RecordingId, streams: tuple[StreamOrder, ...]
    ) -> None:
        """Receive further m-lines in a running call.

        Raises:
            NotFoundError: No such call.
        """
        ...

    async def pause(self, recording_id: RecordingId, paused: bool) -> None:  # noqa: FBT001 - a state and no option
        """Stop or resume capturing; what arrives meanwhile is only counted.

        What arrived before the call is still captured.

        Raises:
            NotFoundError: No such call.
        """
        ...

    async def counters(self, recording_id: RecordingId) -> tuple[StreamCounters, ...]:
        """Return the counters of every stream; they may lag one tick.

        Raises:
            NotFoundError: No such call.
        """
        ...

    async def close_call(
        self, recording_id: RecordingId, how: HowEnded = HowEnded.BYE
    ) -> CallReport:
        """End a call: sweep once more, wait 200 ms for stragglers, seal the end.

        Part files are written, but not synced: that is the caller's.  The
        ports cool down before they are used again.

        Raises:
            NotFoundError: No such call, or closed before.
        """
        ...
