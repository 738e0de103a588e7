"""The capture: one call as a sequence of records, as the receive slots hold them.

A record is little-endian and self-contained; a capture is nothing but records:

    octet 0           8            16       17     18       20
          | i64 s     | i64 ns     | stream | kind | length | octets ...

*s* and *ns* are the kernel's arrival time (UTC, ``SO_TIMESTAMPNS``), *length*
counts the octets that follow.  Streams are numbered per part; 255 means the
whole call.  Records of one stream are in the order of arrival; records of
different streams are sorted only within one sweep.

    kind 0   RTP after SRTP protection was removed
    kind 1   RTCP after SRTCP protection was removed
    kind 2   a datagram that failed authentication, verbatim
    kind 3   an event, RFC 8785 JSON with members ``event`` and ``v``
    kind 4   padding: zero octets, ignored

Guarantees: `parse_records` never reads past its input and yields every whole
record of a capture that was cut anywhere.

Rule for change: readers skip kinds and events they do not know; a record never
gains a field.  Spec: docs/reference/formats/capture.md.

Left to others: sealing (`vault.sealing.chunks`), what a sequence of records
means (`vault.renditions`).
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum, unique
from typing import Final

from vault.core import canonical
from vault.core.canonical import JsonObject, JsonValue
from vault.core.errors import InvalidInputError, MalformedPacketError
from vault.core.media import PayloadFormat
from vault.tap.orders import StreamOrder

HEADER: Final = struct.Struct("<qqBBH")
HEADER_SIZE: Final = HEADER.size
MAX_LENGTH: Final = 0xFFFF
WHOLE_CALL: Final = 255
"The `stream` of a record that is about no stream in particular."

EVENT_VERSION: Final = 1
_NS_PER_S: Final = 1_000_000_000


@unique
class Kind(IntEnum):
    """What the octets of a record are."""

    RTP = 0
    RTCP = 1
    UNDECRYPTABLE = 2
    EVENT = 3
    PADDING = 4


@unique
class Event(StrEnum):
    """Names of events, as the JSON spells them."""

    STREAM_ADDED = "stream-added"
    STREAM_CHANGED = "stream-changed"
    REKEY = "rekey"
    HOLD = "hold"
    UNHOLD = "unhold"
    PAUSE = "pause"
    RESUME = "resume"
    GAP = "gap"
    SOURCE = "source"
    KEY_SPENT = "key-spent"
    DIGIT = "digit"
    END = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a capture."""

    arrival_ns: int
    "When the kernel received it, in nanoseconds since the epoch (UTC)."
    stream: int
    kind: int
    "A `Kind`, or a number that a later version added."
    octets: bytes

    def __bytes__(self) -> bytes:
        s, ns = divmod(self.arrival_ns, _NS_PER_S)
        header = HEADER.pack(s, ns, self.stream, self.kind, len(self.octets))
        return header + self.octets


def parse_records(capture: bytes | bytearray | memoryview) -> Iterator[Record]:
    """Yield the records of *capture*, padding and unknown kinds included.

    A record that the end of the input cuts is not yielded: that is what a
    crash leaves.  Ask `whole_size` where it starts.
    """
    view = memoryview(capture)
    at, size = 0, len(view)
    while at + HEADER_SIZE <= size:
        s, ns, stream, kind, length = HEADER.unpack_from(view, at)
        stop = at + HEADER_SIZE + length
        if stop > size:
            return
        yield Record(
            arrival_ns=s * _NS_PER_S + ns,
            stream=stream,
            kind=kind,
            octets=bytes(view[at + HEADER_SIZE : stop]),
        )
        at = stop


def whole_size(capture: bytes | bytearray | memoryview) -> int:
    """Return the number of octets at the start of *capture* that are whole records."""
    view = memoryview(capture)
    at, size = 0, len(view)
    while at + HEADER_SIZE <= size:
        stop = at + HEADER_SIZE + HEADER.unpack_from(view, at)[4]
        if stop > size:
            break
        at = stop
    return at


def padding(size_bytes: int, *, now_ns: int) -> bytes:
    """Return one padding record that is *size_bytes* long, header included.

    Raises:
        ValueError: Less than a header or more than a record can hold.
    """
    if not HEADER_SIZE <= size_bytes <= HEADER_SIZE + MAX_LENGTH:
        raise ValueError(f"no record is {size_bytes} octets long")
    octets = bytes(size_bytes - HEADER_SIZE)
    return bytes(
        Record(arrival_ns=now_ns, stream=WHOLE_CALL, kind=Kind.PADDING, octets=octets)
    )


def encode_event(
    event: Event,
    *,
    now_ns: int,
    stream: int = WHOLE_CALL,
    members: Mapping[str, JsonValue] | None = None,
) -> bytes:
    """Return the record of an event.

    Raises:
        ValueError: The event does not fit into a record.
    """
    said: JsonObject = {"event": str(event), "v": EVENT_VERSION}
    if stream != WHOLE_CALL:
        said["stream"] = stream
    octets = canonical.dumps(said | dict(members or {}))
    if len(octets) > MAX_LENGTH:
        raise ValueError(f"an event of {len(octets)} octets")
    return bytes(
        Record(arrival_ns=now_ns, stream=stream, kind=Kind.EVENT, octets=octets)
    )


def parse_event(record: Record) -> JsonObject:
    """Read the JSON of an event record.

    Raises:
        MalformedPacketError: Not canonical JSON with a string member ``event``.
    """
    try:
        said = canonical.parse(record.octets)
    except InvalidInputError:
        raise MalformedPacketError("an event is not canonical JSON") from None
    if not isinstance(said.get("event"), str):
        raise MalformedPacketError("an event has no name")
    return said


def payload_map(payloads: Sequence[PayloadFormat]) -> JsonObject:
    """Return the payload map of a stream as events and manifests spell it."""
    return {
        str(p.payload_type): {
            "encoding": p.encoding,
            "clock_rate_hz": p.clock_rate_hz,
            "channels": p.channels,
            "fmtp": p.fmtp,
        }
        for p in payloads
    }


def stream_members(order: StreamOrder) -> JsonObject:
    """Return the members of ``stream-added`` and ``stream-changed``."""
    members: JsonObject = {
        "label": order.label,
        "media": order.media,
        "suite": str(order.suite),
        "rtcp_mux": order.rtcp_mux,
        "local": [order.ports.address, order.ports.rtp],
        "local_rtcp": [order.ports.address, order.ports.rtcp],
        "payloads": payload_map(order.payloads),
    }
    if order.remote is not None:
        members["remote"] = list(order.remote)
    return members
