"""Who may send plain RTP: where nothing authenticates, the address has to do.

Guarantees: with a signalled address, nobody else's packets are taken.

Left to others: who may send plain RTP at all (`vault.sip.sdes`); keeping others out
in the kernel (`vault.tap.source_lock`).

Spec: RFC 8866, section 5.7 (``c=``).
"""

from ipaddress import ip_address

from vault.tap.source_lock import SILENT_S, Port, address_of


def is_welcome(port: Port, source: bytes, now_s: float) -> bool:
    """Whether plain RTP from *source* (a socket address) is to be taken.

    The port may be any: NATs change it, and so do senders.  Where no address was
    signalled the first sender is taken, until it has been silent for a second.
    """
    found = address_of(source)
    if found is None:
        # A socket without addresses: whoever holds its other end.
        return not port.is_lockable
    signalled = _signalled(port)
    if signalled is not None:
        return ip_address(found[0]) == signalled
    stream = port.stream
    return port.peer in (b"", source) or now_s - stream.heard_s > SILENT_S


def _signalled(port: Port) -> object | None:
    """Return the signalled address; None if there is none that a packet can have."""
    remote = port.stream.order.remote
    if remote is None:
        return None
    try:
        address = ip_address(remote[0])
    except ValueError:
        return None
    return None if address.is_unspecified else address
