"""What dialogs read from, and put into, the headers of requests and answers.

Guarantees: a Contact that is of no use is none, and refuses nothing.

Spec: RFC 3261, sections 12.1.1, 12.2.1.1 and 16.12.
"""

from dataclasses import replace
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.sip.addresses import in_uri
from vault.sip.headers import NameAddr
from vault.sip.messages import Headers, Request
from vault.sip.peers import Peer
from vault.sip.uris import scheme_of

MAX_TEXT: Final = 4096
"Characters of an address or of all routes: they are kept as long as the call lasts."


def untagged(text: str) -> str:
    """Return an address without its tag.

    Raises:
        MalformedSignallingError: It is not an address.
    """
    address = NameAddr.parse(text)
    return str(replace(address, parameters=address.parameters.without("tag")))


def target(headers: Headers) -> str:
    """Return the URI of the first Contact; "" where there is none that is of use."""
    for text in headers.values("Contact")[:1]:
        try:
            uri = NameAddr.parse(text).uri
        except MalformedSignallingError:
            return ""
        if scheme_of(uri).lower() in {"sip", "sips"} and len(uri) <= MAX_TEXT:
            return uri
    return ""


def source(peer: Peer) -> str:
    """Return a URI for where *peer* sent from, for peers without Contact."""
    host = f"{in_uri(peer.address)}:{peer.port}"
    return f"sip:{host};transport={peer.transport.value}"


def is_loose(uri: str) -> bool:
    """Whether the proxy at *uri* leaves the Request-URI alone (``;lr``)."""
    pieces = uri.partition("?")[0].split(";")[1:]
    return any(piece.partition("=")[0].strip().lower() == "lr" for piece in pieces)


def has_offer(request: Request) -> bool:
    """Whether the body may hold SDP: anything but SIPREC metadata alone."""
    kind = (request.headers.get("Content-Type") or "").lower()
    return bool(request.body) and "rs-metadata" not in kind.partition(";")[0]


def joined(headers: Headers, name: str, value: str) -> Headers:
    """Return *headers* with *value* in the list *name*, on one line.

    There are peers that read only the first line of ``Require``.
    """
    known = headers.values(name)
    if value in known:
        return headers
    return headers.without(name).with_(name, ", ".join((*known, value)))
