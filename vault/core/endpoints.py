"""Where to listen, as people write it: ``127.0.0.1:8080``, ``tls:[::1]:5061``.

Guarantees: hosts are literal addresses, so that nothing here asks a name server;
`Endpoint` reads what it writes.

Left to others: binding (`vault.serving.http`, `vault.sip.transport`).
"""

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vault.core.errors import InvalidInputError
from vault.core.prefixes import Prefixes

_PORT_MAX: Final = 65_535
_TRANSPORTS: Final = ("udp", "tcp", "tls")
_MOST_LISTENERS: Final = 64


class Endpoint:
    """An address and a port to listen on, as ``host:port`` or ``[v6]:port``."""

    __slots__ = ("host", "port")

    def __init__(self, text: str) -> None:
        host, _, port = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not host or not port.isascii() or not port.isdigit():
            raise ValueError("write it as ADDRESS:PORT, for example 127.0.0.1:8080")
        if int(port) > _PORT_MAX:
            raise ValueError(f"a port is at most {_PORT_MAX}")
        self.host = str(ipaddress.ip_address(host))
        self.port = int(port)

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SipListener:
    """One socket of the SIP server."""

    transport: str
    "``udp``, ``tcp`` or ``tls``."
    host: str
    port: int


class SipListen:
    """What ``sip_listen`` says: endpoints with commas between them, or ``off``.

    ``host:port`` stands for UDP and TCP there and, where there is a certificate, TLS
    on the port above.  ``udp:``, ``tcp:`` or ``tls:`` before it means that alone.
    """

    __slots__ = ("_entries",)

    def __init__(self, text: str) -> None:
        words = [word.strip() for word in text.split(",")]
        self._entries: tuple[tuple[str, Endpoint], ...] = ()
        if words not in ([""], ["off"]):
            self._entries = tuple(map(_entry, words))
        if len(self._entries) > _MOST_LISTENERS:
            raise ValueError(f"at most {_MOST_LISTENERS} listeners")
        # Said at start and not when a socket is bound.
        listeners = self.listeners(tls=True)
        if len({one for one in listeners if one.port}) < len(
            [one for one in listeners if one.port]
        ):
            raise ValueError("the same address, port and transport twice")

    @property
    def needs_certificate(self) -> bool:
        """Whether TLS is asked for by name."""
        return any(transport == "tls" for transport, _ in self._entries)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The addresses, in the order they were written."""
        return tuple(endpoint.host for _, endpoint in self._entries)

    def listeners(self, *, tls: bool) -> tuple[SipListener, ...]:
        """Return every socket that is asked for.

        Args:
            tls: Whether there is a certificate.
        """
        return tuple(
            listener
            for transport, endpoint in self._entries
            for listener in _sockets(transport, endpoint, tls=tls)
        )

    def __str__(self) -> str:
        written = (
            f"{transport}:{endpoint}" if transport else str(endpoint)
            for transport, endpoint in self._entries
        )
        return ",".join(written) or "off"


def _entry(word: str) -> tuple[str, Endpoint]:
    head, _, rest = word.partition(":")
    if head in _TRANSPORTS:
        return head, Endpoint(rest)
    try:
        return "", Endpoint(word)
    except ValueError:
        raise ValueError(
            "write it as off, ADDRESS:PORT, or udp:, tcp: or tls:ADDRESS:PORT, "
            "several with commas"
        ) from None


def _sockets(transport: str, at: Endpoint, *, tls: bool) -> Iterator[SipListener]:
    for name in (transport,) if transport else ("udp", "tcp"):
        yield SipListener(transport=name, host=at.host, port=at.port)
    if tls and not transport:
        if at.port == _PORT_MAX:
            raise ValueError(
                f"TLS would be on port {_PORT_MAX + 1}: choose a lower one"
            )
        # Port 0 lets the kernel choose, for each of them.
        above = at.port + 1 if at.port else 0
        yield SipListener(transport="tls", host=at.host, port=above)


def prefixes(value: object) -> tuple[str, ...]:
    """Read address prefixes: a list, or text with commas; each is spelled fully.

    Raises:
        ValueError: One is no address and no prefix.
    """
    if isinstance(value, str):
        value = [word for word in value.split(",") if word.strip()]
    if not isinstance(value, list | tuple):
        raise ValueError("write prefixes with commas, for example 10.0.0.0/8")  # noqa: TRY004 - pydantic turns this one into a message
    try:
        return Prefixes.parse(map(str, value)).spelled()
    except InvalidInputError as exc:
        raise ValueError(str(exc)) from None
