"""Receive slots: where the kernel puts a batch of datagrams, records ready-made.

One slot holds one datagram; the kernel writes the arrival time in front of it,
so that a slot from octet 16 on *is* a capture record:

    octet 0               16      32       33     34       36
          | cmsg header   | time  | stream | kind | length | datagram ...
          | (kernel)      | (kernel, SO_TIMESTAMPNS)       | (kernel)

``recvmmsg`` is reached through cffi's ABI mode: no compiled code of ours.
libsrtp shortens a packet through the same ``int`` in which the kernel wrote
its length, so nothing is copied field by field.

Guarantees: a datagram longer than `ROOM` is cut by the kernel and flagged.
Sockets of one address family only may share slots: the kernel writes the size of
an address back, and has that much room for the next one.

Left to others: what the octets are (`vault.tap.sweep`).

Spec: recvmmsg(2), cmsg(3), socket(7).
"""

import struct
import sys
from typing import Any, Final

import cffi
import numpy as np
from pylibsrtp._binding import ffi as libsrtp_ffi

from vault.tap.capture import HEADER_SIZE, Kind

BATCH: Final = 64
"Datagrams that one system call may bring."

SLOT: Final = 2048
RECORD_AT: Final = 16
PACKET_AT: Final = RECORD_AT + HEADER_SIZE
ROOM: Final = SLOT - PACKET_AT
"Octets of a datagram that fit: a jumbo packet is no telephone call."

MSG_TRUNC: Final = 0x20

_MSG_DONTWAIT: Final = 0x40
_STREAM_AT: Final = 32
_KIND_AT: Final = 33
_LENGTH_AT: Final = 34
_CONTROL_SIZE: Final = 32
_MMSGHDR: Final = struct.Struct("<QIIQQQQIiII")
_MMSGHDR_SIZE: Final = _MMSGHDR.size
_FLAGS_AT: Final = 48
_LENGTH_IN_HEADER: Final = 56
_IOVEC: Final = struct.Struct("<QQ")
_U32: Final = struct.Struct("<I")
_ARRIVAL_SIZE: Final = 16
_HEAD: Final = f"{PACKET_AT}xHH4xI{SLOT - PACKET_AT - 12}x"
_STARTS: Final = range(0, BATCH * SLOT, SLOT)
_MOST_SHAPES: Final = 1024
"Views to remember: ever new lengths must not fill the memory."

SOURCE_SIZE: Final = 28
"Octets of the longest socket address: sockaddr_in6."
_SOURCE: Final = 32

if sys.byteorder != "little" or struct.calcsize("P") != 8:  # pragma: no cover  # noqa: PLR2004 - octets of a pointer
    raise RuntimeError("the tap needs a 64-bit little-endian machine")

_ffi = cffi.FFI()
_ffi.cdef("int recvmmsg(int, void *, unsigned int, int, void *);")
_recvmmsg: Any = _ffi.dlopen(None).recvmmsg


class Slots:
    """The slots of one stream number, shared by all calls of a worker."""

    # Plain attributes and no properties: this is read per batch.
    __slots__ = (
        "_address",
        "_field",
        "_gathered",
        "_iov",
        "_keep",
        "_same",
        "hdrs",
        "heads_of",
        "lengths_of",
        "lenp",
        "octets",
        "packetp",
        "rows",
        "sources",
        "view",
    )

    def __init__(self, stream: int) -> None:
        self.octets = bytearray(BATCH * SLOT)
        self.hdrs = bytearray(BATCH * _MMSGHDR_SIZE)
        self.sources = bytearray(BATCH * _SOURCE)
        self._iov = bytearray(BATCH * _IOVEC.size)
        self._keep = [
            _ffi.from_buffer(b)
            for b in (self.octets, self.hdrs, self._iov, self.sources)
        ]
        slots, hdrs, iov, sources = (int(_ffi.cast("uintptr_t", k)) for k in self._keep)
        for i in range(BATCH):
            packet = slots + SLOT * i + PACKET_AT
            _IOVEC.pack_into(self._iov, _IOVEC.size * i, packet, ROOM)
            self.octets[SLOT * i + _STREAM_AT] = stream
        self._address = _ffi.cast("void*", hdrs)
        # Of libsrtp's own binding: they go into its functions as they are.
        self.packetp = [
            libsrtp_ffi.cast("void*", slots + SLOT * i + PACKET_AT)
            for i in range(BATCH)
        ]
        self.lenp = [
            libsrtp_ffi.cast("int*", hdrs + _MMSGHDR_SIZE * i + _LENGTH_IN_HEADER)
            for i in range(BATCH)
        ]
        self.lengths_of = [
            struct.Struct("<" + "56xI4x" * k).unpack_from for k in range(BATCH + 1)
        ]
        self.heads_of = [
            struct.Struct(">" + _HEAD * k).unpack_from for k in range(BATCH + 1)
        ]
        self.view = memoryview(self.octets)
        self.rows = np.frombuffer(self.octets, np.uint8).reshape(BATCH, SLOT)
        self._field = self.rows[:, _LENGTH_AT:PACKET_AT].view("<u2")[:, 0]
        self._same = -1
        self._gathered: dict[int, Any] = {}
        self._arm(slots, iov, sources)

    def _arm(self, slots: int, iov: int, sources: int) -> None:
        for i in range(BATCH):
            _MMSGHDR.pack_into(
                self.hdrs,
                _MMSGHDR_SIZE * i,
                *(sources + _SOURCE * i, SOURCE_SIZE, 0),
                *(iov + _IOVEC.size * i, 1),
                *(slots + SLOT * i, _CONTROL_SIZE, 0, 0, 0, 0),
            )

    def receive(self, fd: int) -> int:
        """Bring up to `BATCH` datagrams; 0 or less when there are none."""
        count: int = _recvmmsg(fd, self._address, BATCH, _MSG_DONTWAIT, _ffi.NULL)
        return count

    def is_cut(self, i: int) -> bool:
        """Whether the kernel cut datagram *i* to the slot."""
        return bool(self.hdrs[_FLAGS_AT + i * _MMSGHDR_SIZE] & MSG_TRUNC)

    def heads(self, count: int) -> tuple[int, ...]:
        """Return first two octets, sequence number and SSRC of each, in a row."""
        # For the hot path: see `heads_of`.  SRTP leaves these octets as they are.
        return self.heads_of[count](self.octets)

    def source(self, i: int) -> bytes:
        """Return the socket address that datagram *i* came from, padded with zeros.

        All zeros where the socket has no addresses (unix(7)).
        """
        return bytes(self.sources[_SOURCE * i : _SOURCE * i + SOURCE_SIZE])

    def are_all_from(self, count: int, source: bytes) -> bool:
        """Whether each of the first *count* datagrams came from *source*."""
        padded = source.ljust(_SOURCE, b"\0")
        return self.sources[: _SOURCE * count] == padded * count

    def gather(self, count: int, length: int) -> bytes:
        """Return *count* records in one piece, each with *length* octets."""
        if length != self._same:
            self._field[:] = length
            self._same = length
        shape = count << 16 | length
        rows = self._gathered.get(shape)
        if rows is None:
            if len(self._gathered) >= _MOST_SHAPES:
                self._gathered.clear()
            rows = self.rows[:count, RECORD_AT : PACKET_AT + length]
            self._gathered[shape] = rows
        gathered: bytes = rows.tobytes()
        return gathered

    def gather_mixed(self, lengths: tuple[int, ...]) -> bytes:
        """Return one record for each of *lengths*, in one piece."""
        self._field[: len(lengths)] = lengths
        self._same = -1
        view = self.view
        return b"".join(
            [
                view[at + RECORD_AT : at + PACKET_AT + length]
                for at, length in zip(_STARTS, lengths, strict=False)
            ]
        )

    def packets(self, count: int, length: int) -> bytes:
        """Return the first *length* octets of each datagram, in one piece."""
        return self.rows[:count, PACKET_AT : PACKET_AT + length].tobytes()

    def packet(self, i: int, length: int) -> memoryview:
        """Return the octets of datagram *i* as they lie in the slot."""
        start = SLOT * i + PACKET_AT
        return self.view[start : start + length]

    def length(self, i: int) -> int:
        """Return the length that the kernel, or libsrtp after it, wrote."""
        length: int = _U32.unpack_from(
            self.hdrs, i * _MMSGHDR_SIZE + _LENGTH_IN_HEADER
        )[0]
        return length

    def shorten(self, i: int, length: int) -> None:
        """Say that datagram *i* has *length* octets, as libsrtp says it."""
        self.lenp[i][0] = length

    def restore(self, i: int, octets: bytes) -> None:
        """Put datagram *i* back as it was received."""
        at = i * _MMSGHDR_SIZE + _LENGTH_IN_HEADER
        self.hdrs[at : at + 4] = len(octets).to_bytes(4, "little")
        self.packet(i, len(octets))[:] = octets

    def arrival(self, i: int) -> bytes:
        """Return the sixteen octets that say when datagram *i* arrived."""
        at = SLOT * i + RECORD_AT
        return bytes(self.octets[at : at + _ARRIVAL_SIZE])

    def place(self, arrival: bytes, octets: bytes) -> None:
        """Put a datagram that had been received before into the first slot."""
        self.octets[RECORD_AT : RECORD_AT + _ARRIVAL_SIZE] = arrival
        self.restore(0, octets)

    def record(self, i: int, kind: Kind, octets: bytes | memoryview) -> bytes:
        """Return the record of datagram *i*, with *octets* for its own."""
        at = SLOT * i
        header = self.octets[at + RECORD_AT : at + _KIND_AT]
        header.append(kind)
        header += len(octets).to_bytes(2, "little")
        header += octets
        return bytes(header)
