"""State of calls and streams inside a media worker.

Guarantees: a call captures, or it says in its counters what it did not.

Left to others: moving packets (`vault.tap.sweep`), who may order what
(`vault.tap.control` brings orders of the supervisor only).
"""

import time
from dataclasses import replace

from vault.core.canonical import JsonValue
from vault.core.ids import RecordingId, recording_id_octets
from vault.core.secrets import SecretBytes
from vault.tap.capture import (
    WHOLE_CALL,
    Event,
    encode_event,
    stream_members,
)
from vault.tap.counting import StreamCount
from vault.tap.orders import StreamChange, StreamOrder
from vault.tap.part import Part
from vault.tap.slots import Slots
from vault.tap.srtp import InboundSession, inbound


class Stream:
    """One m-line being received."""

    # Plain attributes: read per batch.
    __slots__ = (
        "call",
        "count",
        "fds",
        "order",
        "previous",
        "previous_until_s",
        "rtcp_only",
        "session",
        "slots",
    )

    def __init__(
        self,
        *,
        call: "Call",
        order: StreamOrder,
        fds: tuple[int, int],
        slots: Slots,
        max_ssrcs: int,
    ) -> None:
        self.call = call
        self.order = order
        self.fds = fds
        self.slots = slots
        self.count = StreamCount(max_ssrcs)
        self.rtcp_only: set[int] = set()
        "SSRCs that reported and sent no media."
        self.previous: InboundSession | None = None
        self.previous_until_s = 0.0
        self.session = inbound(order.suite, order.key, order.mkis)

    def rekey(self, order: StreamOrder, until_s: float) -> None:
        """Take the key of *order*; packets under the old one pass until *until_s*."""
        self.previous = self.session
        self.previous_until_s = until_s
        self.order = order
        self.session = inbound(order.suite, order.key, order.mkis)

    def forget(self, ssrc: int) -> None:
        """Free what a session holds for an SSRC that is not wanted."""
        self.session.forget(ssrc)
        if self.previous is not None:
            self.previous.forget(ssrc)


class Call:
    """One call being captured."""

    # Plain attributes: read per batch.
    __slots__ = (
        "capturing",
        "dek",
        "id",
        "is_dirty",
        "octets",
        "part",
        "paused",
        "streams",
    )

    def __init__(
        self, *, recording_id: RecordingId, dek: SecretBytes, part: Part, paused: bool
    ) -> None:
        self.id = recording_id
        self.octets = recording_id_octets(recording_id)
        self.dek = dek
        self.part = part
        self.paused = paused
        self.capturing = not paused
        "False while paused, and after the part failed."
        self.is_dirty = False
        self.streams: dict[int, Stream] = {}

    def note(
        self,
        event: Event,
        stream: int = WHOLE_CALL,
        members: dict[str, JsonValue] | None = None,
    ) -> None:
        """Add an event record; events are captured in a pause, too."""
        now_ns = time.time_ns()
        self.part.buffer += encode_event(
            event, now_ns=now_ns, stream=stream, members=members
        )

    def note_start(self, gap: str) -> None:
        """Open a part: all streams first, then what explains the part itself."""
        for index, stream in self.streams.items():
            self.note(Event.STREAM_ADDED, index, stream_members(stream.order))
        if gap:
            self.note(Event.GAP, members={"reason": gap})
        if self.paused:
            self.note(Event.PAUSE)
        for index, stream in self.streams.items():
            if stream.order.held:
                self.note(Event.HOLD, index)

    def pause(self, paused: bool) -> None:  # noqa: FBT001 - a state and no option
        """Stop or resume capturing."""
        if paused == self.paused:
            return
        self.note(Event.PAUSE if paused else Event.RESUME)
        self.paused = paused
        self.settle()

    def settle(self) -> None:
        """Bring `capturing` in line after a pause, a failure or a new part."""
        self.capturing = not self.paused and not self.part.failure


def changed(order: StreamOrder, change: StreamChange) -> StreamOrder:
    """Return *order* as *change* makes it."""
    given = {
        name: value
        for name in ("suite", "key", "mkis", "payloads", "rtcp_mux", "remote", "held")
        if (value := getattr(change, name)) is not None
    }
    return replace(order, **given)
