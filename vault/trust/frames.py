"""Frames: how octets of one message are told apart on a stream socket.

    octet 0        4                    4 + n
          | u32 n  | n octets of JSON   |

*n* is big-endian, at least 2 and at most 1,048,576.

Guarantees:
    * A peer that announces more than it may send is cut off before a single
      octet of it is read; nothing is ever buffered beyond one frame.
    * A stream that ends inside a frame is an error, never a short message.

Left to others: what the octets mean (`vault.trust.messages`).

Spec: docs/reference/formats/warden-protocol.md
"""

import socket
import struct
from typing import Final

from vault.core.errors import InvalidInputError

MAX_FRAME_BYTES: Final = 1 << 20
"Octets of JSON in one frame at most; the four octets of length come on top."

_LENGTH: Final = struct.Struct(">I")
_SHORTEST_BYTES: Final = 2


def frame(octets: bytes) -> bytes:
    """Return *octets* with their length before them.

    Raises:
        InvalidInputError: More than one frame holds.
    """
    if len(octets) > MAX_FRAME_BYTES:
        raise InvalidInputError(f"a message of {len(octets)} octets is too long")
    return _LENGTH.pack(len(octets)) + octets


def receive(sock: socket.socket) -> bytes | None:
    """Read the octets of the next frame from a blocking socket.

    Returns:
        The JSON, or None where the peer closed between two frames.

    Raises:
        InvalidInputError: The length is impossible, or the stream ended early.
        OSError: The connection broke.
    """
    prefix = _exactly(sock, _LENGTH.size)
    if not prefix:
        return None
    (size,) = _LENGTH.unpack(prefix)
    if not _SHORTEST_BYTES <= size <= MAX_FRAME_BYTES:
        raise InvalidInputError(f"a frame of {size} octets")
    octets = _exactly(sock, size)
    if not octets:
        raise InvalidInputError("the stream ended inside a frame")
    return octets


def _exactly(sock: socket.socket, size: int) -> bytes:
    """Return *size* octets, or none at all where the peer has closed."""
    buffer = bytearray(size)
    view, filled = memoryview(buffer), 0
    while filled < size:
        count = sock.recv_into(view[filled:])
        if count == 0 and filled:
            raise InvalidInputError("the stream ended inside a frame")
        if count == 0:
            return b""
        filled += count
    return bytes(buffer)
