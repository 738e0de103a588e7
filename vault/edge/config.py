"""What an HTTP listener's edge must be told; nothing here has to be secret."""

from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

MAX_HEADERS: Final = 100
MAX_HEADER_BYTES: Final = 16 * 1024
MAX_TARGET_BYTES: Final = 8 * 1024
MAX_BODY_BYTES: Final = 64 * 1024
MAX_BODY_WAIT_S: Final = 10.0
MAX_ANSWER_WAIT_S: Final = 30.0


@unique
class ProxyHeader(StrEnum):
    """Where a trusted proxy writes down whom it answers."""

    X_FORWARDED_FOR = "x-forwarded-for"
    FORWARDED = "forwarded"
    "RFC 7239."


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeConfig:
    """Limits and fences of one listener."""

    requests_per_minute: int = 1200
    "Per client address; a page with a player needs about a dozen."

    trusted_proxies: tuple[str, ...] = ()
    "Prefixes of proxies whose word about the client counts; none: nobody's does."

    proxy_header: ProxyHeader = ProxyHeader.X_FORWARDED_FOR
    """The one header in which they say it.  Others are not looked at: a proxy that
    writes one of them passes the rest on as the client sent them."""

    allow: tuple[str, ...] = ()
    "Prefixes that may come; none: everybody."

    deny: tuple[str, ...] = ()
    "Prefixes that may not, whatever *allow* says."

    spares_loopback: bool = False
    "Rules that may change (not *deny*) shut nobody out on this machine itself."

    max_body_bytes: int | None = MAX_BODY_BYTES
    "Largest body, read before any route is; None: routes read it, within their limit."

    answer_within_s: float = MAX_ANSWER_WAIT_S
    "Until the first octet of an answer."
