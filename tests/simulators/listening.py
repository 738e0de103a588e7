"""Which ports processes listen on, as the kernel tells it and not the processes."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_TCP_LISTENING: Final = "0A"
_UDP_UNCONNECTED: Final = "07"
_TABLES: Final = (
    ("tcp", _TCP_LISTENING),
    ("tcp6", _TCP_LISTENING),
    ("udp", _UDP_UNCONNECTED),
    ("udp6", _UDP_UNCONNECTED),
)


def ports_of(pids: Iterable[int]) -> set[tuple[str, str, int]]:
    """Return protocol, address in hexadecimal and port of all that *pids* listen on."""
    found: set[tuple[str, str, int]] = set()
    for pid in pids:
        sockets = set(_sockets(pid))
        for table, state in _TABLES:
            for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == state and words[9] in sockets:
                    address, _, port = words[1].rpartition(":")
                    found.add((table.rstrip("6"), address, int(port, 16)))
    return found


def _sockets(pid: int) -> Iterator[str]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except OSError:
            continue  # it has just been closed
        if target.startswith("socket:["):
            yield target[len("socket:[") : -1]
