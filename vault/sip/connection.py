"""Where an offerer says its media is: ``c=`` and the port of ``m=``.

Plain RTP has no tag, so that the address is all there is to tell a stream from
what anybody else sends to its port.  With SRTP nothing depends on it.

Guarantees:
    * What is returned is a literal address of one host, spelled as
      `ipaddress` spells it; no name is ever looked up.
    * Nothing is ever sent there: an address in an offer only filters.

Left to others: the filter (`vault.tap`).

Spec: RFC 8866, section 5.7; RFC 4566, section 6 (``c=`` of a section first).
"""

import ipaddress
from collections.abc import Sequence

from vault.sip.sdp import Line, MediaSection, SessionDescription

Remote = tuple[str, int]
"Address and port; port 0 for any."


def remote_of(description: SessionDescription, section: MediaSection) -> Remote | None:
    """Return address and port of *section*, the session's ``c=`` if it has none.

    Returns:
        None where there is no ``c=``, or one that no packet could come from: a
        name, ``0.0.0.0``, a group, a broadcast, an address with a zone.
    """
    connections = _connections(section.lines) or _connections(description.lines)
    address = _host(connections[0].value) if connections else None
    return None if address is None else (address, section.port)


def locked_to(remote: Remote | None, *, origin: str) -> Remote:
    """Return where plain RTP must come from.

    Args:
        remote: What the offer says.
        origin: Address that the order came from.

    Returns:
        *remote*; but *origin*, with port 0 for any, where the offer says nothing
        usable, or this host's loopback to somebody who is not on this host: that
        would let local processes in, and never the device.
    """
    if remote is None or (_is_loopback(remote[0]) and not _is_loopback(origin)):
        return origin, 0
    return remote


def _connections(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.type == "c"]


def _host(connection: str) -> str | None:
    text = connection.rsplit(maxsplit=1)[-1]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            return None
        address = address.ipv4_mapped or address
    unusable = (
        address.is_unspecified
        or address.is_multicast
        or address == ipaddress.IPv4Address("255.255.255.255")
    )
    return None if unusable else str(address)


def _is_loopback(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        return False
