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


def remote_of(
    description: SessionDescription, section: MediaSection, *, origin: str = ""
) -> Remote | None:
    """Return where *section* must come from if it is plain RTP.

    Args:
        description: Its ``c=`` counts where the section has none.
        section: Its port counts.
        origin: Address that the offer came from; empty where nobody knows.

    Returns:
        What the offer says; but *origin*, with port 0 for any, where no packet
        could come from there: no ``c=``, a name, ``0.0.0.0``, a group, a
        broadcast, an address with a zone, or loopback in the offer of another
        host, which would let processes of this host in and never the device.
        None where *origin* is of no use either.
    """
    connections = _connections(section.lines) or _connections(description.lines)
    said = _host(connections[0].value) if connections else None
    sender = _host(origin) if origin else None
    if said is not None and (not _is_loopback(said) or _is_loopback(sender)):
        return said, section.port
    return None if sender is None else (sender, 0)


def _connections(lines: Sequence[Line]) -> list[Line]:
    return [line for line in lines if line.type == "c"]


def _host(connection: str) -> str | None:
    """Read the last word of *connection* as the address of one host."""
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


def _is_loopback(host: str | None) -> bool:
    return host is not None and ipaddress.ip_address(host).is_loopback
