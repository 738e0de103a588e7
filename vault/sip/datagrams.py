"""SIP over UDP: one socket, and the address of ours that each datagram reached.

Guarantees:
    * An answer leaves from the address that was asked, also where the socket listens
      on every address (``IP_PKTINFO``); a peer behind a firewall or NAT takes no
      other.
    * A sender that is cut off costs one system call and one search in a dict.
    * Reading comes before working: a flood is cut off by how fast it comes, not by
      how fast it can be answered, and what others send meanwhile is not behind it.
    * No error of a network, such as an ICMP message that anybody can forge, ends
      listening or a transaction: an error queue is never asked for, so that only
      timers do.
    * The port is ours alone: no other process is let in beside us (no
      ``SO_REUSEADDR`` and no ``SO_REUSEPORT``).

Left to others: what the octets say (`vault.sip.user_agent`).

Spec: RFC 3261, section 18; RFC 3581; ip(7), ipv6(7).
"""

import asyncio
import contextlib
import socket
import struct
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from vault.core.prefixes import literal, network_of
from vault.sip.addresses import (
    SocketAddress,
    as_seen_by,
    is_link_local,
    is_wildcard,
    resolved,
)
from vault.sip.counting import Refusal, Tally
from vault.sip.fair_queue import FairQueue
from vault.sip.limits import AddressBudget
from vault.sip.peers import Peer, Transport

_IP_PKTINFO: Final = 8
_IP_MTU_DISCOVER, _IP_PMTUDISC_OMIT = 10, 5
_IPV6_RECVPKTINFO, _IPV6_PKTINFO = 49, 50
_SO_RCVBUFFORCE: Final = 33
_PKTINFO: Final = struct.Struct("=i4s4s")
_PKTINFO6: Final = struct.Struct("=16sI")
_ANCILLARY_BYTES: Final = 128
_RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
_LARGEST: Final = 65536
_READ_PER_TURN: Final = 256
"Datagrams that are read before any is worked on: their senders' budgets are spent."
_WORK_S: Final = 0.004
"How long they are worked on before the event loop may do something else."
_STRANGERS_EVERY: Final = 8
"Of so many datagrams one is a stranger's, however many known senders wait."
_WAITING_BYTES: Final = 8 * 1024 * 1024
_WAITING_BYTES_EACH: Final = 1024 * 1024
_MAX_SCOPES: Final = 1024
_KEEP_ALIVE: Final = frozenset(b"\r\n\0")
_LONGEST_KEEP_ALIVE: Final = 4


class DatagramTaker(Protocol):
    """Who hears of datagrams."""

    def take(self, octets: bytes, peer: Peer) -> None:
        """Take one that is not empty; it MUST NOT raise."""
        ...


class Datagrams:
    """One UDP listener."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        taker: DatagramTaker,
        budget: AddressBudget,
        tally: Tally,
        clock: Callable[[], float],
        is_dual: bool,
    ) -> None:
        """Bind, and hear nothing yet.

        Args:
            host: Literal, with zone where it has one.
            port: 0 for any.
            taker: Who gets what arrives.
            budget: Of who sends.
            tally: What is dropped is counted there.
            clock: Monotonic seconds.
            is_dual: Whether ``::`` takes IPv4, too.

        Raises:
            ConfigurationError: *host* is not a literal address.
            OSError: It cannot be bound.
        """
        family, name = resolved(host, port)
        self._taker = taker
        self._budget = budget
        self._tally = tally
        self._clock = clock
        self._is_wildcard = is_wildcard(host)
        self._buffer = bytearray(_LARGEST)
        self._known, self._strangers = _queue(), _queue()
        self._is_working = False
        self._turn = 0
        self._scopes: OrderedDict[str, int] = OrderedDict()
        "Interfaces of link-local peers, which a `Peer` does not name."
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._prepare(family, is_dual=is_dual)
            self._socket.bind(name)
        except OSError:
            self._socket.close()
            raise
        bound = self._socket.getsockname()
        self.address, self.port = literal(bound[0]), int(bound[1])

    def listen(self) -> None:
        """Begin to hear."""
        asyncio.get_running_loop().add_reader(self._socket, self._hear)

    def close(self) -> None:
        """Hear nothing more."""
        self._known.clear()
        self._strangers.clear()
        if self._socket.fileno() >= 0:
            with contextlib.suppress(RuntimeError):  # No loop, so nothing to remove.
                asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def reaches(self, address: str) -> bool:
        """Whether an address of this family can be sent to from here."""
        return self._socket.family == socket.AF_INET6 or ":" not in address

    def send(self, octets: bytes, *, to: tuple[str, int], local: str) -> bool:
        """Send one datagram; return whether the kernel took it.

        Args:
            octets: What.
            to: Literal and port.
            local: Literal of ours that it leaves from; empty for the kernel's choice.
        """
        address, port = to
        family = self._socket.family
        name: SocketAddress = (as_seen_by(family, address), port)
        if address in self._scopes:
            name = (*name[:2], 0, self._scopes[address])
        ancillary = self._leaving_from(local) if self._is_wildcard and local else []
        try:
            self._socket.sendmsg([octets], ancillary, 0, name)
        except OSError:
            # Full buffers, no route, a firewall, too large: what is sent again when
            # nobody answers needs no other care.
            self._tally.refused(Refusal.UNSENT)
            return False
        return True

    def _prepare(self, family: int, *, is_dual: bool) -> None:
        one = self._socket
        one.setblocking(False)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_dual)
            one.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVPKTINFO, 1)
        else:
            one.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            # A 2xx with many candidates is larger than a packet.  The kernel splits
            # it by the interface's size and no ICMP message is asked.
            one.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_OMIT)
        try:
            one.setsockopt(
                socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES // 2
            )
        except PermissionError:
            one.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES // 2
            )

    def _hear(self) -> None:
        now_s = self._clock()
        for _ in range(_READ_PER_TURN):
            try:
                size, ancillary, _, name = self._socket.recvmsg_into(
                    [self._buffer], _ANCILLARY_BYTES
                )
            except OSError:
                # Nothing more to read; or an error of an earlier datagram, which
                # this call has taken off the socket.
                break
            address = literal(name[0])
            network = network_of(address)
            if not self._budget.spend(network, now_s):
                self._ignore(network, now_s)
            elif name[1] and not self._is_keep_alive(size):
                octets = bytes(memoryview(self._buffer)[:size])
                peer = self._peer(address, name, ancillary)
                is_known = self._budget.is_known(network)
                queue = self._known if is_known else self._strangers
                if not queue.put(network, (octets, peer), size):
                    self._tally.refused(Refusal.OVERLOAD)
        if not self._is_working:
            self._work()

    def _ignore(self, network: str, now_s: float) -> None:
        dropped = 1
        if self._budget.is_cut_off(network, now_s):
            dropped += self._known.drop(network) + self._strangers.drop(network)
        self._tally.refused(Refusal.BUDGET, dropped)

    def _work(self) -> None:
        """Hand on what waits for a while, then let others have their turn."""
        until_s = time.monotonic() + _WORK_S
        while (found := self._next()) is not None:
            self._taker.take(*found)
            if time.monotonic() > until_s:
                break
        self._is_working = bool(len(self._known) or len(self._strangers))
        if self._is_working:
            asyncio.get_running_loop().call_soon(self._work)

    def _next(self) -> tuple[bytes, Peer] | None:
        self._turn = (self._turn + 1) % _STRANGERS_EVERY
        first, second = self._known, self._strangers
        if not self._turn:
            first, second = second, first
        return first.take() or second.take()

    def _is_keep_alive(self, size: int) -> bool:
        # Meant for NATs on the way; over UDP it is not answered (RFC 5626, 3.5.2
        # has STUN for that).
        return size <= _LONGEST_KEEP_ALIVE and _KEEP_ALIVE.issuperset(
            self._buffer[:size]
        )

    def _peer(
        self,
        address: str,
        name: tuple[object, ...],
        ancillary: list[tuple[int, int, bytes]],
    ) -> Peer:
        if len(name) > 2 and is_link_local(address):  # noqa: PLR2004 - an IPv6 name has four
            self._remember_scope(address, int(str(name[3])))
        return Peer(
            transport=Transport.UDP,
            address=address,
            port=int(str(name[1])),
            local=(self._reached(ancillary) or self.address, self.port),
        )

    def _remember_scope(self, address: str, scope: int) -> None:
        self._scopes[address] = scope
        self._scopes.move_to_end(address)
        if len(self._scopes) > _MAX_SCOPES:
            self._scopes.popitem(last=False)

    @staticmethod
    def _reached(ancillary: list[tuple[int, int, bytes]]) -> str:
        for level, kind, content in ancillary:
            if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
                return socket.inet_ntop(socket.AF_INET, content[4:8])
            if (level, kind) == (socket.IPPROTO_IPV6, _IPV6_PKTINFO):
                return literal(socket.inet_ntop(socket.AF_INET6, content[:16]))
        return ""

    def _leaving_from(self, local: str) -> list[tuple[int, int, bytes]]:
        if self._socket.family == socket.AF_INET:
            packed = socket.inet_pton(socket.AF_INET, local)
            content = _PKTINFO.pack(0, packed, bytes(4))
            return [(socket.IPPROTO_IP, _IP_PKTINFO, content)]
        packed = socket.inet_pton(socket.AF_INET6, as_seen_by(socket.AF_INET6, local))
        content = _PKTINFO6.pack(packed, 0)
        return [(socket.IPPROTO_IPV6, _IPV6_PKTINFO, content)]


def _queue() -> "FairQueue[tuple[bytes, Peer]]":
    return FairQueue(max_bytes=_WAITING_BYTES, max_bytes_each=_WAITING_BYTES_EACH)
