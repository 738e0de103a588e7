"""Where a request comes from: the peer, or whom a trusted proxy names.

    client ──► proxy B ──► proxy A ──► here
               X-Forwarded-For: (whatever the client wrote), client, B

Guarantees:
    * Without a trusted proxy as the peer no header is looked at.
    * From the right, the first hop that is no trusted proxy is the client; what
      stands left of it may be anybody's invention and is not looked at.
    * A hop that does not parse, and a chain of more than ten proxies, refuse the
      request: nobody is let in as somebody else.

Left to others: asking `origin_of` and never the scope or a header.

Spec: RFC 7239, sections 4 and 6; RFC 4291, section 2.5.5.2.
"""

import ipaddress
import re
from typing import Final

from starlette.datastructures import Headers
from starlette.types import Scope

from vault.core.errors import InvalidInputError
from vault.core.prefixes import Prefixes, literal
from vault.edge.config import EdgeConfig, ProxyHeader

_MAX_HOPS: Final = 10
_PROTO: Final = "x-forwarded-proto"
_PORT: Final = r"(?::[0-9]{1,5})?"
_HOP: Final = re.compile(
    rf"(?:(?P<v4>[0-9.]{{7,15}}){_PORT}|\[(?P<v6>[0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\]{_PORT}"
    r"|(?P<bare>[0-9A-Fa-f:]+:[0-9A-Fa-f:.]*))"
)
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for it
_QUOTED: Final = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*"'
_PAIR: Final = rf"{_TOKEN}=(?:{_TOKEN}|{_QUOTED})"
_ELEMENT: Final = re.compile(rf"[ \t]*({_PAIR}(?:;{_PAIR})*)?[ \t]*(?:,|$)")
_FOR: Final = re.compile(rf"(?:^|;)for=({_TOKEN}|{_QUOTED})(?=;|$)", re.IGNORECASE)


def origin_of(scope: Scope) -> str:
    """Return the address of the client; empty where there is none.

    Behind a trusted proxy it is the client that the proxy has named: `settle` has
    written it down before anybody asks.
    """
    client = scope.get("client")
    return literal(str(client[0])) if client else ""


class Proxies:
    """Whose word about the client counts."""

    def __init__(self, config: EdgeConfig) -> None:
        """Take the prefixes.

        Raises:
            InvalidInputError: One is none.
        """
        self._trusted = Prefixes.parse(config.trusted_proxies)
        self._header = config.proxy_header

    def settle(self, scope: Scope, headers: Headers) -> bool:
        """Write the client of a request down, for `origin_of`.

        Returns:
            Whether the client reaches its proxy by TLS, as far as the proxy says.

        Raises:
            InvalidInputError: A trusted proxy names nobody that could be found.
        """
        peer = origin_of(scope)
        if peer not in self._trusted:
            return False
        hops = _hops(headers.getlist(self._header), self._header)
        # From the right: each of our proxies has added whom it has seen.
        for count, hop in enumerate(reversed(hops)):
            if count >= _MAX_HOPS:
                raise InvalidInputError("a chain of too many proxies")
            address = _address(hop)
            scope["client"] = (address, 0)
            if address not in self._trusted:
                break
        return headers.get(_PROTO, "").strip().lower() == "https"


def _hops(values: list[str], header: ProxyHeader) -> list[str]:
    text = ",".join(values)
    if not text.strip():
        return []
    if header is ProxyHeader.X_FORWARDED_FOR:
        return [hop.strip(" \t") for hop in text.split(",")]
    return _forwarded(text)


def _forwarded(text: str) -> list[str]:
    """Return the ``for`` of each element; one that names nobody is no address."""
    hops: list[str] = []
    at = 0
    while at < len(text):
        element = _ELEMENT.match(text, at)
        if element is None:
            raise InvalidInputError("not a Forwarded header")
        at = element.end()
        if element[1] is None:
            continue
        named = _FOR.findall(element[1])
        if len(named) != 1:
            raise InvalidInputError("an element of Forwarded names one client")
        hops.append(_unquoted(named[0]))
    return hops


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    return re.sub(r"\\(.)", r"\1", value[1:-1])


def _address(hop: str) -> str:
    """Return the address of a hop in its one spelling.

    Raises:
        InvalidInputError: ``unknown``, a name, octal or hexadecimal numbers, a zone.
    """
    found = _HOP.fullmatch(hop)
    if found is None:
        raise InvalidInputError("a hop that is no address")
    try:
        address = ipaddress.ip_address(found["v4"] or found["v6"] or found["bare"])
    except ValueError:
        raise InvalidInputError("a hop that is no address") from None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
