"""Where a message came from, and what goes back there.

Guarantees: a `Peer` is what the kernel and the TLS handshake say, never what a
header says.

Spec: RFC 3261, section 18; RFC 3581.
"""

from dataclasses import dataclass, field
from enum import StrEnum, unique


@unique
class Transport(StrEnum):
    """How a message came, as ``Via`` spells it in lower case."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Where a message came from, as the kernel says; never what a header says."""

    transport: Transport
    address: str
    "IPv4 or IPv6 literal without zone; an IPv4 address inside IPv6 is given as IPv4."
    port: int
    connection: int = 0
    "Number of the TCP or TLS connection, never used twice; 0 for UDP."
    local: tuple[str, int] = ("", 0)
    "Our address and port that it reached."
    certificate_sha256: bytes | None = None
    "SHA-256 of the DER of the certificate that the peer proved to hold (TLS)."

    @property
    def place(self) -> tuple[str, str, bytes | None]:
        """Transport, address and certificate: who it is, by whatever connection."""
        return self.transport.value, self.address, self.certificate_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One message as it goes on the wire, and to whom."""

    message: bytes = field(repr=False)
    peer: Peer
