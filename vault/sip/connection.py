"""Where an offerer says its media is: ``c=`` and the port of ``m=``.

Plain RTP has no tag, so that the address is all there is to tell a stream from
what anybody else sends to its port.  With SRTP nothing depends on it.

Guarantees:
    * What is returned is a literal address of one host, spelled as
      `ipaddress` spells it; no name is ever looked up.
    * Nothing is ever sent there: an address in an offer only filters.
    * What `check_address` lets pass names no group, and nothing outside the
      prefixes of a device that has some.

Left to others: the filter (`vault.tap`).

Spec: RFC 8866, section 5.7; RFC 4566, section 6 (``c=`` of a section first);
RFC 3605 (``a=rtcp``).
"""

import ipaddress
from collections.abc import Sequence
from typing import Final

from vault.core.errors import UnsupportedOfferError
from vault.sip.sdp import Line, MediaSection, SessionDescription, attributes

GROUP_REFUSED: Final = "media to a multicast group is refused"
FOREIGN_REFUSED: Final = (
    "the media address is not one of the device's: "
    "callvault device set NAME --media-address PREFIX, "
    "and once more for each that it has"
)

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


def check_address(
    description: SessionDescription,
    section: MediaSection,
    *,
    is_plain: bool,
    listed: Sequence[str] = (),
    origin: str = "",
) -> None:
    """Refuse media from where its device may not send it.

    Args:
        description: Its ``c=`` counts where the section has none.
        section: What is to be taken.
        is_plain: Whether nothing but the address will authenticate it.
        listed: Prefixes of the device; none means any for SRTP, and *origin* alone
            for plain RTP.
        origin: Address that the offer came from; empty where nobody knows.

    Raises:
        UnsupportedOfferError: Not from there; ``line`` says where it stands.
    """
    lines = [
        *(_connections(section.lines) or _connections(description.lines))[:1],
        *(one for one in attributes(section.lines, "rtcp") if " " in one.value),
    ]
    # 1. A group is nobody: whoever is in it could have sent.
    for line in lines:
        literal = _literal(line.value)
        if literal is not None and literal.is_multicast:
            raise UnsupportedOfferError(GROUP_REFUSED, line=line.number)
    # 2. A list is all there is; a name could be any address tomorrow.  What stands
    #    for "no address" (hold of old, ICE) names nobody, and is none to refuse.
    if listed:
        prefixes = [ipaddress.ip_network(each, strict=False) for each in listed]
        for line in lines:
            literal = _literal(line.value)
            if literal is not None and literal.is_unspecified:
                continue
            if literal is None or not any(literal in one for one in prefixes):
                raise UnsupportedOfferError(FOREIGN_REFUSED, line=line.number)
        return
    # 3. Without a list plain RTP comes from whoever has signalled.
    remote = remote_of(description, section, origin=origin)
    if is_plain and remote is not None and not _is_same(remote[0], origin):
        raise UnsupportedOfferError(FOREIGN_REFUSED, line=section.number)


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


def _literal(
    connection: str,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Read the last word of *connection* as an address, a group's TTL left away."""
    text = connection.rsplit(maxsplit=1)[-1]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        try:
            address = ipaddress.ip_address(text.partition("/")[0])
        except ValueError:
            return None
        return address if address.is_multicast else None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def _is_same(host: str, origin: str) -> bool:
    """Whether *host* is the one that *origin* is an address of."""
    sender = _host(origin) if origin else None
    return host == sender or (_is_loopback(host) and _is_loopback(sender))


def _is_loopback(host: str | None) -> bool:
    return host is not None and ipaddress.ip_address(host).is_loopback
