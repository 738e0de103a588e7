"""What a recording client has sent beside the media, to be kept sealed as it came.

Guarantees: no answer to a challenge and no other credential is among it; what is
kept of one request has an end.

Left to others: sealing it (`vault.recorder`).
"""

from typing import Final

from vault.core.flow import Document
from vault.sip.messages import Request
from vault.siprec.bodies import Bodies

HEADERS: Final = "invite-headers"
METADATA: Final = "rs-metadata"
DESCRIPTOR: Final = "gtd"
_SECRET: Final = frozenset({"authorization", "proxy-authorization"})
_MOST_BYTES: Final = 256 * 1024


def documents_of(request: Request, bodies: Bodies) -> tuple[Document, ...]:
    """Return what to keep of *request*.

    The headers of the INVITE are where gateways without metadata say whose call it
    is; those of later requests say nothing more.
    """
    found = [(METADATA, bodies.metadata or b""), (DESCRIPTOR, bodies.gtd)]
    if request.method == "INVITE":
        found.append((HEADERS, _headers(request)))
    return tuple(
        Document(kind=kind, octets=octets[:_MOST_BYTES])
        for kind, octets in found
        if octets
    )


def _headers(request: Request) -> bytes:
    rows = (
        f"{name}: {value}\r\n"
        for name, value in request.headers
        if name.lower() not in _SECRET
    )
    return "".join(rows).encode("utf-8", "surrogateescape")
