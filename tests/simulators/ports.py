"""Ports of loopback for programs that must be told one before they start.

Guarantees: below the ephemeral ports, which outgoing connections take between the look
and the start; apart from those that other xdist workers give out; the next thousands of
calls give others.
"""

import itertools
import os
import socket
from typing import Final

HERE: Final = "127.0.0.1"
_LOWEST: Final = 10_000
_LANES: Final = 4
_PER_LANE: Final = 2_500
_lane = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _LANES
# By process: two runs of the tests on one machine rarely meet.
_offsets = itertools.count(os.getpid() * 37 % _PER_LANE)


def free_port() -> int:
    """Return a port that nobody has now, neither by TCP nor by UDP."""
    return first_free_port(1)


def first_free_port(count: int) -> int:
    """Return the first of *count* such ports that follow each other."""
    for _ in range(_PER_LANE):
        offset = next(_offsets) % (_PER_LANE - count + 1)
        first = _LOWEST + _lane * _PER_LANE + offset
        if all(map(_is_free, range(first, first + count))):
            for _ in range(count - 1):
                next(_offsets)
            return first
    raise AssertionError(f"no {count} free ports from {_LOWEST}")


def _is_free(port: int) -> bool:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        # As servers do: what is left of connections that ended is in nobody's way.
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind((HERE, port))
            udp.bind((HERE, port))
        except OSError:
            return False
    return True
