"""One TCP or TLS connection of SIP: octets to messages, and how long it may take.

    octets ─► TLS ─► framer ─► messages ─► owner      (take)
    peer   ◄─ TLS ◄─────────────────────── owner      (send)

What ends a connection that keeps us waiting, each by a time of `SipConfig`:

    a TLS handshake, a head            header_timeout_s
    a message, the first message,
    octets of ours nobody reads        message_timeout_s
    nothing at all                     idle_timeout_s, unless a dialog needs it

Guarantees:
    * Octets kept for one connection are bounded: one message, what it may leave
      unread, and one read of the kernel's; `held_bytes` says how many there are.
    * A peer that sends a thousand messages at once gets no more turns of the event
      loop than one that sends sixteen.
    * What cannot be framed closes the connection: a second request hidden behind a
      wrong length is never looked for.

Left to others: which connections there may be (`vault.sip.transport`), what messages
say (`vault.sip.user_agent`).

Spec: RFC 3261, section 18.3; RFC 5626, sections 3.5.1 and 4.4.1.
"""

import asyncio
import dataclasses
import socket
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from vault.core.errors import MalformedSignallingError
from vault.core.prefixes import literal
from vault.sip.config import SipConfig
from vault.sip.counting import Refusal
from vault.sip.framing import Framer, Ping
from vault.sip.peers import Peer, Transport
from vault.sip.tls import CertificateRefusedError, TlsFailedError, TlsLayer

_PER_TURN: Final = 16
_PONG: Final = b"\r\n"
_TCP_USER_TIMEOUT: Final = 18


class StreamOwner(Protocol):
    """Who has the connections."""

    def opened(self, stream: "Stream") -> bool:
        """Return whether a connection that has just come may stay."""
        ...

    def may_send(self, stream: "Stream") -> bool:
        """Take the budget for one message; False cuts the connection."""
        ...

    def take(self, octets: bytes, stream: "Stream") -> None:
        """Take one message; it MUST NOT raise."""
        ...

    def held(self, more_bytes: int) -> None:
        """Count what is kept for a connection, less where it is negative."""
        ...

    def closed(self, stream: "Stream", why: Refusal | None) -> None:
        """Forget a connection, once; *why* where it was we who ended it."""
        ...


class Stream(asyncio.Protocol):
    """One connection, whoever opened it."""

    def __init__(
        self,
        owner: StreamOwner,
        config: SipConfig,
        *,
        number: int,
        tls: TlsLayer | None,
        clock: Callable[[], float],
        is_ours: bool = False,
    ) -> None:
        """Begin.

        Args:
            owner: Who takes messages.
            config: Limits.
            number: That no other connection has or had.
            tls: A handshake to be done; None for TCP.
            clock: Monotonic seconds.
            is_ours: Whether we opened it.
        """
        self._owner = owner
        self._config = config
        self._tls = tls
        self._clock = clock
        self._framer = Framer(
            max_head_bytes=config.max_header_bytes,
            max_body_bytes=config.max_message_bytes,
        )
        self._backlog: deque[bytes | Ping] = deque()
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self._unframed_bytes = 0
        "Octets of a message that has begun."
        self._backlog_bytes = 0
        self._opened_s = self._heard_s = clock()
        self._begun_s: float | None = None
        "When the message that is still coming began."
        self._blocked_s: float | None = None
        "Since when octets of ours wait for the peer."
        self._ended_s: float | None = None
        "When the peer said that it will say no more."
        self._has_spoken = False
        self._told_bytes = 0
        "Of `held_bytes`, what the owner was told."
        self._leaving: asyncio.Transport | None = None
        self.is_ours = is_ours
        self.number = number
        self.peer = Peer(
            transport=Transport.TCP if tls is None else Transport.TLS,
            address="",
            port=0,
            connection=number,
        )
        self.ready: asyncio.Future[None] | None = None
        "For who opened it: done when it can be sent to."

    @property
    def is_live(self) -> bool:
        """Whether a request of ours may go out here."""
        return self._is_open and self._ended_s is None

    @property
    def held_bytes(self) -> int:
        """Octets that are kept for this connection."""
        unsent = 0
        if self._transport is not None:
            unsent = self._transport.get_write_buffer_size()
        return self._unframed_bytes + self._backlog_bytes + unsent

    @property
    def is_flushed(self) -> bool:
        """Whether a connection that was closed has sent everything."""
        return self._leaving is None or not self._leaving.get_write_buffer_size()

    # -- what asyncio calls ----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or refuse it."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        one: socket.socket = transport.get_extra_info("socket")
        remote = transport.get_extra_info("peername")
        local = transport.get_extra_info("sockname")
        if not remote or not local:
            # It was gone before we looked.
            self.cut(None)
            return
        self.peer = dataclasses.replace(
            self.peer,
            address=literal(remote[0]),
            port=remote[1],
            local=(literal(local[0]), local[1]),
        )
        if not self._owner.opened(self):
            self.cut(Refusal.CONNECTIONS)
            return
        # A peer that vanished is noticed even where nobody has anything to say.
        one.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        one.setsockopt(
            socket.IPPROTO_TCP,
            _TCP_USER_TIMEOUT,
            int(self._config.message_timeout_s * 1000),
        )
        # Whatever the kernel does not take at once is a peer that does not read.
        transport.set_write_buffer_limits(high=0)
        if self._tls is None:
            self._become_open()
        else:
            self._flush()

    def data_received(self, data: bytes) -> None:
        """Take octets of the peer."""
        if self._transport is None:
            return
        try:
            plain = data if self._tls is None else self._decrypted(data)
            found = self._framer.feed(plain) if plain else []
        except CertificateRefusedError:
            self.cut(Refusal.CERTIFICATE)
        except TlsFailedError:
            self.cut(Refusal.HANDSHAKE)
        except MalformedSignallingError:
            self.cut(Refusal.FRAMING)
        else:
            self._count(plain, found)
            self._take_in(found)

    def eof_received(self) -> bool:
        """Keep what the peer has closed half: answers may still be on their way."""
        self._ended_s = self._clock()
        return self._tls is None

    def pause_writing(self) -> None:
        """Note that the peer does not read."""
        self._blocked_s = self._clock()

    def resume_writing(self) -> None:
        """Note that it has read everything."""
        self._blocked_s = None
        self._tell()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        # The kernel has the same limit for octets that nobody takes, and may be first.
        is_slow = isinstance(exc, TimeoutError) and self._blocked_s is not None
        self._end(Refusal.SLOW_READER if is_slow else None)

    # -- what the owner calls --------------------------------------------------

    def send(self, octets: bytes) -> bool:
        """Send; return whether it is on its way."""
        if self._transport is None or not self._is_open:
            return False
        try:
            if self._tls is None:
                self._transport.write(octets)
            else:
                self._tls.put(octets)
                self._flush()
        except TlsFailedError:
            self.cut(Refusal.HANDSHAKE)
            return False
        if self._transport.get_write_buffer_size() > self._config.max_unsent_bytes:
            self.cut(Refusal.SLOW_READER)
            return False
        if self._blocked_s is not None:
            self._tell()
        return self._transport is not None

    def overdue(self, now_s: float, *, is_wanted: bool) -> Refusal | None:
        """Return why this connection has had its time; None while it has not.

        Args:
            now_s: Monotonic time.
            is_wanted: Whether a dialog needs it.
        """
        config = self._config
        ended_s = 0.0 if self._ended_s is None else now_s - self._ended_s
        if ended_s > config.header_timeout_s:
            return Refusal.IDLE
        if not self._is_open and now_s - self._opened_s > config.header_timeout_s:
            return Refusal.HANDSHAKE
        blocked_s = 0.0 if self._blocked_s is None else now_s - self._blocked_s
        if blocked_s > config.message_timeout_s:
            return Refusal.SLOW_READER
        if self._begun_s is not None:
            limit_s = (
                config.header_timeout_s
                if self._framer.in_head
                else config.message_timeout_s
            )
            if now_s - self._begun_s > limit_s:
                return Refusal.SLOW_SENDER
        silent_s = now_s - self._heard_s
        limit_s = (
            config.idle_timeout_s
            if self._has_spoken or self.is_ours
            else config.message_timeout_s
        )
        if silent_s <= limit_s or is_wanted:
            return None
        return Refusal.IDLE if self._begun_s is None else Refusal.SLOW_SENDER

    def cut(self, why: Refusal | None) -> None:
        """End it at once; what was not sent is lost."""
        transport = self._transport
        self._end(why)
        for one in (transport, self._leaving):
            if one is not None:
                one.abort()

    def close(self) -> None:
        """End it when everything is sent."""
        transport = self._transport
        if transport is None:
            return
        if self._tls is not None and self._is_open:
            self._tls.say_goodbye()
            self._flush()
        self._end(None)
        self._leaving = transport
        transport.close()

    # -- inside ----------------------------------------------------------------

    def _decrypted(self, data: bytes) -> bytes:
        assert self._tls is not None
        try:
            plain = self._tls.take(data)
        finally:
            self._flush()
        if self._tls.is_open and not self._is_open:
            self.peer = dataclasses.replace(
                self.peer, certificate_sha256=self._tls.certificate_sha256
            )
            self._become_open()
        return plain

    def _become_open(self) -> None:
        self._is_open = True
        self._heard_s = self._clock()
        if self.ready is not None and not self.ready.done():
            self.ready.set_result(None)

    def _flush(self) -> None:
        assert self._tls is not None
        octets = self._tls.outgoing()
        if octets and self._transport is not None:
            self._transport.write(octets)

    def _count(self, plain: bytes, found: list[bytes | Ping]) -> None:
        if found:
            self._has_spoken = True
            self._begun_s = None
            self._heard_s = self._clock()
        whole = sum(len(one) for one in found if isinstance(one, bytes))
        if self._framer.waiting:
            self._unframed_bytes = max(0, self._unframed_bytes + len(plain) - whole)
            if self._begun_s is None:
                self._begun_s = self._clock()
        else:
            # Empty lines alone: some keep a connection alive by one CRLF.
            self._unframed_bytes = 0
            self._begun_s = None
            self._heard_s = self._clock()
        self._backlog_bytes += whole

    def _work(self) -> None:
        if self._transport is None:
            return
        for _ in range(min(_PER_TURN, len(self._backlog))):
            self._take(self._backlog.popleft())
            if not self._is_there():
                # It was cut by what it said.
                return
        self._tell()
        if self._backlog:
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._work)
        elif self._framer.failed:
            # What came whole before was handed on.
            self.cut(Refusal.FRAMING)
        elif self._tls is not None and self._tls.is_ended:
            # Half of a TLS connection is of no use: it is closed from both sides.
            self.close()
        elif not self._transport.is_reading():
            self._transport.resume_reading()

    def _is_there(self) -> bool:
        return self._transport is not None

    def _take_in(self, found: list[bytes | Ping]) -> None:
        # As they come, and not when it is their turn: see `vault.sip.datagrams`.
        for one in found:
            if not self._owner.may_send(self):
                self.cut(Refusal.BUDGET)
                return
            self._backlog.append(one)
        self._tell()
        self._work()

    def _take(self, one: bytes | Ping) -> None:
        if isinstance(one, Ping):
            self.send(_PONG)
        else:
            self._backlog_bytes -= len(one)
            self._owner.take(one, self)

    def _tell(self) -> None:
        held = self.held_bytes
        more, self._told_bytes = held - self._told_bytes, held
        if more:
            self._owner.held(more)

    def _end(self, why: Refusal | None) -> None:
        if self._transport is None:
            return
        self._transport = None
        self._is_open = False
        self._backlog.clear()
        self._unframed_bytes = self._backlog_bytes = 0
        self._tell()
        if self.ready is not None and not self.ready.done():
            self.ready.set_exception(ConnectionError("closed"))
        self._owner.closed(self, why)
