"""Names to addresses, for as long as whoever asks can wait.

Guarantees: `Resolving.addresses` returns or raises within the seconds it was given,
although ``getaddrinfo`` knows no time limit.

Left to others: which of the addresses may be connected to.
"""

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

Resolve = Callable[[str, int], Iterable[str]]
"Host and port to addresses; raises OSError where there are none."

_RESOLVERS: Final = 4


def resolved(host: str, port: int) -> Iterable[str]:
    """Return the addresses of *host*, as this machine resolves it."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return dict.fromkeys(str(one[4][0]) for one in found)


class Resolving:
    """Threads that wait for the name server; safe to share."""

    def __init__(self, resolve: Resolve = resolved) -> None:
        """Ask by *resolve*; threads begin with the first question."""
        self._resolve = resolve
        self._threads = ThreadPoolExecutor(_RESOLVERS, "resolve")

    def addresses(self, host: str, port: int, within_s: float) -> list[str]:
        """Return the addresses of *host*.

        Raises:
            TimeoutError: Not within *within_s* seconds.
            OSError: There are none.
        """
        asked = self._threads.submit(self._resolve, host, port)
        return list(asked.result(timeout=within_s))
