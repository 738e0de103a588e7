"""Which address an answer names: where the device must send its media."""

import ipaddress
import socket

from vault.core.errors import UnavailableError
from vault.core.flow import Device
from vault.recorder.config import RecorderConfig

_DISCARD_PORT = 9


def advertised(device: Device, config: RecorderConfig, origin: str) -> str:
    """Return the address for ``c=``.

    Args:
        device: Its own setting goes first.
        config: Then the tap's, then the listen address.
        origin: Address of the peer: if the tap listens on all addresses, the
            one that routes there is named.

    Raises:
        UnavailableError: No route to the peer.
    """
    chosen = device.media_advertise or config.media_advertise or config.media_listen
    if not ipaddress.ip_address(chosen).is_unspecified:
        return chosen
    return _local_address_to(origin or "127.0.0.1")


def _local_address_to(peer: str) -> str:
    version = ipaddress.ip_address(peer.partition("%")[0]).version
    family = socket.AF_INET if version == 4 else socket.AF_INET6  # noqa: PLR2004 - IPv4
    # Connecting a datagram socket sends nothing; it only asks the routes.
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((peer, _DISCARD_PORT))
        except OSError:
            raise UnavailableError("no route to the device") from None
        name: str = probe.getsockname()[0]
    return name
