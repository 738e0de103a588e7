"""Addresses and lists of address prefixes: who is inside, asked for every packet.

Guarantees: a list that parses holds whole networks only, each spelled in one way;
an IPv4 address inside IPv6 is in the list where its IPv4 form is, and is spelled as
IPv4; what shares a budget is one IPv4 address, or the /64 that a provider gives to
one customer of IPv6.

Spec: RFC 4632; RFC 4291, sections 2.3 and 2.5.5.2; RFC 4007, section 11; RFC 6177.
"""

import contextlib
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

from vault.core.errors import InvalidInputError

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAPPED_BITS: Final = 96
_MAPPED: Final = "::ffff:"
_REMEMBERED: Final = 4096


class Prefixes:
    """Some networks; ``address in prefixes`` never raises."""

    __slots__ = ("_networks",)

    def __init__(self, networks: tuple[_Network, ...] = ()) -> None:
        self._networks = networks

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Self:
        """Read addresses and prefixes.

        Raises:
            InvalidInputError: One is neither, has a zone, or has bits set beyond
                its length: ``10.1.2.3/8`` may be a typing error for one host.
        """
        return cls(tuple(map(_network, texts)))

    @classmethod
    def of(cls, texts: tuple[str, ...]) -> "Prefixes":
        """Return the prefixes of a list that was checked when it was made.

        Remembered; what does not parse all the same has nobody in it.
        """
        return _remembered(texts)

    @property
    def empty(self) -> bool:
        """Whether nothing is in it."""
        return not self._networks

    def __contains__(self, address: str) -> bool:
        if not self._networks:
            return False
        try:
            host = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped is not None:
            host = host.ipv4_mapped
        return any(host in network for network in self._networks)

    def inside(self, network: _Network) -> tuple[_Network, ...]:
        """Return what of *network* is in it, as few networks as there can be."""
        met = [
            one if _covers(network, one) else network
            for one in self._networks
            if _covers(network, one) or _covers(one, network)
        ]
        # Nothing of the other version meets it.
        if isinstance(network, ipaddress.IPv4Network):
            four = [one for one in met if isinstance(one, ipaddress.IPv4Network)]
            return tuple(ipaddress.collapse_addresses(four))
        six = [one for one in met if isinstance(one, ipaddress.IPv6Network)]
        return tuple(ipaddress.collapse_addresses(six))

    def spelled(self) -> tuple[str, ...]:
        """Return each as a prefix with its length; `parse` reads them back."""
        return tuple(map(str, self._networks))


def literal(address: str) -> str:
    """Return *address*, as `recvfrom` gives it, without zone and mapping."""
    if ":" not in address:
        return address
    address = address.partition("%")[0]
    if address.startswith(_MAPPED) and "." in address:
        return address[len(_MAPPED) :]
    return address


@lru_cache(_REMEMBERED)
def network_of(address: str) -> str:
    """Return what *address*, a literal, shares its budgets with."""
    if ":" not in address:
        return address
    return socket.inet_pton(socket.AF_INET6, address)[:8].hex()


@lru_cache(_REMEMBERED)
def _remembered(texts: tuple[str, ...]) -> Prefixes:
    networks: list[_Network] = []
    for text in texts:
        with contextlib.suppress(InvalidInputError):
            networks.append(_network(text))
    return Prefixes(tuple(networks))


def _network(text: str) -> _Network:
    fault = InvalidInputError(
        f"not an address or prefix: {text[:64]!a}; write 192.0.2.7, 192.0.2.0/24 "
        "or 2001:db8::/32"
    )
    if "%" in text:
        raise fault
    try:
        network = ipaddress.ip_network(text.strip())
    except ValueError:
        raise fault from None
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= _MAPPED_BITS:
            return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def _covers(wide: _Network, narrow: _Network) -> bool:
    """Whether all of *narrow* is in *wide*."""
    return (
        wide.version == narrow.version
        and wide.prefixlen <= narrow.prefixlen
        and narrow.network_address in wide
    )


NOBODY: Final = Prefixes()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressLists:
    """Who may come at all: a fence of prefixes that are let in, and that are not."""

    allow: Prefixes = NOBODY
    "Empty: everybody who is not denied."
    deny: Prefixes = NOBODY
    "Counts more than *allow*."

    def admits(self, address: str) -> bool:
        """Whether *address*, a literal, may come."""
        if self.allow.empty and self.deny.empty:
            return True
        # What is no address is in no list: it would slip past a deny list.
        try:
            ipaddress.ip_address(address)
        except ValueError:
            return False
        if address in self.deny:
            return False
        return self.allow.empty or address in self.allow

    def shuts_out(self, prefix: str) -> bool:
        """Whether no address in *prefix* may come.

        Raises:
            InvalidInputError: Not an address or prefix.
        """
        asked = _network(prefix)
        let_in = (asked,) if self.allow.empty else self.allow.inside(asked)
        denied = self.deny.inside(asked)
        return all(any(_covers(wide, one) for wide in denied) for one in let_in)


LOOPBACK: Final = Prefixes.parse(("127.0.0.0/8", "::1/128"))
