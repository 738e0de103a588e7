"""Addresses as sockets and URIs of SIP want them.

Left to others: the one spelling of an address (`vault.core.prefixes.literal`); names:
nothing is resolved here.

Spec: RFC 4291, section 2.5.5.2; RFC 4007, section 11.
"""

import ipaddress
import socket
from typing import Final

from vault.core.errors import ConfigurationError
from vault.core.prefixes import literal

SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"As `socket` takes and gives it: IPv6 has flow and scope at the end."

_MAPPED: Final = "::ffff:"


def is_link_local(address: str) -> bool:
    """Whether *address* means something only together with an interface."""
    return address[:3].lower() == "fe8" or (
        ":" in address and ipaddress.IPv6Address(address).is_link_local
    )


def in_uri(address: str) -> str:
    """Return *address*, a literal or a name, as a URI and ``Via`` spell it."""
    return f"[{address}]" if ":" in address else address


def as_seen_by(family: int, address: str) -> str:
    """Return *address* as a socket of *family* wants it."""
    if family == socket.AF_INET6 and ":" not in address:
        return _MAPPED + address
    return address


def resolved(host: str, port: int) -> tuple[int, SocketAddress]:
    """Return family and socket address of a literal *host*, zone included.

    Raises:
        ConfigurationError: It is no literal address, or its zone does not exist.
    """
    bare, _, zone = host.partition("%")
    try:
        version = ipaddress.ip_address(bare).version
        scope = socket.if_nametoindex(zone) if zone else 0
    except (ValueError, OSError):
        raise ConfigurationError(f"not an IP address of SIP: {host}") from None
    if version == 4:  # noqa: PLR2004 - the IP version
        return socket.AF_INET, (bare, port)
    return socket.AF_INET6, (bare, port, 0, scope)


def is_wildcard(host: str) -> bool:
    """Whether *host*, a literal, means every address of this machine."""
    return literal(host) in {"0.0.0.0", "::"}  # noqa: S104 - it is compared, not bound
