"""Web origins: scheme, host and port, spelled one way.

Guarantees: what `Origin.parse` returns has no user, path, query or fragment in it,
a lower-case host of letters, digits, dots and hyphens (or an address), and
``str`` of it is what a browser calls the origin.

Spec: RFC 6454, section 6.2; RFC 3986, section 3.2.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

from vault.core.errors import InvalidInputError

_PORTS: Final = {"https": 443, "http": 80}
_MAX_LENGTH: Final = 2048
_LABEL: Final = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_URL: Final = re.compile(r"[!-~]+")
_LOCALHOST: Final = "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where something on the web comes from."""

    scheme: str
    host: str
    "In lower case; an IPv6 address without brackets."
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``https://host[:port]``, nothing behind it.

        Raises:
            InvalidInputError: It is something else, or more.
        """
        origin = cls.of_url(text)
        if urlsplit(text).path or text[-1:] in "?#":
            raise InvalidInputError("an origin ends with its host or port")
        return origin

    @classmethod
    def of_url(cls, url: str) -> Self:
        """Return the origin of an http or https URL that has no user and no fragment.

        Raises:
            InvalidInputError: Not such a URL.
        """
        try:
            parts = urlsplit(url) if len(url) <= _MAX_LENGTH else None
            port = parts.port if parts else None
        except ValueError:
            parts, port = None, None
        if (
            parts is None
            or parts.scheme not in _PORTS
            or "@" in parts.netloc
            or "#" in url
            or "\\" in url
            or not _URL.fullmatch(url)
            or port == 0
            or not _is_host(parts.hostname or "")
        ):
            raise InvalidInputError("write it as https://host or https://host:port")
        return cls(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=port or _PORTS[parts.scheme],
        )

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine answers there, whatever a name server says."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == _LOCALHOST

    @property
    def authority(self) -> str:
        """Host and port as a ``Host`` header has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}"


def _is_host(host: str) -> bool:
    try:
        # Decimal and octal spellings of addresses are none to this function, and
        # no host name either: the last label of a name is no number.
        return bool(ipaddress.ip_address(host))
    except ValueError:
        last = host.rpartition(".")[2]
        return _HOST.fullmatch(host) is not None and not last[:1].isdigit()
