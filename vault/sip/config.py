"""What the SIP room must be told; nothing here is secret."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vault.core.errors import ConfigurationError
from vault.sip.peers import Transport

_HIGHEST_PORT: Final = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class SipConfig:
    """Where the user agent listens, and the limits that it holds peers to."""

    listen: tuple[tuple[Transport, str, int], ...] = ()
    """Transport, literal address and port of each listener.  ``0.0.0.0`` and ``::``
    mean every address; ``::`` takes IPv4 too, where no listener of IPv4 has its port.
    Port 0 lets the kernel choose (`UserAgent.bound` tells)."""

    tls_cert: Path | None = None
    "PEM of our certificate and those that lead to its root; read again when renewed."

    tls_key: Path | None = None
    "PEM of its private key."

    tls_ca: Path | None = None
    """PEM of the roots that certificates of peers must lead to.  A self-signed one is
    taken all the same, for its fingerprint (ADR 0012)."""

    advertise: str = ""
    """Address that ``Contact`` and ``Via`` name in place of the one that was reached,
    for a NAT in front of us; a literal or a name."""

    max_connections: int = 2000
    "TCP and TLS connections in all."

    max_connections_per_address: int = 100
    "The same from one IPv4 address, or one /64 of IPv6."

    max_message_bytes: int = 1024 * 1024
    "Of a body; a datagram holds less anyway."

    max_header_bytes: int = 64 * 1024
    "Start line and header fields of one message."

    max_buffered_bytes: int = 32 * 1024 * 1024
    "Of begun messages and of answers not yet taken, on all connections together."

    max_unsent_bytes: int = 256 * 1024
    "That one connection may leave unread before it is cut."

    header_timeout_s: float = 5.0
    "From the first octet of a message, or of a TLS handshake, to its last header."

    message_timeout_s: float = 30.0
    """From the first octet of a message to its last, from a connection's start to its
    first message, and for octets of ours that a peer does not read."""

    idle_timeout_s: float = 900.0
    "Of a connection without a dialog; every octet of a keep-alive starts it again."

    connect_timeout_s: float = 5.0
    "For a connection, and a TLS handshake, of ours."

    address_rate: float = 400.0
    "Messages per second from one IPv4 address, or one /64 of IPv6, in the long run."

    address_burst: int = 600
    "Messages that may come at once from there."

    stranger_rate: float = 1000.0
    """Messages per second from all addresses together that were never answered with
    success, within the budget of each."""

    connection_rate: float = 20.0
    "New connections per second from there, in the long run."

    cut_off_s: float = 5.0
    "How long an address that exceeds its budget is not listened to at all."

    trying_after_s: float = 0.2
    "An INVITE without an answer for so long is told 100 Trying."

    max_pending: int = 2000
    "Requests that the application is answering at the same time."

    min_session_expires_s: int = 90
    "Session timers below this get 422 (RFC 4028)."

    contact_user: str = "callvault"
    "User part of our ``Contact``."

    feature_tags: str = "+sip.srs"
    "Parameters of our ``Contact``: what this user agent is (RFC 7866, section 6.1.2)."

    server_name: str = "callvault"
    "What `Server` and `User-Agent` say; empty for neither."

    def __post_init__(self) -> None:
        for _, _, port in self.listen:
            if not 0 <= port <= _HIGHEST_PORT:
                raise ConfigurationError(f"not a port: {port}")
        if self.has_tls and (self.tls_cert is None or self.tls_key is None):
            raise ConfigurationError("SIP over TLS needs a certificate and its key")
        if min(self.address_rate, self.connection_rate, self.stranger_rate) <= 0:
            raise ConfigurationError("budgets of SIP must be positive")

    @property
    def has_tls(self) -> bool:
        """Whether one of the listeners speaks TLS."""
        return any(transport is Transport.TLS for transport, _, _ in self.listen)
