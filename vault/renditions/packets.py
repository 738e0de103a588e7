"""From records to one table of RTP packets per stream.

A table holds one column per header field and the G.711 octets of all its packets
behind each other; nothing is decoded yet.  One hour of one leg takes about 36 MB.

Guarantees:
    * Every RTP packet of a stream is in its table, in order of arrival, with the
      payload format that the events before it announced.
    * A packet or event that does not parse is counted and changes nothing else.

Left to others: order, loss and time (`vault.renditions.legs`,
`vault.renditions.timeline`); what failed authentication (`vault.tap`).

Spec: RFC 3550, section 5.1; RFC 3551; docs/reference/formats/capture.md
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from itertools import pairwise
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from vault.core.canonical import JsonObject, JsonValue
from vault.core.errors import MalformedPacketError
from vault.core.media import STATIC_PAYLOADS
from vault.renditions.g711 import RATE_HZ
from vault.renditions.records import KIND, STREAM, Octets, RecordScanner
from vault.tap.capture import (
    HEADER_SIZE,
    WHOLE_CALL,
    Event,
    Kind,
    Record,
    parse_event,
)

_RTP_HEADER: Final = 12
_NS_PER_S: Final = 1_000_000_000
_MAX_TYPE_DIGITS: Final = 3

_Number = TypeVar("_Number", bound=np.generic)


@unique
class Format(IntEnum):
    """What the renderer can do with a packet."""

    UNSUPPORTED = 0
    PCMU = 1
    PCMA = 2
    QUIET = 3
    "Comfort noise and telephone events: they count as packets and sound as silence."


_QUIET: Final = frozenset({"CN", "TELEPHONE-EVENT"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PacketTable:
    """The RTP packets of one stream in order of arrival; one row per packet."""

    arrival_ns: NDArray[np.int64]
    ssrc: NDArray[np.uint32]
    seq: NDArray[np.uint16]
    timestamp: NDArray[np.uint32]
    format: NDArray[np.uint8]
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
    malformed: int
    unsupported: Mapping[str, int]
    "Encoding name → packets that cannot be rendered."

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


class CaptureReader:
    """Takes the plaintext of a capture, block by block, part by part."""

    def __init__(self) -> None:
        self._scanner = RecordScanner()
        self._streams: dict[int, _Stream] = {}
        self.malformed_events = 0
        self.cut_bytes = 0
        "Octets of records that a part's end cut off."

    def feed(self, block: bytes) -> None:
        """Read the records that *block* completes."""
        for rows in self._scanner.feed(block):
            for start, stop in _between_events(rows):
                self._take(rows[start:stop])

    def end_part(self) -> None:
        """Say that a part is over: no record reaches from one into the next."""
        self.cut_bytes += self._scanner.end()

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
        return self._streams.setdefault(number, _Stream(number))

    def _event(self, row: Octets) -> None:
        octets = row[HEADER_SIZE:].tobytes()
        record = Record(
            arrival_ns=0, stream=int(row[STREAM]), kind=Kind.EVENT, octets=octets
        )
        try:
            said = parse_event(record)
            if said["event"] in {Event.STREAM_ADDED, Event.STREAM_CHANGED}:
                self._stream(record.stream).announce(said)
        except MalformedPacketError:
            self.malformed_events += 1


def _between_events(rows: Octets) -> Iterable[tuple[int, int]]:
    """Cut a run so that each event stands alone: it changes what follows it."""
    events = np.flatnonzero(rows[:, KIND] == Kind.EVENT)
    edges = sorted({0, len(rows), *events.tolist(), *(events + 1).tolist()})
    return pairwise(edges)


class _Stream:
    """Collects the columns of one stream."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._label, self._media = f"stream{number + 1}", "audio"
        self._suite = ""
        self._formats, self._names = _format_table({})
        self._columns: list[_Columns] = []
        self._payload = bytearray()
        self._rtcp = self._undecryptable = self._malformed = 0
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
        self._formats, self._names = _format_table(payloads)
        self._label, self._media = label or self._label, media
        self._suite = str(said.get("suite", ""))

    def take(self, rows: Octets) -> None:
        """Take records of this stream that are equally long, none an event."""
        kinds = rows[:, KIND]
        self._rtcp += int(np.count_nonzero(kinds == Kind.RTCP))
        self._undecryptable += int(np.count_nonzero(kinds == Kind.UNDECRYPTABLE))
        rtp = rows[kinds == Kind.RTP]
        if len(rtp):
            self._take_rtp(rtp)

    def _take_rtp(self, rows: Octets) -> None:
        start, stop = _payload_spans(rows)
        sound = stop >= start
        self._malformed += int(np.count_nonzero(~sound))
        rows, start, stop = rows[sound], start[sound], stop[sound]
        if not len(rows):
            return
        types = rows[:, HEADER_SIZE + 1] & 0x7F
        formats = self._formats[types]
        for number in np.unique(types[formats == Format.UNSUPPORTED]):
            name = self._names.get(int(number), f"payload type {number}")
            self._unsupported[name] += int(np.count_nonzero(types == number))
        audible = (formats == Format.PCMU) | (formats == Format.PCMA)
        samples = np.where(audible, stop - start, 0)
        self._columns.append(
            _Columns(
                arrival_ns=_arrival_ns(rows),
                ssrc=_field(rows, 8, np.dtype(">u4")).astype(np.uint32),
                seq=_field(rows, 2, np.dtype(">u2")).astype(np.uint16),
                timestamp=_field(rows, 4, np.dtype(">u4")).astype(np.uint32),
                format=formats,
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
            malformed=self._malformed,
            unsupported=dict(self._unsupported),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Columns:
    arrival_ns: NDArray[np.int64]
    ssrc: NDArray[np.uint32]
    seq: NDArray[np.uint16]
    timestamp: NDArray[np.uint32]
    format: NDArray[np.uint8]
    start: NDArray[np.int64]
    samples: NDArray[np.int32]


def _table(columns: list[_Columns], payload: Octets) -> PacketTable:
    return PacketTable(
        arrival_ns=_joined([each.arrival_ns for each in columns], np.int64),
        ssrc=_joined([each.ssrc for each in columns], np.uint32),
        seq=_joined([each.seq for each in columns], np.uint16),
        timestamp=_joined([each.timestamp for each in columns], np.uint32),
        format=_joined([each.format for each in columns], np.uint8),
        start=_joined([each.start for each in columns], np.int64),
        samples=_joined([each.samples for each in columns], np.int32),
        payload=payload,
    )


def _joined(pieces: list[NDArray[_Number]], dtype: type[_Number]) -> NDArray[_Number]:
    return np.concatenate(pieces) if pieces else np.empty(0, dtype)


def _arrival_ns(rows: Octets) -> NDArray[np.int64]:
    times = np.ascontiguousarray(rows[:, :16]).view("<i8")
    arrival: NDArray[np.int64] = times[:, 0] * _NS_PER_S + times[:, 1]
    return arrival


def _field(rows: Octets, at: int, kind: np.dtype[Any]) -> NDArray[Any]:
    first = HEADER_SIZE + at
    octets = np.ascontiguousarray(rows[:, first : first + kind.itemsize])
    return octets.view(kind)[:, 0]


def _payload_spans(rows: Octets) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where in each row the payload starts and stops; stop < start is bad.

    Spec: RFC 3550, sections 5.1 (CSRC list, padding) and 5.3.1 (extension).
    """
    size = rows.shape[1]
    start = np.full(len(rows), HEADER_SIZE + _RTP_HEADER, np.int64)
    stop = np.full(len(rows), size, np.int64)
    if size < HEADER_SIZE + _RTP_HEADER:
        return start, stop
    first = rows[:, HEADER_SIZE]
    start += 4 * (first & 0x0F).astype(np.int64)
    extended = np.flatnonzero(first & 0x10)
    # A header extension that its packet is too short for stays past the end.
    reach = start[extended] + 4
    start[extended] = reach
    inside = extended[reach <= size]
    words = rows[inside, start[inside] - 2].astype(np.int64) << 8
    start[inside] += 4 * (words | rows[inside, start[inside] - 1])
    padded = np.flatnonzero(first & 0x20)
    pad = rows[padded, -1].astype(np.int64)
    # Padding counts itself, so zero is a lie (RFC 3550, A.1).
    stop[padded] -= np.where(pad == 0, size, pad)
    stop[first >> 6 != 2] = -1  # noqa: PLR2004 - RTP version
    return start, stop


def _format_table(
    payloads: Mapping[str, JsonValue],
) -> tuple[NDArray[np.uint8], dict[int, str]]:
    """Return payload type → `Format`, and the names of all types in *payloads*."""
    table = np.zeros(128, np.uint8)
    names: dict[int, str] = {}
    for number, static in STATIC_PAYLOADS.items():
        names[number] = static.encoding
        table[number] = _format_of(
            static.encoding, static.clock_rate_hz, static.channels
        )
    for text, said in payloads.items():
        number = _payload_type(text)
        if number >= len(table):
            raise MalformedPacketError("an event maps a payload type that is none")
        if not isinstance(said, Mapping):
            raise MalformedPacketError("an event maps a payload type to nothing")
        name = str(said.get("encoding", ""))
        names[number] = name
        table[number] = _format_of(
            name, said.get("clock_rate_hz"), said.get("channels")
        )
    return table, names


def _payload_type(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_TYPE_DIGITS):
        raise MalformedPacketError("an event maps a payload type that is no number")
    return int(text)


def _format_of(encoding: str, clock_rate_hz: object, channels: object) -> Format:
    name = encoding.upper()
    if name in _QUIET:
        return Format.QUIET
    if (name, clock_rate_hz, channels) == ("PCMU", RATE_HZ, 1):
        return Format.PCMU
    if (name, clock_rate_hz, channels) == ("PCMA", RATE_HZ, 1):
        return Format.PCMA
    return Format.UNSUPPORTED
