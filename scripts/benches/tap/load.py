"""Load: G.711 streams, protected beforehand, then sent on a millisecond grid.

    python load.py STREAMS FIRST_PORT SUITE SECONDS

Prints READY when all packets are made, sends when a line comes on stdin, and
prints {"sent": n, "late_ms": worst}.  Stream i goes to FIRST_PORT + 2 i under
`key_of(i)`; phases are spread over 20 ms.  ``sendmmsg`` is reached as the tap
reaches ``recvmmsg``, so the sender does not need a compiler.
"""

import hashlib
import json
import os
import socket
import struct
import sys
import time

import cffi
import numpy as np
from pylibsrtp import Policy, Session

from vault.core.media import SrtpSuite

PACKETS_PER_S = 50
PAYLOAD = bytes(range(160))
PROFILES = {
    SrtpSuite.AES_CM_128_HMAC_SHA1_80: Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
    SrtpSuite.AEAD_AES_128_GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    SrtpSuite.AEAD_AES_256_GCM: Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
}
MMSGHDR = 64


def key_of(stream: int, suite: SrtpSuite) -> bytes:
    """Return the bench key of a stream; never one for a real call."""
    return hashlib.sha512(b"bench %d" % stream).digest()[: suite.master_size_bytes]


def session_of(stream: int, suite: SrtpSuite, ssrc_type: int) -> Session:
    policy = Policy(
        key=key_of(stream, suite), ssrc_type=ssrc_type, srtp_profile=PROFILES[suite]
    )
    policy.window_size = 1024
    return Session(policy)


class Load:
    """All packets in one piece of memory, and the vectors that point into it."""

    def __init__(
        self, streams: int, port: int, suite: SrtpSuite, seconds: float
    ) -> None:
        self.streams, self.count = streams, round(seconds * PACKETS_PER_S)
        rows = [self._protected(i, suite) for i in range(streams)]
        self.size = len(rows[0][0])
        # Ordered by time: packet q of all streams lies together.
        self.octets = np.frombuffer(
            b"".join(rows[i][q] for q in range(self.count) for i in range(streams)),
            np.uint8,
        ).copy()
        ffi = cffi.FFI()
        ffi.cdef("int sendmmsg(int, void *, unsigned int, int);")
        self._send = ffi.dlopen(None).sendmmsg
        addresses = b"".join(
            struct.pack(
                "<HH4s8x", socket.AF_INET, socket.htons(port + 2 * i), b"\x7f\0\0\1"
            )
            for i in range(streams)
        )
        self._iov = np.zeros((streams, 2), np.uint64)
        self._iov[:, 1] = self.size
        self._addresses = np.frombuffer(addresses, np.uint8).copy()
        at = [int(a.ctypes.data) for a in (self._iov, self._addresses)]
        self._headers = np.frombuffer(
            b"".join(
                struct.pack(
                    "<QIIQQQQIiII",
                    at[1] + 16 * i,
                    16,
                    0,
                    at[0] + 16 * i,
                    1,
                    0,
                    0,
                    0,
                    0,
                    0,
                    0,
                )
                for i in range(streams)
            ),
            np.uint8,
        ).copy()
        self._pointer = ffi.cast("char *", int(self._headers.ctypes.data))
        self._base = int(self.octets.ctypes.data)

    def _protected(self, stream: int, suite: SrtpSuite) -> list[bytes]:
        session = session_of(stream, suite, Policy.SSRC_ANY_OUTBOUND)
        head = struct.pack(">I", 0x10000 + stream)
        return [
            session.protect(
                b"\x80\x00" + struct.pack(">HI", q + 1, 160 * q) + head + PAYLOAD
            )
            for q in range(self.count)
        ]

    def send(self) -> dict[str, float]:
        fd = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        fd.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
        offsets = self._base + np.arange(self.streams, dtype=np.uint64) * self.size
        slots = [
            (self.streams * s // 20, self.streams * (s + 1) // 20) for s in range(20)
        ]
        start, late, sent = time.monotonic(), 0.0, 0
        for q in range(self.count):
            self._iov[:, 0] = offsets + np.uint64(q * self.streams * self.size)
            for s, (at, stop) in enumerate(slots):
                first = at
                due = start + q / PACKETS_PER_S + s / 1000
                time.sleep(max(0.0, due - time.monotonic()))
                late = max(late, time.monotonic() - due)
                while first < stop:
                    done = self._send(
                        fd.fileno(), self._pointer + MMSGHDR * first, stop - first, 0
                    )
                    if done <= 0:
                        raise OSError("sendmmsg")
                    first += done
                    sent += done
        return {"sent": sent, "late_ms": late * 1000}


def main() -> None:
    # The receiver has the first core and the sender the last one.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    streams, port, suite, seconds = sys.argv[1:]
    load = Load(int(streams), int(port), SrtpSuite(suite), float(seconds))
    print("READY", flush=True)
    sys.stdin.readline()
    print(json.dumps(load.send()), flush=True)


if __name__ == "__main__":
    main()
