"""Sockets and files as every receiver of a bench has them."""

import os
import socket
from pathlib import Path

SO_TIMESTAMPNS = 35


def bound(port: int) -> socket.socket:
    """Return a socket of loopback with room for five seconds and kernel times."""
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
    one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    one.bind(("127.0.0.1", port))
    return one


def part(folder: Path, number: int) -> int:
    """Return a new file of a call, to append to."""
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC
    return os.open(folder / f"call{number}", flags, 0o600)
