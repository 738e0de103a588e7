"""Senders of SRTP streams whose every packet says which one it is.

Standard input: one line of JSON, ``[{"port", "key", "suite", "first"}, ...]``; then,
any time, a line that ends it.  Standard output: ``READY``, then one line of JSON,
``[packets sent, ...]`` in the order of the streams.

50 packets per second and stream.  The payload begins with the packet's number (64
bits, big-endian, from 0): what was recorded is compared with what was sent, packet by
packet.  Sequence numbers begin at *first*, so that they can wrap early.
"""

import base64
import json
import select
import socket
import struct
import sys
import time

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.srtp import OutboundSession

PACKET_S = 0.02
SLICES = 20
_HEADER = struct.Struct(">BBHII")
_NUMBER = struct.Struct(">Q")
_REST = bytes(152)


class Stream:
    """One leg."""

    def __init__(self, index: int, told: dict[str, str | int]) -> None:
        suite = SrtpSuite(told["suite"])
        key = SecretBytes(base64.b64decode(str(told["key"])))
        self._session = OutboundSession(suite, key)
        self._ssrc = 0xC0000000 + index
        self._first = int(told["first"])
        self.to = ("127.0.0.1", int(told["port"]))
        self.sent = 0

    def packet(self) -> bytes:
        """Return the next packet, protected."""
        number = self.sent
        self.sent += 1
        head = _HEADER.pack(
            0x80,
            0,
            (self._first + number) & 0xFFFF,
            160 * number & 0xFFFFFFFF,
            self._ssrc,
        )
        return self._session.protect(head + _NUMBER.pack(number) + _REST)


def main() -> None:
    streams = [
        Stream(i, told) for i, told in enumerate(json.loads(sys.stdin.readline()))
    ]
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    slices = [streams[i::SLICES] for i in range(SLICES)]
    print("READY", flush=True)
    start_s, turn = time.monotonic(), 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        for number, part in enumerate(slices):
            due_s = start_s + (turn + number / SLICES) * PACKET_S
            time.sleep(max(0.0, due_s - time.monotonic()))
            for stream in part:
                out.sendto(stream.packet(), stream.to)
        turn += 1
    print(json.dumps([stream.sent for stream in streams]), flush=True)


if __name__ == "__main__":
    main()
