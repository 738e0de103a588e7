"""What a recorder may ask of a tap.

Guarantees: an implementation never blocks the event loop on a disk or on a
worker, and never lets a packet end a call.
"""

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.tap.capture import Event
from vault.tap.orders import (
    CallOrder,
    CallReport,
    PortPair,
    StreamChange,
    StreamCounters,
    StreamOrder,
)

Hear = Callable[[bytes, tuple[str, int]], None]
"Takes a datagram, and address and port that it came from."


class DescriptorStore(Protocol):
    """Keeps descriptors beyond the life of this process (sd_notify(3), FDSTORE).

    Whoever starts this process again hands them back.  Without one, a call lives as
    long as either the supervisor or its media worker does.
    """

    def keep(self, name: str, fds: Sequence[int]) -> None:
        """Keep duplicates of *fds* under *name*, with those already there.

        *name* is letters, digits and ``-``.  Never waits, never raises.  What is
        there already, and what was handed back, need not be kept again.
        """
        ...

    def drop(self, name: str) -> None:
        """Forget every descriptor called *name*."""
        ...

    def handed_back(self) -> Mapping[str, Sequence[int]]:
        """Return what an earlier process kept, by name, in no order.

        A name longer than 12 octets comes back as a shorter one (a digest): it tells
        which descriptors belong together, and no more.  `drop` and `keep` take
        either of them.

        The caller owns the descriptors; a second call returns nothing.
        """
        ...


class AdoptedCall(Protocol):
    """A call that an earlier supervisor had opened, and that goes on."""

    @property
    def recording_id(self) -> RecordingId:
        """Whose call."""
        ...

    @property
    def state(self) -> bytes:
        """What `MediaTap.keep_state` was last given."""
        ...


class MediaTap(Protocol):
    """Takes media in and seals it into part files; `vault.tap.pool` is the real one."""

    async def adopt(
        self, open_part: Callable[[RecordingId], Callable[[int], int]]
    ) -> "tuple[AdoptedCall, ...]":
        """Take over what an earlier supervisor had opened.

        From workers that outlived it, and from the descriptor store.  Called once,
        before the first `reserve`.

        *open_part* gives, for a recording, what `CallOrder.open_part` is.
        """
        ...

    def check(self, streams: int) -> None:
        """Find out whether a call of *streams* streams could be kept up with.

        Raises:
            SpoolFullError: No free descriptors, or every worker is at its capacity
                or behind its sweep.
        """
        ...

    def keep_state(self, recording_id: RecordingId, state: bytes) -> None:
        """Remember *state* beside the call, for another supervisor to go on with.

        At most 60 KiB, in locked memory; an unknown call is no error.  Works until
        `forget`, also after `close_call`.

        Raises:
            ValueError: *state* is larger.
        """
        ...

    def forget(self, recording_id: RecordingId) -> None:
        """Drop what is kept of a call that `close_call` has ended.

        Callers MUST call it once the call's manifest is durable, and MUST NOT before:
        until then another supervisor gets the call from `adopt`, and its report from
        `close_call`.
        """
        ...

    def reserve(self, streams: int) -> list[PortPair]:
        """Bind two ports for each of *streams* streams, RTP even and RTCP odd.

        From here on the kernel keeps what arrives.  The caller MUST hand every
        pair to `open_call` or `add_streams`, or give it back with `release`.

        Raises:
            SpoolFullError: No free media ports or descriptors.
        """
        ...

    def media_socket(self, ports: PortPair) -> socket.socket:
        """Return the socket of a reserved pair that media will come to.

        For handshakes, before the pair goes to `open_call` or `add_streams`; from
        then on the caller MUST NOT read it any more (it may send), and it MUST NOT
        close it ever.
        """
        ...

    async def relay(
        self, recording_id: RecordingId, index: int, hear: Hear | None
    ) -> None:
        """Hand the DTLS that a running stream receives to *hear*, or end that.

        For another handshake, whose answers leave by `media_socket`.  With ICE only
        what comes from an address that passed a check.  *hear* is called on the
        event loop, a tick late, at most 64 times a tick, and MUST NOT raise.

        Raises:
            NotFoundError: No such call or stream.
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

        On an error their ports stay the caller's.

        Raises:
            NotFoundError: No such call.
            UnavailableError: They could not be received.
        """
        ...

    async def pause(self, recording_id: RecordingId, paused: bool) -> None:  # noqa: FBT001 - a state and no option
        """Stop or resume capturing; what arrives meanwhile is only counted.

        What arrived before the call is still captured.

        Raises:
            NotFoundError: No such call.
        """
        ...

    async def note(self, recording_id: RecordingId, index: int, event: Event) -> None:
        """Add an event about a stream to the capture.

        While no worker has the call it is lost.

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

    def recent_counters(self, recording_id: RecordingId) -> tuple[StreamCounters, ...]:
        """Return the same as last reported, up to a second old; asks no worker.

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
