"""Where the stream goes, as people write it: ``tls://siem.example:6514``.

Guarantees: what is sent beyond this machine is protected by TLS, unless a setting
says in so many words that it is not; there is no UDP, which loses what it likes.

Left to others: connecting (`vault.auditor.syslog_connection`).

Spec: RFC 5425, section 4.1; RFC 6587
"""

import ipaddress
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import urlsplit

_PORTS: Final = {"tls": 6514, "tcp": 601}
_MAX_HOST: Final = 253


@dataclass(frozen=True, slots=True, kw_only=True)
class SyslogServer:
    """A receiver of syslog messages."""

    host: str
    "A name, or an address without brackets."
    port: int
    is_tls: bool

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read ``tls://host[:port]`` or ``tcp://host[:port]``.

        Raises:
            ValueError: It is neither, or says more than that.
        """
        parts = urlsplit(url)
        if (
            parts.scheme not in _PORTS
            or not parts.hostname
            or len(parts.hostname) > _MAX_HOST
            or parts.path not in {"", "/"}
            or parts.query
            or parts.fragment
            or parts.username is not None
        ):
            raise ValueError("write it as tls://HOST or tls://HOST:PORT")
        port = parts.port
        return cls(
            host=parts.hostname,
            port=_PORTS[parts.scheme] if port is None else port,
            is_tls=parts.scheme == "tls",
        )

    @property
    def is_loopback(self) -> bool:
        """Whether octets for it never leave this machine: an address, not a name."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls' if self.is_tls else 'tcp'}://{host}:{self.port}"
