"""A capture as pcapng, so that Wireshark opens it and tshark can check it.

One interface per stream, named by its label, with nanosecond timestamps.  Frames
are IP and UDP as they were on the wire, but for two things: SRTP protection is
removed, and header fields that a capture does not keep (TTL, identification) are
constant.  A datagram that failed authentication is exported verbatim with a comment;
where a late key opens it, what is in it is, with another comment.

Guarantees: every RTP, RTCP and unauthenticated datagram of the capture becomes one
packet block, in the same order, with its arrival time to the nanosecond; memory is
one block of the capture.

Left to others: who may have it (`vault.playback`); it is plaintext, so it goes to a
pipe or to a file that somebody asked for, never to one of the vault's own.

Spec: IETF draft-ietf-opsawg-pcapng, sections 4.1 to 4.3; LINKTYPE_RAW;
docs/reference/formats/pcapng.md
"""

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from vault.core.canonical import JsonObject, JsonValue
from vault.core.errors import MalformedPacketError
from vault.renditions.deferred import DeferredDecryption
from vault.tap.capture import (
    HEADER_SIZE,
    WHOLE_CALL,
    Event,
    Kind,
    Record,
    parse_event,
    parse_records,
)

MEDIA_TYPE: Final = "application/x-pcapng"

_SECTION: Final = 0x0A0D0D0A
_INTERFACE: Final = 1
_PACKET: Final = 6
_BYTE_ORDER: Final = 0x1A2B3C4D
_LINKTYPE_RAW: Final = 101

# Options, by block.
_END_OF_OPTIONS: Final = 0
_COMMENT: Final = 1
_USER_APPLICATION: Final = 4
_IF_NAME: Final = 2
_IF_TSRESOL: Final = 9
_NANOSECONDS: Final = b"\x09"

_UDP: Final = 17
_TTL: Final = 64
_DONT_FRAGMENT: Final = 0x4000
_IPV4_SIZE: Final = 20
_UDP_SIZE: Final = 8
_MAX_PORT: Final = 0xFFFF

_Address = IPv4Address | IPv6Address
_Endpoint = tuple[_Address, int]
_NOWHERE: Final[_Endpoint] = (IPv4Address(0), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Interface:
    number: int
    local: _Endpoint
    local_rtcp: _Endpoint
    remote: _Endpoint


def to_pcapng(
    blocks: Iterable[bytes], deferred: DeferredDecryption | None = None
) -> Iterator[bytes]:
    """Yield the pcapng file of a capture, block by block.

    Args:
        blocks: The plaintext of all parts, in order, cut anywhere.
        deferred: Opens what failed authentication, where keys came late.
    """
    yield _block(
        _SECTION,
        struct.pack("<IHHq", _BYTE_ORDER, 1, 0, -1),
        _option(_USER_APPLICATION, b"Callvault"),
    )
    exporter = _Exporter(deferred or DeferredDecryption(()))
    rest = b""
    for block in blocks:
        octets = rest + block
        used = 0
        pieces: list[bytes] = []
        for record in parse_records(octets):
            used += HEADER_SIZE + len(record.octets)
            pieces.extend(exporter.export(record))
        rest = octets[used:]
        yield b"".join(pieces)


class _Exporter:
    """Turns records into blocks; knows which stream has which interface."""

    def __init__(self, deferred: DeferredDecryption) -> None:
        self._deferred = deferred
        self._interfaces: dict[int, _Interface] = {}

    def export(self, record: Record) -> Iterator[bytes]:
        if record.stream == WHOLE_CALL:
            return
        if record.kind == Kind.EVENT:
            yield from self._announce(record)
        elif record.kind in {Kind.RTP, Kind.RTCP, Kind.UNDECRYPTABLE}:
            if record.stream not in self._interfaces:
                yield from self._add(record.stream, {})
            octets, comment = self._told(record)
            yield _packet(record, octets, comment, self._interfaces[record.stream])

    def _told(self, record: Record) -> tuple[bytes, bytes]:
        """Return what to export of a packet, and what to say about it."""
        if record.kind != Kind.UNDECRYPTABLE:
            return record.octets, b""
        opened = self._deferred.open(record.stream, record.octets)
        if opened is None:
            return record.octets, b"failed SRTP authentication; as received"
        return opened, b"failed SRTP authentication; opened by a late key"

    def _announce(self, record: Record) -> Iterator[bytes]:
        try:
            said = parse_event(record)
        except MalformedPacketError:
            return
        if said["event"] in {Event.STREAM_ADDED, Event.STREAM_CHANGED}:
            yield from self._add(record.stream, said)
            self._deferred.announce(record.stream, str(said.get("label", "")))

    def _add(self, stream: int, said: JsonObject) -> Iterator[bytes]:
        known = self._interfaces.get(stream)
        number = len(self._interfaces) if known is None else known.number
        local = _endpoint(said.get("local"))
        self._interfaces[stream] = _Interface(
            number=number,
            local=local,
            local_rtcp=local
            if said.get("rtcp_mux")
            else _endpoint(said.get("local_rtcp")),
            remote=_endpoint(said.get("remote")),
        )
        if known is None:
            name = said.get("label")
            label = name if isinstance(name, str) and name else f"stream{stream + 1}"
            yield _block(
                _INTERFACE,
                struct.pack("<HHI", _LINKTYPE_RAW, 0, 0),
                _option(_IF_NAME, label.encode()[:255])
                + _option(_IF_TSRESOL, _NANOSECONDS),
            )


def _packet(
    record: Record, octets: bytes, comment: bytes, interface: _Interface
) -> bytes:
    target, source = interface.local, interface.remote
    if record.kind == Kind.RTCP and interface.local_rtcp != interface.local:
        target = interface.local_rtcp
        source = (source[0], min(source[1] + 1, _MAX_PORT) if source[1] else 0)
    frame = _frame(source, target, octets)
    stamp = record.arrival_ns & 0xFFFF_FFFF_FFFF_FFFF
    fixed = struct.pack(
        "<IIIII",
        interface.number,
        stamp >> 32,
        stamp & 0xFFFF_FFFF,
        len(frame),
        len(frame),
    )
    options = _option(_COMMENT, comment) if comment else b""
    return _block(_PACKET, fixed + _padded(frame), options)


def _frame(source: _Endpoint, target: _Endpoint, payload: bytes) -> bytes:
    """Return an IP packet, in the family of the address that received it."""
    (destination, to_port), (origin, from_port) = target, source
    if origin.version != destination.version:
        # A peer that is not known yet has no address; neither has its family.
        origin = type(destination)(0)
    size = _UDP_SIZE + len(payload)
    pseudo = origin.packed + destination.packed + struct.pack(">IHBB", size, 0, 0, _UDP)
    # IPv4's pseudo header has a 16-bit length and sums up to the same.
    udp = struct.pack(">HHH", from_port, to_port, size)
    checksum = _checksum(pseudo + udp + b"\0\0" + payload) or 0xFFFF
    datagram = udp + checksum.to_bytes(2, "big") + payload
    if isinstance(destination, IPv6Address):
        header = struct.pack(">IHBB", 6 << 28, size, _UDP, _TTL)
        return header + origin.packed + destination.packed + datagram
    total = _IPV4_SIZE + size
    first = struct.pack(">BBHHHBB", 0x45, 0, total, 0, _DONT_FRAGMENT, _TTL, _UDP)
    addresses = origin.packed + destination.packed
    header_checksum = _checksum(first + b"\0\0" + addresses).to_bytes(2, "big")
    return first + header_checksum + addresses + datagram


def _checksum(octets: bytes) -> int:
    """Return the Internet checksum (RFC 1071): one's complement, 16 bits."""
    even = octets + b"\0" * (len(octets) % 2)
    # Modulo 2**16 - 1 is the end-around carry; zero stands for all ones there.
    total = int.from_bytes(even, "big")
    rest = total % 0xFFFF
    return 0xFFFF - (rest or (0xFFFF if total else 0))


def _endpoint(said: JsonValue) -> _Endpoint:
    if not isinstance(said, list) or len(said) != 2:  # noqa: PLR2004 - a pair
        return _NOWHERE
    address, port = said
    if not isinstance(address, str) or not isinstance(port, int):
        return _NOWHERE
    try:
        return ip_address(address), port if 0 <= port <= _MAX_PORT else 0
    except ValueError:
        return _NOWHERE


def _block(kind: int, body: bytes, options: bytes) -> bytes:
    end = struct.pack("<HH", _END_OF_OPTIONS, 0) if options else b""
    size = 12 + len(body) + len(options) + len(end)
    return (
        struct.pack("<II", kind, size) + body + options + end + struct.pack("<I", size)
    )


def _option(code: int, octets: bytes) -> bytes:
    return struct.pack("<HH", code, len(octets)) + _padded(octets)


def _padded(octets: bytes) -> bytes:
    return octets + b"\0" * (-len(octets) % 4)
