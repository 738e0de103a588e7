"""RTP: telling packets apart, reading and writing their headers.

    octet 0      1      2        4           8        12
          |V P X CC| M PT | sequence | timestamp | SSRC | CSRC ... | extension | payload

Guarantees: `RtpPacket.parse` reads no octet outside its input, whatever the
counts in it say; parsing and ``bytes()`` are inverses for packets without
padding.

Left to others: SRTP (`vault.tap.srtp`), RTCP (`vault.tap.rtcp`), order and
loss (`vault.tap.counting`, `vault.renditions`).

Spec: RFC 3550 section 5.1, RFC 5761 section 4, RFC 7983 section 7, RFC 8285.
"""

import struct
from dataclasses import dataclass
from typing import Final, Self

from vault.core.errors import MalformedPacketError

FIXED_SIZE: Final = 12
VERSION: Final = 2

RTP_FIRST_OCTETS: Final = bytes(range(128, 192))
"First octets of RTP and RTCP, version 2; STUN, DTLS and the rest lie outside."

RTCP_SECOND_OCTETS: Final = bytes(range(192, 224))
"Second octets that mean RTCP; no payload type may use them on a shared port."

_DTLS_FIRST_OCTETS: Final = bytes(range(20, 64))
_DTLS_RECORD_HEADER: Final = 13
_FIXED: Final = struct.Struct(">BBHII")
_WORD: Final = 4


def is_rtp_or_rtcp(octets: bytes | memoryview) -> bool:
    """Whether the first octet says version 2 (RFC 7983, section 7)."""
    return len(octets) > 0 and octets[0] in RTP_FIRST_OCTETS


def is_dtls(octets: bytes | memoryview) -> bool:
    """Whether the first octet says DTLS, and a record may follow it (RFC 7983)."""
    return len(octets) > _DTLS_RECORD_HEADER and octets[0] in _DTLS_FIRST_OCTETS


def is_rtcp(octets: bytes | memoryview) -> bool:
    """Whether the second octet says RTCP (RFC 5761, section 4)."""
    return len(octets) > 1 and octets[1] in RTCP_SECOND_OCTETS


def header_size(octets: bytes | memoryview) -> int | None:
    """Return the octets before the payload: fixed header, CSRCs and extension.

    Returns:
        The size, or None where the headers do not fit into *octets*.
    """
    if len(octets) < FIXED_SIZE:
        return None
    size = FIXED_SIZE + _WORD * (octets[0] & 0x0F)
    if octets[0] & 0x10:
        size += _WORD
        words = int.from_bytes(octets[size - 2 : size], "big")
        size += _WORD * words
    return size if size <= len(octets) else None


def extended_sequence(*, seq: int, highest: int) -> int:
    """Extend a 16-bit sequence number by the rollovers seen so far.

    Right while loss and reordering stay under 2**15 packets.

    Args:
        seq: Sequence number on the wire.
        highest: Highest extended sequence number authenticated so far.

    Returns:
        The extended number nearest to *highest*, but never below zero: before
        the first rollover there is nothing to roll back to.

    Spec: RFC 3711, section 3.3.1 and appendix A.
    """
    step = (seq - highest) & 0xFFFF
    near = highest + step - (0x10000 if step > 0x8000 else 0)  # noqa: PLR2004 - half the number space
    return near if near >= 0 else near + 0x10000


@dataclass(frozen=True, slots=True, kw_only=True)
class RtpPacket:
    """One RTP packet, unprotected."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False
    csrcs: tuple[int, ...] = ()
    extension: tuple[int, bytes] | None = None
    "Profile and octets of the header extension, whole words."

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read a packet and strip its padding.

        Raises:
            MalformedPacketError: Not version 2, or its counts do not fit its size.
        """
        if len(octets) < FIXED_SIZE:
            raise MalformedPacketError(f"{len(octets)} octets are no RTP packet")
        first, second, seq, timestamp, ssrc = _FIXED.unpack_from(octets)
        if first >> 6 != VERSION:
            raise MalformedPacketError(f"RTP version {first >> 6}")
        at = FIXED_SIZE + _WORD * (first & 0x0F)
        csrcs = octets[FIXED_SIZE:at]
        extension, at = _extension(octets, at) if first & 0x10 else (None, at)
        stop = len(octets) - (_padding(octets) if first & 0x20 else 0)
        if at > stop:
            raise MalformedPacketError("RTP headers and padding exceed the packet")
        return cls(
            payload_type=second & 0x7F,
            marker=bool(second & 0x80),
            sequence=seq,
            timestamp=timestamp,
            ssrc=ssrc,
            csrcs=struct.unpack(f">{len(csrcs) // _WORD}I", csrcs),
            extension=extension,
            payload=octets[at:stop],
        )

    def __bytes__(self) -> bytes:
        first = VERSION << 6 | (0x10 if self.extension else 0) | len(self.csrcs)
        second = (0x80 if self.marker else 0) | self.payload_type
        fixed = _FIXED.pack(first, second, self.sequence, self.timestamp, self.ssrc)
        csrcs = struct.pack(f">{len(self.csrcs)}I", *self.csrcs)
        return fixed + csrcs + self._extension_octets() + self.payload

    def _extension_octets(self) -> bytes:
        if self.extension is None:
            return b""
        profile, octets = self.extension
        return struct.pack(">HH", profile, len(octets) // _WORD) + octets


def _extension(octets: bytes, at: int) -> tuple[tuple[int, bytes], int]:
    if at + _WORD > len(octets):
        raise MalformedPacketError("an RTP header extension outside the packet")
    profile, words = struct.unpack_from(">HH", octets, at)
    stop = at + _WORD + _WORD * words
    if stop > len(octets):
        raise MalformedPacketError("an RTP header extension outside the packet")
    return (profile, octets[at + _WORD : stop]), stop


def _padding(octets: bytes) -> int:
    if octets[-1] == 0:
        raise MalformedPacketError("RTP padding of no octets")
    return octets[-1]
