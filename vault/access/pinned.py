"""Connections that go to an address which was checked, and end at a deadline.

Guarantees: the address that is connected to is one that the given function has
returned for the host; whatever the peer does, nothing waits beyond the deadline.

Left to others: which addresses (`vault.access.provider_http`), TLS and HTTP (the
library, which still compares the certificate with the host's name).
"""

import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import httpcore

AddressesOf = Callable[[str, int, float], list[str]]
"Host, port and seconds left to the addresses that may be connected to."
_Option = tuple[int, int, int] | tuple[int, int, bytes | bytearray]
_Option3 = _Option | tuple[int, int, None, int]

_SHORTEST_S: Final = 0.001


class _Clock:
    """Seconds that are left of a deadline."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline

    def left_s(self) -> float:
        left_s = self._deadline - time.monotonic()
        if left_s <= _SHORTEST_S:
            raise httpcore.ReadTimeout
        return left_s


class PinnedBackend(httpcore.NetworkBackend):
    """Opens the connections of one request."""

    def __init__(self, addresses_of: AddressesOf, deadline: float) -> None:
        """Take the deadline, in seconds of `time.monotonic`."""
        self._addresses_of = addresses_of
        self._clock = _Clock(deadline)
        self._backend = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[_Option3] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers."""
        del timeout
        try:
            addresses = self._addresses_of(host, port, self._clock.left_s())
        except OSError:
            raise httpcore.ConnectError("no address") from None
        failure = httpcore.ConnectError("no address")
        for address in addresses:
            try:
                stream = self._backend.connect_tcp(
                    address, port, self._clock.left_s(), local_address, socket_options
                )
            except httpcore.ConnectError as exc:
                failure = exc
                continue
            return _TimedStream(stream, self._clock)
        raise failure


class _TimedStream(httpcore.NetworkStream):
    """A stream on which every operation has what is left of one deadline."""

    def __init__(self, stream: httpcore.NetworkStream, clock: _Clock) -> None:
        self._stream = stream
        self._clock = clock

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        return self._stream.read(max_bytes, self._clock.left_s())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self._stream.write(buffer, self._clock.left_s())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        del timeout
        stream = self._stream.start_tls(
            ssl_context, server_hostname, self._clock.left_s()
        )
        return _TimedStream(stream, self._clock)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
