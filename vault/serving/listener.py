"""A listening socket that takes so many connections and not more.

Guarantees: connections are counted from the moment they are accepted, so before TLS
and before anything is read; beyond a limit they are closed at once, and those that
are open go on.  Nobody waits for a peer that has gone: the kernel gives it up.

Left to others: how long a connection may idle (`vault.serving.protocol`).

Spec: RFC 5482 (TCP_USER_TIMEOUT)
"""

import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import Final

import structlog

from vault.core.budgets import Budget
from vault.core.prefixes import Prefixes, literal, network_of

REFUSED: Final = "http.connection.refused"
_BACKLOG: Final = 512
_GONE_AFTER_MS: Final = 120_000
_MOST_AT_ONCE: Final = 64
_PROXIES: Final = "proxies"
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionLimits:
    """How many connections a listener has at a time."""

    total: int
    per_address: int
    trusted_proxies: tuple[str, ...] = ()
    "Prefixes of proxies: all that come through one of them share its address."


class CountedListener(socket.socket):
    """Accepts connections within its limits."""

    @classmethod
    def bound(cls, host: str, port: int, limits: ConnectionLimits) -> "CountedListener":
        """Listen on *host*, a literal.

        Raises:
            OSError: It is taken, or not ours.
        """
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = cls(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            # Inherited by what is accepted: unread answers end there, too.
            listener.setsockopt(
                socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GONE_AFTER_MS
            )
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        listener._begin(limits)
        return listener

    def _begin(self, limits: ConnectionLimits) -> None:
        self._limits = limits
        self._proxies = Prefixes.parse(limits.trusted_proxies)
        self._open: Counter[str] = Counter()
        self._total = 0
        self._lines = Budget(rate=1 / 60, burst=5, cut_off_s=0, max_keys=1)

    def accept(self) -> tuple[socket.socket, object]:
        """Return the next connection that is within the limits.

        Raises:
            BlockingIOError: There is none.
            ConnectionAbortedError: There were many that are not: others have a turn.
        """
        for _ in range(_MOST_AT_ONCE):
            accepted, address = super().accept()
            host = literal(address[0])
            whose = _PROXIES if host in self._proxies else network_of(host)
            if self._has_room(whose):
                self._total += 1
                self._open[whose] += 1
                return _Counted.of(accepted, self, whose), address
            accepted.close()
            self._note(host)
        raise ConnectionAbortedError

    def give_back(self, whose: str) -> None:
        """Count one connection less."""
        self._total -= 1
        self._open[whose] -= 1
        if not self._open[whose]:
            del self._open[whose]

    def _has_room(self, whose: str) -> bool:
        if self._total >= self._limits.total:
            return False
        return whose == _PROXIES or self._open[whose] < self._limits.per_address

    def _note(self, address: str) -> None:
        if self._lines.spend("", time.monotonic()):
            _log.warning(REFUSED, origin=address, open=self._total)


class _Counted(socket.socket):
    """A connection that says when it ends."""

    _listener: CountedListener | None = None
    _whose = ""

    @classmethod
    def of(
        cls, accepted: socket.socket, listener: CountedListener, whose: str
    ) -> "_Counted":
        """Return *accepted*, which *listener* is told the end of."""
        family, kind, proto = accepted.family, accepted.type, accepted.proto
        counted = cls(family, kind, proto, fileno=accepted.detach())
        counted._listener, counted._whose = listener, whose
        return counted

    def close(self) -> None:
        """End it, and be counted no more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.give_back(self._whose)
        super().close()
