"""Sockets of SIP: listeners, and the way back to whoever sent a message.

    UDP, TCP, TLS ─► budgets ─► one message and its `Peer` ─► taker
    taker ─► send(octets, peer): its connection, or a datagram to its source

Guarantees:
    * An answer goes where the request came from, whatever its headers say.
    * Nothing is sent to an address that only a header names, except where we open a
      connection, for a 2xx or a request of ours, to whom the application accepted;
      and then never to the loopback or the link of this machine, or the address that
      was reached, for a peer that is elsewhere.
    * A name is looked up on threads of our own, with a time limit: a slow name
      server holds nothing else up.

Left to others: the connections that there are (`vault.sip.connections`), what
messages say, and retransmission (`vault.sip.user_agent`).  Names are looked up as
addresses only; there is no NAPTR and no SRV (RFC 3263).

Spec: RFC 3261, section 18; RFC 3581; RFC 5923.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final

from vault.core.errors import ConfigurationError, UnavailableError
from vault.core.prefixes import literal, network_of
from vault.sip.addresses import as_seen_by, is_wildcard, resolved
from vault.sip.config import SipConfig
from vault.sip.connections import Connections, MessageTaker
from vault.sip.counting import Tally
from vault.sip.credentials import Credentials
from vault.sip.datagrams import Datagrams
from vault.sip.limits import AddressBudget
from vault.sip.peers import Peer, Transport
from vault.sip.tls import CertificateRefusedError, TlsLayer

_BACKLOG: Final = 512
_BUFFER_BYTES: Final = 256 * 1024
_MAX_OPENING: Final = 64
"Connections of ours on their way at the same time."


class Transports:
    """Every socket of the room."""

    def __init__(
        self,
        config: SipConfig,
        taker: MessageTaker,
        *,
        tally: Tally,
        clock: Callable[[], float],
    ) -> None:
        """Open nothing yet.

        Args:
            config: Where to listen, and limits.
            taker: Who gets the messages.
            tally: What is refused is counted there.
            clock: Monotonic seconds.
        """
        self._config = config
        self._taker = taker
        self._tally = tally
        self._clock = clock
        self._credentials = Credentials(config)
        self._datagrams: list[Datagrams] = []
        self._servers: list[asyncio.Server] = []
        self._bound: list[tuple[Transport, str, int]] = []
        self._opening = 0
        self._names = ThreadPoolExecutor(2, thread_name_prefix="sip-names")
        # Sources of datagrams can be forged: whoever spends the budget of an address
        # over UDP must not cut its connections off.
        self._datagram_budget = _budget(config)
        self._stream_budget = _budget(config)
        self._connections = Connections(
            config, taker, budget=self._stream_budget, tally=tally, clock=clock
        )

    @property
    def bound(self) -> tuple[tuple[Transport, str, int], ...]:
        """The listeners, with the ports that the kernel chose."""
        return tuple(self._bound)

    @property
    def connections(self) -> int:
        """Connections now."""
        return len(self._connections)

    def cut_off(self) -> int:
        """Return how many addresses are not listened to now."""
        now_s = self._clock()
        return self._datagram_budget.cut_off(now_s) + self._stream_budget.cut_off(now_s)

    async def start(self) -> None:
        """Bind every listener, then hear.

        Raises:
            ConfigurationError: As `vault.sip.user_agent.UserAgent.start` says.
        """
        try:
            if self._config.has_tls:
                self._credentials.load()
            for transport, host, port in self._config.listen:
                await self._bind(transport, host, port)
        except BaseException:
            await self.stop()
            raise
        for one in self._datagrams:
            one.listen()
        for server in self._servers:
            await server.start_serving()
        self._connections.start()

    async def stop(self) -> None:
        """Close everything; what is on its way to peers that read gets a moment."""
        for one in self._datagrams:
            one.close()
        for server in self._servers:
            server.close()
        await self._connections.stop()
        self._names.shutdown(wait=False, cancel_futures=True)
        self._datagrams.clear()
        self._servers.clear()
        self._bound.clear()

    def send(self, octets: bytes, peer: Peer) -> bool:
        """Send to where *peer* is; return False where there is no way there.

        Args:
            octets: One message.
            peer: Whose connection, or to which source.
        """
        if peer.transport is Transport.UDP:
            listener = self._listener_for(peer)
            return listener is not None and listener.send(
                octets, to=(peer.address, peer.port), local=peer.local[0]
            )
        stream = self._connections.get(peer.connection)
        return stream is not None and stream.send(octets)

    def live(self, peer: Peer) -> Peer | None:
        """Return *peer* by a way that a request of ours can go now; None for none.

        That is its own connection, else one on which it has come back.
        """
        if peer.transport is Transport.UDP:
            return peer if self._listener_for(peer) is not None else None
        own = self._connections.get(peer.connection)
        if own is None or not own.is_live:
            own = self._connections.come_back(peer)
        return None if own is None else own.peer

    async def open(self, peer: Peer, host: str, port: int) -> Peer:
        """Open a connection to where *peer* takes messages; return its new self.

        Args:
            peer: Who had a connection that is gone.
            host: Name or literal.
            port: Where.

        Raises:
            UnavailableError: It cannot be reached, in time, or is not who it was.
        """
        if self._opening >= _MAX_OPENING:
            raise UnavailableError("too many SIP connections are being opened")
        self._opening += 1
        try:
            async with asyncio.timeout(self._config.connect_timeout_s):
                return await self._open(peer, host, port)
        except (OSError, CertificateRefusedError, ConfigurationError) as error:
            # A time-out is an OSError, too.
            raise UnavailableError("a SIP peer cannot be reached") from error
        finally:
            self._opening -= 1

    def prove(self, peer: Peer) -> None:
        """Take note that something *peer* asked for was accepted."""
        if peer.transport is Transport.UDP:
            self._datagram_budget.know(network_of(peer.address), self._clock())
        else:
            self._connections.prove(peer)

    # -- inside ----------------------------------------------------------------

    async def _bind(self, transport: Transport, host: str, port: int) -> None:
        is_dual = not any(
            other is transport and ":" not in address and number == port
            for other, address, number in self._config.listen
        )
        try:
            if transport is Transport.UDP:
                name = self._bind_datagrams(host, port, is_dual=is_dual)
            else:
                name = await self._bind_streams(transport, host, port, is_dual=is_dual)
        except OSError as error:
            raise ConfigurationError(
                f"SIP cannot listen on {transport}:{host}:{port}: {error.strerror}"
            ) from error
        self._bound.append((transport, *name))

    def _bind_datagrams(
        self, host: str, port: int, *, is_dual: bool
    ) -> tuple[str, int]:
        listener = Datagrams(
            host,
            port,
            taker=self._taker,
            budget=self._datagram_budget,
            tally=self._tally,
            clock=self._clock,
            is_dual=is_dual,
        )
        self._datagrams.append(listener)
        return listener.address, listener.port

    async def _bind_streams(
        self, transport: Transport, host: str, port: int, *, is_dual: bool
    ) -> tuple[str, int]:
        family, name = resolved(host, port)
        one = socket.socket(family, socket.SOCK_STREAM)
        try:
            # A restart finds connections of the last run in TIME-WAIT.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # The kernel's own buffers grow to megabytes for each connection.
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER_BYTES)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not is_dual)
            one.bind(name)
            server = await asyncio.get_running_loop().create_server(
                lambda: self._connections.new(self._layer(transport)),
                sock=one,
                backlog=_BACKLOG,
                start_serving=False,
            )
        except OSError:
            one.close()
            raise
        self._servers.append(server)
        bound = one.getsockname()
        return literal(bound[0]), bound[1]

    def _layer(self, transport: Transport) -> TlsLayer | None:
        return self._credentials.server() if transport is Transport.TLS else None

    def _listener_for(self, peer: Peer) -> Datagrams | None:
        """Return the listener that *peer* was heard on, else one that reaches it."""
        able = [one for one in self._datagrams if one.reaches(peer.address)]
        address, port = peer.local
        for one in able:
            if one.port == port and one.address == address:
                return one
        for one in able:
            if one.port == port and is_wildcard(one.address):
                return one
        return able[0] if able else None

    async def _open(self, peer: Peer, host: str, port: int) -> Peer:
        loop = asyncio.get_running_loop()
        family, name = await loop.run_in_executor(self._names, _looked_up, host, port)
        _check_reach(name[0], peer)
        layer = (
            self._credentials.client(host) if peer.transport is Transport.TLS else None
        )
        stream = self._connections.new(layer, is_ours=True)
        stream.ready = loop.create_future()
        local = peer.local[0]
        try:
            await loop.create_connection(
                lambda: stream,
                name[0],
                port,
                family=family,
                local_addr=(as_seen_by(family, local), 0) if local else None,
            )
            await stream.ready
            if layer is not None:
                layer.check_server(
                    host, roots=self._credentials.roots, known=peer.certificate_sha256
                )
        except BaseException:
            stream.cut(None)
            raise
        # What our Contact names is the listener, not the port of a connection of ours.
        stream.peer = replace(stream.peer, local=peer.local)
        return stream.peer


def _budget(config: SipConfig) -> AddressBudget:
    return AddressBudget(
        rate=config.address_rate,
        burst=config.address_burst,
        cut_off_s=config.cut_off_s,
        stranger_rate=config.stranger_rate,
    )


def _looked_up(host: str, port: int) -> tuple[int, tuple[str, int]]:
    family, _, _, _, name = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, (str(name[0]), port)


def _check_reach(address: str, peer: Peer) -> None:
    """Refuse to be made to speak to what only this machine can reach.

    Raises:
        ConnectionError: *address* is none that *peer* could be at.
    """
    there = ipaddress.ip_address(literal(address))
    here = ipaddress.ip_address(peer.address)
    if (
        there.is_multicast
        or there.is_unspecified
        or (str(there) == peer.local[0] and there != here)
        or there.is_loopback != here.is_loopback
        or there.is_link_local != here.is_link_local
    ):
        raise ConnectionError("not an address that this peer could be at")
