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
from vault.tap.consent import Consent
from vault.tap.counting import SsrcTrack, StreamCount
from vault.tap.digits import NONE, Presses, digit_types, shapes_of
from vault.tap.doubt import Doubt
from vault.tap.orders import SsrcSpan, StreamChange, StreamOrder
from vault.tap.page import PageWriter
from vault.tap.part import Part
from vault.tap.rtp import extended_sequence
from vault.tap.slots import Slots
from vault.tap.source_lock import Port
from vault.tap.srtp import InboundSession, inbound


class Stream:
    """One m-line being received."""

    # Plain attributes: read per batch.
    __slots__ = (
        "apart",
        "call",
        "capturing",
        "consent",
        "count",
        "digits",
        "doubt",
        "is_marked",
        "joined",
        "known",
        "order",
        "ports",
        "presses",
        "previous",
        "previous_until_s",
        "rtcp_only",
        "session",
        "slots",
        "track",
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
        self.capturing = False
        "Whether what is authentic goes into the capture."
        self.presses = Presses()
        self.digits = NONE
        self.settle()
        self.slots = slots
        self.count = StreamCount(max_ssrcs)
        self.known: dict[int, SsrcTrack] = {}
        "The SSRCs that were authentic under the present key."
        self.track: SsrcTrack | None = None
        "The one of them that sent last."
        self.joined: dict[int, tuple[int, int | None]] = {}
        """SSRCs that a trial has led the session to: index of a packet, and the same
        packet's extended number where the SSRC was known under this key before."""
        self.doubt = Doubt()
        self.is_marked = False
        "Whether its counters changed since they were written to the page."
        self.rtcp_only: set[int] = set()
        "SSRCs that reported and sent no media."
        self.previous: InboundSession | None = None
        self.previous_until_s = 0.0
        self.session = inbound(order.suite, order.key, order.mkis)
        self.consent = None if order.ice is None else Consent(order.ice)
        self.ports = tuple(
            Port(fd, self, is_rtcp=number == 1) for number, fd in enumerate(fds)
        )

    @property
    def heard_s(self) -> float:
        """When an authentic packet was last taken in, by the sweep's clock."""
        return max((track.seen_s for track in self.known.values()), default=0.0)

    def settle(self) -> None:
        """Bring in line what follows from the call and from *order*."""
        self.capturing = self.call.capturing and not self.order.held
        # What is in flight may be of the payload map before: its digits stay digits
        # where the new one does not say what else they are.
        mapped = {payload.payload_type for payload in self.order.payloads}
        self.digits = digit_types(self.order) | (self.digits - mapped)
        "Payload types that are counted and not captured."
        self.apart = shapes_of(self.digits)

    def discard(self, packets: int) -> None:
        """Count authentic packets that are not captured."""
        self.count.not_captured += packets
        if self.call.paused or self.order.held:
            self.count.discarded += packets

    def rekey(self, order: StreamOrder, until_s: float) -> None:
        """Take the key of *order*; packets under the old one pass until *until_s*."""
        self.previous = self.session
        self.previous_until_s = until_s
        self.order = order
        self.session = inbound(order.suite, order.key, order.mkis)
        # Whether the sender keeps its rollover counters shows with its packets.
        self.known.clear()
        self.joined.clear()
        self.track = None
        for track in self.count.ssrcs.tracks.values():
            self.note(track)

    def resume(self, page: PageWriter) -> None:
        """Go on where an earlier worker stopped, as it noted on the page."""
        self.count.restore(page.counts(self.order.index))
        for one in page.indexes(self.order.index):
            span = SsrcSpan(
                ssrc=one.ssrc, first=one.first, last=one.last, packets=one.packets
            )
            track = self.count.ssrcs.restore(span, one.extended)
            if one.extended >= 0 and self.session.fast_forward(one.ssrc, one.extended):
                self.known[one.ssrc] = track

    def admit(
        self, ssrc: int, seq: int, now_s: float, *, old: bool = False
    ) -> SsrcTrack | None:
        """Count the first packet of an SSRC under a key; None if it is one too many.

        Args:
            ssrc: Of the packet.
            seq: Sequence number on the wire.
            now_s: By the sweep's clock.
            old: Whether the packet came under the previous key.
        """
        index, extended = seq, None
        if ssrc in self.joined and not old:
            near, far = self.joined.pop(ssrc)
            # Without a trial it is rollover 0: where a fresh session begins.
            index = extended_sequence(seq=seq, highest=near)
            extended = None if far is None else far + index - near
        track = self.count.ssrcs.tracks.get(ssrc)
        if track is None:
            track = self.count.ssrcs.admit(ssrc, index, now_s)
            if track is None:
                return None
            extended = index
        else:
            if extended is None:
                extended = extended_sequence(seq=seq, highest=track.last)
            track.add_extended(extended, now_s)
        if not old:
            track.shift = extended - index
            self.known[ssrc] = track
        return track

    def note(self, track: SsrcTrack) -> None:
        """Write on the call's page how far an SSRC has come."""
        page = self.call.page
        if page is not None:
            page.note(
                self.order.index,
                track.ssrc,
                track.index if track.ssrc in self.known else -1,
                track.packets,
                track.first,
                track.last,
            )

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
        "page",
        "part",
        "paused",
        "streams",
    )

    def __init__(
        self,
        *,
        recording_id: RecordingId,
        dek: SecretBytes,
        part: Part,
        paused: bool,
        page: PageWriter | None = None,
    ) -> None:
        self.id = recording_id
        self.octets = recording_id_octets(recording_id)
        self.dek = dek
        self.part = part
        self.page = page
        "Where it is written how far each stream has come."
        self.paused = paused
        self.capturing = not paused
        "False while paused, and after the part failed.  A stream may be held besides."
        self.is_dirty = False
        self.streams: dict[int, Stream] = {}

    def note(
        self,
        event: Event,
        stream: int = WHOLE_CALL,
        members: dict[str, JsonValue] | None = None,
        *,
        now_ns: int = 0,
    ) -> None:
        """Add an event record, of *now_ns* or now; also in a pause."""
        self.part.buffer += encode_event(
            event, now_ns=now_ns or time.time_ns(), stream=stream, members=members
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
        for stream in self.streams.values():
            stream.settle()


def changed(order: StreamOrder, change: StreamChange) -> StreamOrder:
    """Return *order* as *change* makes it."""
    given = {
        name: value
        for name in (
            *("suite", "key", "mkis", "ice"),
            *("payloads", "rtcp_mux", "relays", "remote", "held"),
        )
        if (value := getattr(change, name)) is not None
    }
    return replace(order, **given)
