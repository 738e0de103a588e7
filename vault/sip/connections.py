"""Which connections there may be, and what all of them together may cost.

Guarantees:
    * Connections are bounded in all and by address, and what is kept for them is
      bounded together.  Where all are taken, the oldest one on which nothing was
      ever accepted makes room: a flood of connections cannot keep a device out.
    * A number names one connection for ever, also across restarts.
    * Every connection is looked at twice a second: who keeps us waiting is cut.

Left to others: the life of one (`vault.sip.streams`), sockets that listen
(`vault.sip.transport`).

Spec: RFC 3261, section 18; RFC 5923.
"""

import asyncio
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from vault.core.budgets import Budget
from vault.core.prefixes import network_of
from vault.sip.config import SipConfig
from vault.sip.counting import Refusal, Tally
from vault.sip.limits import AddressBudget
from vault.sip.peers import Peer, Transport
from vault.sip.streams import Stream
from vault.sip.tls import TlsLayer

_LOOK_EVERY_S: Final = 0.5
_GOODBYE_S: Final = 0.5
_FLUSHED_EVERY_S: Final = 0.02
_BURST_S: Final = 5
"An address may open as many connections at once as in so many seconds."


class MessageTaker(Protocol):
    """Who takes messages."""

    def take(self, octets: bytes, peer: Peer) -> None:
        """Take one message; it MUST NOT raise."""
        ...

    def gone(self, connection: int) -> None:
        """Hear that a connection is gone."""
        ...

    def wanted(self) -> frozenset[int]:
        """Return the numbers of connections that dialogs need."""
        ...


class Connections:
    """Every TCP and TLS connection, whoever opened it."""

    def __init__(
        self,
        config: SipConfig,
        taker: MessageTaker,
        *,
        budget: AddressBudget,
        tally: Tally,
        clock: Callable[[], float],
    ) -> None:
        """Have none.

        Args:
            config: Limits.
            taker: Who gets the messages.
            budget: Of messages on streams.
            tally: What is refused is counted there.
            clock: Monotonic seconds.
        """
        self._config = config
        self._taker = taker
        self._budget = budget
        self._tally = tally
        self._clock = clock
        self._streams: dict[int, Stream] = {}
        self._by_network: Counter[str] = Counter()
        self._unproven: OrderedDict[int, None] = OrderedDict()
        "Those on which nothing was accepted yet, oldest first."
        self._held_bytes = 0
        # Nanoseconds since 1970: an earlier process, whose dialogs go on here, has
        # counted from an earlier moment and made fewer connections than that.
        self._last = time.time_ns()
        self._looking: asyncio.TimerHandle | None = None
        self._opening_budget = Budget(
            rate=config.connection_rate,
            burst=max(1.0, config.connection_rate * _BURST_S),
            cut_off_s=config.cut_off_s,
        )

    def __len__(self) -> int:
        return len(self._streams)

    def new(self, tls: TlsLayer | None, *, is_ours: bool = False) -> Stream:
        """Return a connection that asyncio has still to make.

        Args:
            tls: Our side of its handshake; None for TCP.
            is_ours: Whether we open it.
        """
        self._last += 1
        return Stream(
            self,
            self._config,
            number=self._last,
            tls=tls,
            clock=self._clock,
            is_ours=is_ours,
        )

    def start(self) -> None:
        """Begin to look after them."""
        self._look()

    async def stop(self) -> None:
        """Close all; what is on its way to peers that read gets a moment."""
        if self._looking is not None:
            self._looking.cancel()
            self._looking = None
        streams = list(self._streams.values())
        for stream in streams:
            stream.close()
        until_s = time.monotonic() + _GOODBYE_S
        while any(not one.is_flushed for one in streams):
            if time.monotonic() > until_s:
                break
            await asyncio.sleep(_FLUSHED_EVERY_S)
        for stream in streams:
            stream.cut(None)
        # asyncio closes sockets in the next turn of its loop.
        await asyncio.sleep(0)

    def get(self, number: int) -> Stream | None:
        """Return a connection that is there."""
        return self._streams.get(number)

    def come_back(self, peer: Peer) -> Stream | None:
        """Return the newest live connection of whom *peer* proved to be; else None.

        Only a certificate proves that: an address may be a NAT's.
        """
        if peer.transport is not Transport.TLS or peer.certificate_sha256 is None:
            return None
        for stream in reversed(self._streams.values()):
            other = stream.peer
            if (
                stream.is_live
                and other.certificate_sha256 == peer.certificate_sha256
                and other.address == peer.address
            ):
                return stream
        return None

    def prove(self, peer: Peer) -> None:
        """Take note that something *peer* asked for was accepted."""
        self._budget.know(network_of(peer.address), self._clock())
        self._unproven.pop(peer.connection, None)

    # -- what connections call -------------------------------------------------

    def opened(self, stream: Stream) -> bool:
        """Let a connection in, if there is room."""
        network = network_of(stream.peer.address)
        if not stream.is_ours and not self._may_come(network):
            return False
        if len(self._streams) >= self._config.max_connections and not self._make_room():
            return False
        self._streams[stream.number] = stream
        self._by_network[network] += 1
        if not stream.is_ours:
            self._unproven[stream.number] = None
        return True

    def may_send(self, stream: Stream) -> bool:
        """Take the budget for one message."""
        return self._budget.spend(network_of(stream.peer.address), self._clock())

    def take(self, octets: bytes, stream: Stream) -> None:
        """Hand a message on."""
        self._taker.take(octets, stream.peer)

    def held(self, more_bytes: int) -> None:
        """Count what is kept; the greediest are cut where it is too much."""
        self._held_bytes += more_bytes
        while self._held_bytes > self._config.max_buffered_bytes and self._streams:
            greediest = max(self._streams.values(), key=lambda one: one.held_bytes)
            greediest.cut(Refusal.MEMORY)

    def closed(self, stream: Stream, why: Refusal | None) -> None:
        """Forget a connection."""
        if why is not None:
            self._tally.refused(why)
        if self._streams.pop(stream.number, None) is None:
            return
        self._unproven.pop(stream.number, None)
        network = network_of(stream.peer.address)
        self._by_network[network] -= 1
        if not self._by_network[network]:
            del self._by_network[network]
        self._taker.gone(stream.number)

    # -- inside ----------------------------------------------------------------

    def _may_come(self, network: str) -> bool:
        now_s = self._clock()
        return (
            not self._budget.is_cut_off(network, now_s)
            and self._opening_budget.spend(network, now_s)
            and self._by_network[network] < self._config.max_connections_per_address
        )

    def _make_room(self) -> bool:
        for number in self._unproven:
            self._streams[number].cut(Refusal.CONNECTIONS)
            return True
        return False

    def _look(self) -> None:
        now_s, wanted = self._clock(), self._taker.wanted()
        for stream in list(self._streams.values()):
            why = stream.overdue(now_s, is_wanted=stream.number in wanted)
            if why is not None:
                stream.cut(why)
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(_LOOK_EVERY_S, self._look)
