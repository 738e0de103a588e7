"""From records to one table of RTP packets per stream.

A table holds one column per header field and the G.711 octets of all its packets
behind each other; nothing is decoded yet.  One hour of one leg takes about 36 MB.

Guarantees:
    * Every RTP packet of a stream is in its table, in order of arrival, with the
      payload format that the events before it announced; also one that a late key
      opened, at the place where it arrived.
    * A packet or event that does not parse is counted and changes nothing else.

Left to others: order, loss and time (`vault.renditions.legs`,
`vault.renditions.timeline`); opening what failed authentication
(`vault.renditions.deferred`).

Spec: RFC 3550, section 5.1; RFC 3551; docs/reference/formats/capture.md
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vault.core.canonical import JsonObject
from vault.core.clock import NS_PER_S
from vault.core.errors import MalformedPacketError
from vault.renditions.deferred import DeferredDecryption
from vault.renditions.pauses import Pauses
from vault.renditions.payloads import Format, PayloadTable
from vault.renditions.records import KIND, STREAM, Octets, RecordScanner
from vault.renditions.rtp_columns import arrival_ns, field, payload_spans
from vault.tap.capture import (
    HEADER,
    HEADER_SIZE,
    WHOLE_CALL,
    Event,
    Kind,
    Record,
    parse_event,
)

_Number = TypeVar("_Number", bound=np.generic)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PacketTable:
    """The RTP packets of one stream in order of arrival; one row per packet."""

    arrival_ns: NDArray[np.int64]
    ssrc: NDArray[np.uint32]
    seq: NDArray[np.uint16]
    timestamp: NDArray[np.uint32]
    format: NDArray[np.uint8]
    clock_hz: NDArray[np.int32]
    "Rate of the packet's timestamp; 0 where no event said it."
    start: NDArray[np.int64]
    "Where in `payload` the packet's octets start."
    samples: NDArray[np.int32]
    "G.711 octets of the packet; 0 for other formats."
    payload: Octets

    def __len__(self) -> int:
        return len(self.seq)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StreamPackets:
    """What one stream of a call sent."""

    stream: int
    label: str
    media: str
    suite: str
    "As the capture's events spell it; empty where none announced the stream."
    packets: PacketTable
    rtcp: int
    undecryptable: int
    "Kept although they failed authentication, and still not opened."
    recovered: int
    "Among `packets`: failed authentication when they came, opened by a late key."
    malformed: int
    unsupported: Mapping[str, int]
    "Encoding name → packets that cannot be rendered."
    events: Mapping[str, int]
    "Event name → how often; without those that announce the stream."
    was_paused: bool = False
    "Whether packets of it may have been discarded on purpose."

    @property
    def codec(self) -> str:
        """Name of the encoding that most packets had, or empty."""
        format_of_each = self.packets.format
        counts = Counter(self.unsupported)
        for known in (Format.PCMU, Format.PCMA):
            counts[known.name] = int(np.count_nonzero(format_of_each == known))
        name, packets = counts.most_common(1)[0]
        return name if packets else ""

    @property
    def playable(self) -> int:
        """Packets that hold audio we can decode."""
        return int(np.count_nonzero(self.packets.samples))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartSpan:
    """One part of a capture, as a reader went through it."""

    name: str
    "As the manifest has it."
    first_ns: int | None
    "Arrival of its first RTP packet by time, and of its last; None without any."
    last_ns: int | None


class CaptureReader:
    """Takes the plaintext of a capture, block by block, part by part."""

    def __init__(self, deferred: DeferredDecryption | None = None) -> None:
        """Use the late keys of *deferred*, if there are any."""
        self._deferred = deferred or DeferredDecryption(())
        self._scanner = RecordScanner()
        self._streams: dict[int, _Stream] = {}
        self._was_paused = False
        self.pauses = Pauses()
        self.malformed_events = 0
        self.cut_bytes = 0
        "Octets of records that a part's end cut off."
        self.parts: list[PartSpan] = []

    def feed(self, block: bytes) -> None:
        """Read the records that *block* completes."""
        for rows in self._scanner.feed(block):
            for start, stop in _between_events(rows):
                self._take(rows[start:stop])

    def end_part(self, name: str = "") -> None:
        """Say that part *name* is over: no record reaches from one into the next."""
        self.cut_bytes += self._scanner.end()
        spans = [each.end_part() for each in self._streams.values()]
        found = [one for one in spans if one is not None]
        self.parts.append(
            PartSpan(
                name=name,
                first_ns=min((first for first, _ in found), default=None),
                last_ns=max((last for _, last in found), default=None),
            )
        )

    def finish(self) -> tuple[StreamPackets, ...]:
        """Return what every stream sent, in order of stream numbers."""
        return tuple(self._streams[n].finish() for n in sorted(self._streams))

    def _take(self, rows: Octets) -> None:
        if rows[0, KIND] == Kind.EVENT:
            self._event(rows[0])
            return
        for number in np.unique(rows[:, STREAM]):
            mine = rows[rows[:, STREAM] == number]
            if number != WHOLE_CALL:
                self._stream(int(number)).take(mine)

    def _stream(self, number: int) -> "_Stream":
        known = self._streams.get(number)
        if known is None:
            known = self._streams[number] = _Stream(number, self._deferred)
            known.was_paused = self._was_paused
        return known

    def _event(self, row: Octets) -> None:
        octets = row[HEADER_SIZE:].tobytes()
        s, ns, *_ = HEADER.unpack_from(row[:HEADER_SIZE].tobytes())
        record = Record(
            arrival_ns=s * NS_PER_S + ns,
            stream=int(row[STREAM]),
            kind=Kind.EVENT,
            octets=octets,
        )
        try:
            said = parse_event(record)
            self.pauses.note(str(said["event"]), record.stream, record.arrival_ns)
            if said["event"] in {Event.STREAM_ADDED, Event.STREAM_CHANGED}:
                self._stream(record.stream).announce(said)
            elif record.stream != WHOLE_CALL:
                # Also events that this version does not know: they change nothing.
                self._stream(record.stream).events[str(said["event"])] += 1
            elif said["event"] == Event.PAUSE:
                self._was_paused = True
                for each in self._streams.values():
                    each.was_paused = True
        except MalformedPacketError:
            self.malformed_events += 1


def _between_events(rows: Octets) -> Iterable[tuple[int, int]]:
    """Cut a run so that each event stands alone: it changes what follows it."""
    events = np.flatnonzero(rows[:, KIND] == Kind.EVENT)
    edges = sorted({0, len(rows), *events.tolist(), *(events + 1).tolist()})
    return pairwise(edges)


class _Stream:
    """Collects the columns of one stream."""

    def __init__(self, number: int, deferred: DeferredDecryption) -> None:
        self._number = number
        self._deferred = deferred
        self._label, self._media = f"stream{number + 1}", "audio"
        self._suite = ""
        self._payloads = PayloadTable.of({})
        self.events: Counter[str] = Counter()
        self.was_paused = False
        self._columns: list[_Columns] = []
        self._in_part = 0
        self._payload = bytearray()
        self._rtcp = self._undecryptable = self._recovered = self._malformed = 0
        self._unsupported: Counter[str] = Counter()

    def announce(self, said: JsonObject) -> None:
        """Take label, media and payload map from an event.

        Raises:
            MalformedPacketError: The event does not say them as it must.
        """
        label, media, payloads = (said.get(k) for k in ("label", "media", "payloads"))
        if not isinstance(label, str) or not isinstance(media, str):
            raise MalformedPacketError("an event names no stream")
        if not isinstance(payloads, Mapping):
            raise MalformedPacketError("an event has no payload map")
        self._payloads = PayloadTable.of(payloads)
        self._label, self._media = label or self._label, media
        self._suite = str(said.get("suite", ""))
        self._deferred.announce(self._number, self._label)

    def end_part(self) -> tuple[int, int] | None:
        """Return when the first and last packet of the part arrived, if any did."""
        mine = [each.arrival_ns for each in self._columns[self._in_part :]]
        self._in_part = len(self._columns)
        if not mine:
            return None
        return min(int(each.min()) for each in mine), max(
            int(each.max()) for each in mine
        )

    def take(self, rows: Octets) -> None:
        """Take records of this stream that are equally long, none an event."""
        kinds = rows[:, KIND]
        self._rtcp += int(np.count_nonzero(kinds == Kind.RTCP))
        # Late keys follow the order of arrival, so that of the table is kept, too.
        changes = np.flatnonzero(np.diff(kinds.astype(np.int16))) + 1
        for same in np.split(rows, changes):
            if same[0, KIND] == Kind.RTP:
                self._take_rtp(same)
            elif same[0, KIND] == Kind.UNDECRYPTABLE:
                self._take_kept(same)

    def _take_kept(self, rows: Octets) -> None:
        opened = [
            row[:HEADER_SIZE].tobytes() + packet
            for row in rows
            if (packet := self._open(row)) is not None
        ]
        self._undecryptable += len(rows) - len(opened)
        self._recovered += len(opened)
        for size, alike in groupby(opened, len):
            octets = np.frombuffer(b"".join(alike), np.uint8)
            self._take_rtp(octets.reshape(-1, size))

    def _open(self, row: Octets) -> bytes | None:
        return self._deferred.open(self._number, row[HEADER_SIZE:].tobytes())

    def _take_rtp(self, rows: Octets) -> None:
        start, stop = payload_spans(rows)
        sound = stop >= start
        self._malformed += int(np.count_nonzero(~sound))
        rows, start, stop = rows[sound], start[sound], stop[sound]
        if not len(rows):
            return
        types = rows[:, HEADER_SIZE + 1] & 0x7F
        formats = self._payloads.formats[types]
        for number in np.unique(types[formats == Format.UNSUPPORTED]):
            name = self._payloads.names.get(int(number), f"payload type {number}")
            self._unsupported[name] += int(np.count_nonzero(types == number))
        audible = (formats == Format.PCMU) | (formats == Format.PCMA)
        samples = np.where(audible, stop - start, 0)
        self._columns.append(
            _Columns(
                arrival_ns=arrival_ns(rows),
                ssrc=field(rows, 8, np.dtype(">u4")).astype(np.uint32),
                seq=field(rows, 2, np.dtype(">u2")).astype(np.uint16),
                timestamp=field(rows, 4, np.dtype(">u4")).astype(np.uint32),
                format=formats,
                clock_hz=self._payloads.clocks_hz[types],
                start=len(self._payload) + np.cumsum(samples) - samples,
                samples=samples.astype(np.int32),
            )
        )
        self._keep_payload(rows[audible], start[audible], stop[audible])

    def _keep_payload(
        self, rows: Octets, start: NDArray[np.int64], stop: NDArray[np.int64]
    ) -> None:
        if not len(rows):
            return
        if (start == start[0]).all() and (stop == stop[0]).all():
            self._payload += rows[:, start[0] : stop[0]].tobytes()
            return
        for row, first, last in zip(rows, start, stop, strict=True):
            self._payload += row[first:last].tobytes()

    def finish(self) -> StreamPackets:
        """Return the table; the collector is spent then."""
        payload = np.frombuffer(self._payload, np.uint8)
        self._payload = bytearray()
        return StreamPackets(
            stream=self._number,
            label=self._label,
            media=self._media,
            suite=self._suite,
            packets=_table(self._columns, payload),
            rtcp=self._rtcp,
            undecryptable=self._undecryptable,
            recovered=self._recovered,
            malformed=self._malformed,
            unsupported=dict(self._unsupported),
            events=dict(self.events),
            was_paused=self.was_paused,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Columns:
    arrival_ns: NDArray[np.int64]
    ssrc: NDArray[np.uint32]
    seq: NDArray[np.uint16]
    timestamp: NDArray[np.uint32]
    format: NDArray[np.uint8]
    clock_hz: NDArray[np.int32]
    start: NDArray[np.int64]
    samples: NDArray[np.int32]


def _table(columns: list[_Columns], payload: Octets) -> PacketTable:
    return PacketTable(
        arrival_ns=_joined([each.arrival_ns for each in columns], np.int64),
        ssrc=_joined([each.ssrc for each in columns], np.uint32),
        seq=_joined([each.seq for each in columns], np.uint16),
        timestamp=_joined([each.timestamp for each in columns], np.uint32),
        format=_joined([each.format for each in columns], np.uint8),
        clock_hz=_joined([each.clock_hz for each in columns], np.int32),
        start=_joined([each.start for each in columns], np.int64),
        samples=_joined([each.samples for each in columns], np.int32),
        payload=payload,
    )


def _joined(pieces: list[NDArray[_Number]], dtype: type[_Number]) -> NDArray[_Number]:
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)
