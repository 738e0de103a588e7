"""Load: screens, as bursts of video over SRTP.

    python screens.py STREAMS FIRST_PORT SECONDS

Prints READY when all packets are made, sends when a line comes on stdin, and prints
{"sent": n}.  Each stream has a key frame of 300 packets every five seconds, sent at
once as encoders do, and three packets ten times a second in between.  Stream i goes
to FIRST_PORT + 2 i under `load.key_of(i)`.
"""

import json
import os
import random
import socket
import struct
import sys
import time

from load import session_of
from processes import PORT, expect, finish, python
from pylibsrtp import Policy

from vault.core.media import SrtpSuite

SUITE = SrtpSuite.AES_CM_128_HMAC_SHA1_80
KEY_FRAME, FRAME = 300, 3
FRAMES_PER_S, KEY_FRAME_EVERY = 10, 50
PAYLOAD = bytes(range(256)) * 4 + bytes(76)


class Screens:
    """The sender, a process of its own on the last core."""

    def __init__(self, streams: int, seconds: float) -> None:
        self._process = python("screens.py", str(streams), str(PORT), str(seconds))

    def wait_until_ready(self) -> None:
        expect(self._process, "READY")

    def send(self) -> int:
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()
        sent = json.loads(self._process.stdout.readline())["sent"]
        finish(self._process)
        return sent


def _frames(streams: int, port: int, seconds: float) -> list[tuple[float, int, list]]:
    """Return when which port gets which packets, in order of time."""
    chance = random.Random(1)  # noqa: S311 - phases, and the same ones in every run
    found = []
    for stream in range(streams):
        session = session_of(stream, SUITE, Policy.SSRC_ANY_OUTBOUND)
        head = struct.pack(">I", 0x10000 + stream)
        seq, phase = 0, chance.random() * KEY_FRAME_EVERY
        begins_s = chance.random() / FRAMES_PER_S
        for number in range(round(seconds * FRAMES_PER_S)):
            is_key = number % KEY_FRAME_EVERY == int(phase)
            packets = []
            for _ in range(KEY_FRAME if is_key else FRAME):
                seq += 1
                fixed = b"\x80\x60" + struct.pack(">HI", seq, 9000 * number) + head
                packets.append(session.protect(fixed + PAYLOAD))
            found.append((begins_s + number / FRAMES_PER_S, port + 2 * stream, packets))
    return sorted(found, key=lambda one: one[:2])


def main() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    streams, port, seconds = sys.argv[1:]
    frames = _frames(int(streams), int(port), float(seconds))
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 << 20)
    print("READY", flush=True)
    sys.stdin.readline()
    start_s, sent = time.monotonic(), 0
    for due_s, to, packets in frames:
        time.sleep(max(0.0, start_s + due_s - time.monotonic()))
        for packet in packets:
            one.sendto(packet, ("127.0.0.1", to))
        sent += len(packets)
    print(json.dumps({"sent": sent}), flush=True)


if __name__ == "__main__":
    main()
