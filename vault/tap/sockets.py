"""Media sockets: pairs of ports, their buffers and what the kernel dropped.

Guarantees: a pair is an even port and the next one, both bound to the
configured address before anyone is told of them; a port that someone else
holds is skipped; a port is not used again for some seconds after its call, so
that late packets of one call never reach the next.

Left to others: reading (`vault.tap.sweep`); the supervisor keeps its
descriptors open, so that packets outlive a worker.

Spec: RFC 3550 section 11, socket(7).
"""

import errno
import ipaddress
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vault.core.errors import ConfigurationError, ConflictError, SpoolFullError
from vault.tap.orders import PortPair

SO_TIMESTAMPNS: Final = 35
_SO_RCVBUFFORCE: Final = 33
_SO_MEMINFO: Final = 55
_MEMINFO: Final = struct.Struct("=9I")
_DROPS: Final = 8
_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS})


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundPair:
    """Two bound sockets and their names."""

    ports: PortPair
    rtp: socket.socket
    rtcp: socket.socket

    def drops(self) -> int:
        """Return the datagrams that found a full buffer, on both ports."""
        return _drops(self.rtp) + _drops(self.rtcp)

    def widen(self, buffer_bytes: int) -> None:
        """Ask for a larger receive buffer on the media port."""
        _set_buffer(self.rtp, buffer_bytes)

    def close(self) -> None:
        """Close both."""
        self.rtp.close()
        self.rtcp.close()


class PortAllocator:
    """Hands out pairs of a range in turn."""

    def __init__(
        self,
        *,
        address: str,
        ports: tuple[int, int],
        buffer_bytes: int,
        cool_down_s: float,
        clock: Callable[[], float],
    ) -> None:
        try:
            version = ipaddress.ip_address(address).version
        except ValueError:
            raise ConfigurationError(f"not an IP address: {address}") from None
        self._family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004 - the IP version
        self._address = address
        low, high = ports
        # The pair needs its odd port inside the range, too.
        self._pairs = range(low + low % 2, high, 2)
        if not self._pairs:
            raise ConfigurationError(f"no pair of ports in {low}-{high}")
        self._buffer_bytes = buffer_bytes
        self._cool_down_s = cool_down_s
        self._clock = clock
        self._next = 0
        self._used: dict[int, BoundPair] = {}
        self._strange = 0
        "Used pairs that do not lie in the range."
        self._cooling: deque[tuple[float, int]] = deque()
        self._cool: set[int] = set()

    def take(self) -> BoundPair:
        """Bind the next free pair.

        Raises:
            SpoolFullError: None is free, or this process has no descriptors left.
        """
        self._warm_up()
        for _ in range(len(self._pairs)):
            port = self._pairs[self._next]
            self._next = (self._next + 1) % len(self._pairs)
            if port in self._used or port in self._cool:
                continue
            pair = self._bind(port)
            if pair is not None:
                self._used[port] = pair
                return pair
        raise SpoolFullError("no free media ports")

    def adopt(self, rtp: socket.socket, rtcp: socket.socket) -> BoundPair:
        """Take in a pair that an earlier process had bound, with what is queued in it.

        The ports need not lie in the range: it may have been changed since.  From
        here on the sockets are this allocator's, and stay the caller's on an error.

        Raises:
            ConflictError: These are no pair, or another call has their ports.
        """
        low, high = _local_port(rtp), _local_port(rtcp)
        if low % 2 or high != low + 1:
            raise ConflictError(f"ports {low} and {high} are no pair")
        if low in self._used:
            raise ConflictError(f"port {low} is another call's")
        for one in (rtp, rtcp):
            one.setblocking(False)
        # Not by the socket's own name: one that is connected has forgotten the
        # wildcard that it was bound to.
        ports = PortPair(address=self._address, rtp=low, rtcp=high)
        pair = BoundPair(ports=ports, rtp=rtp, rtcp=rtcp)
        self._used[low] = pair
        self._strange += low not in self._pairs
        return pair

    @property
    def free(self) -> int:
        """Pairs of the range that are neither a call's nor cooling down.

        Some of them may turn out to be held by another program.
        """
        self._warm_up()
        own = len(self._used) - self._strange
        return len(self._pairs) - own - len(self._cool)

    @property
    def used(self) -> int:
        """Pairs that calls hold."""
        return len(self._used)

    def bound(self, ports: PortPair) -> BoundPair:
        """Return the sockets of a pair that was taken and not given back.

        Raises:
            KeyError: It was not.
        """
        return self._used[ports.rtp]

    def give_back(self, ports: PortPair) -> None:
        """Close a pair and let its ports cool down; again is no error."""
        pair = self._used.pop(ports.rtp, None)
        if pair is not None:
            pair.close()
            if ports.rtp in self._pairs:
                self._cooling.append((self._clock() + self._cool_down_s, ports.rtp))
                self._cool.add(ports.rtp)
            else:
                self._strange -= 1

    def close(self) -> None:
        """Close every socket."""
        for pair in self._used.values():
            pair.close()
        self._used.clear()
        self._strange = 0

    def _warm_up(self) -> None:
        now_s = self._clock()
        while self._cooling and self._cooling[0][0] <= now_s:
            self._cool.discard(self._cooling.popleft()[1])

    def _bind(self, port: int) -> BoundPair | None:
        bound: list[socket.socket] = []
        try:
            for number in (port, port + 1):
                bound.append(self._open())
                bound[-1].bind((self._address, number))
        except OSError as error:
            for one in bound:
                one.close()
            if error.errno == errno.EADDRINUSE:
                return None
            if error.errno in _OUT_OF_DESCRIPTORS:
                raise SpoolFullError("no descriptors for media sockets") from error
            raise ConfigurationError(
                f"media ports of {self._address} cannot be bound: {error.strerror}"
            ) from error
        ports = PortPair(address=self._address, rtp=port, rtcp=port + 1)
        return BoundPair(ports=ports, rtp=bound[0], rtcp=bound[1])

    def _open(self) -> socket.socket:
        one = socket.socket(self._family, socket.SOCK_DGRAM)
        one.setblocking(False)
        # Before bind(), so that every queued packet carries its arrival time.
        one.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        _set_buffer(one, self._buffer_bytes)
        return one


def _local_port(one: socket.socket) -> int:
    port: int = one.getsockname()[1]
    return port


def _set_buffer(one: socket.socket, size_bytes: int) -> None:
    # The kernel doubles what it is asked for, to pay for its own book-keeping.
    try:
        one.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size_bytes // 2)
    except PermissionError:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes // 2)


def drops_of(fd: int) -> int:
    """Return the datagrams that found a full buffer at the socket behind *fd*."""
    one = socket.socket(fileno=fd)
    try:
        return _drops(one)
    finally:
        one.detach()


def _drops(one: socket.socket) -> int:
    info = one.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
    drops: int = _MEMINFO.unpack(info)[_DROPS]
    return drops
