"""RTCP: reading compound packets as hostile input, writing sender reports.

Guarantees: `parse_compound` reads no octet outside its input.  Nothing here
ends anything: a BYE is a record like any other (RFC 3550 lets anyone with the
key send one).

Left to others: SRTCP (`vault.tap.srtp`), what reports mean for the clock of a
stream (`vault.renditions`).

Spec: RFC 3550 section 6.4 and 6.5, RFC 5506 (reduced size), RFC 5761.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vault.core.errors import MalformedPacketError

MINIMUM_SIZE: Final = 8
"A header and an SSRC: anything shorter cannot be unprotected."

SENDER_REPORT: Final = 200
RECEIVER_REPORT: Final = 201
SOURCE_DESCRIPTION: Final = 202
BYE: Final = 203

_VERSION: Final = 2
_HEADER: Final = struct.Struct(">BBH")
_SENDER: Final = struct.Struct(">IQIII")
_WORD: Final = 4
_CNAME: Final = 1
_NTP_EPOCH_S: Final = 2_208_988_800
"Seconds from 1900 to 1970."


@dataclass(frozen=True, slots=True, kw_only=True)
class RtcpPacket:
    """One packet of a compound: its type, its count and what follows."""

    packet_type: int
    count: int
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderReport:
    """What a sender says about its clock (RFC 3550, section 6.4.1)."""

    ssrc: int
    ntp: int
    "64-bit NTP time: seconds since 1900 and a binary fraction."
    rtp_timestamp: int
    packets: int
    octets: int

    @classmethod
    def read(cls, packet: RtcpPacket) -> "SenderReport":
        """Read the sender's part of a report.

        Raises:
            MalformedPacketError: Not a sender report, or a short one.
        """
        short = len(packet.body) < _SENDER.size
        if packet.packet_type != SENDER_REPORT or short:
            raise MalformedPacketError("not a sender report")
        ssrc, ntp, timestamp, packets, octets = _SENDER.unpack_from(packet.body)
        return cls(
            ssrc=ssrc, ntp=ntp, rtp_timestamp=timestamp, packets=packets, octets=octets
        )

    def __bytes__(self) -> bytes:
        body = _SENDER.pack(
            self.ssrc, self.ntp, self.rtp_timestamp, self.packets, self.octets
        )
        return _packet(SENDER_REPORT, 0, body)


def parse_compound(octets: bytes) -> Iterator[RtcpPacket]:
    """Yield the packets of a compound, reduced-size ones included.

    Raises:
        MalformedPacketError: A version other than 2, or a length that does not fit.
    """
    at = 0
    while at < len(octets):
        if at + _WORD > len(octets):
            raise MalformedPacketError("an RTCP header outside the packet")
        first, packet_type, words = _HEADER.unpack_from(octets, at)
        stop = at + _WORD + _WORD * words
        if first >> 6 != _VERSION or stop > len(octets):
            raise MalformedPacketError("an RTCP packet outside its compound")
        body = octets[at + _WORD : stop]
        yield RtcpPacket(packet_type=packet_type, count=first & 0x1F, body=body)
        at = stop


def ntp_time(unix_ns: int) -> int:
    """Return the 64-bit NTP time of *unix_ns* nanoseconds since 1970."""
    s, ns = divmod(unix_ns, 1_000_000_000)
    return ((s + _NTP_EPOCH_S) << 32 | (ns << 32) // 1_000_000_000) % 2**64


def source_description(ssrc: int, cname: str) -> bytes:
    """Return an SDES packet with the CNAME that every compound must have."""
    name = cname.encode()[:255]
    item = struct.pack(">IBB", ssrc, _CNAME, len(name)) + name
    # At least one null octet ends the list, then up to a whole word.
    return _packet(SOURCE_DESCRIPTION, 1, item + bytes(_WORD - len(item) % _WORD))


def _packet(packet_type: int, count: int, body: bytes) -> bytes:
    header = _HEADER.pack(_VERSION << 6 | count, packet_type, len(body) // _WORD)
    return header + body
