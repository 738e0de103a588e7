"""What the room sees in a request by itself: where it came from, what nobody here does.

Guarantees:
    * An answer that is refused here is the same for every copy of its request, and
      nothing is kept for it (RFC 3261, section 8.2.7): a flood of what we don't do
      costs no memory.
    * An answer over UDP goes to the source of its request; its header decides the
      port alone, and only where it did not ask for ``rport``.

Left to others: what needs a device or a session (the application), retransmissions
and loops (`vault.sip.transactions`).

Spec: RFC 3261, sections 8.2 and 18.2; RFC 3581, section 4.
"""

import hashlib
import secrets
from dataclasses import replace
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.sip.headers import NameAddr, Via
from vault.sip.messages import Headers, Request, Response, respond
from vault.sip.peers import Peer, Transport
from vault.sip.uris import scheme_of, split_list

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, PRACK"
_ALLOWED: Final = frozenset(ALLOW.split(", "))
_KNOWN: Final = frozenset(
    {"MESSAGE", "NOTIFY", "PUBLISH", "REFER", "REGISTER", "SUBSCRIBE"}
)
"Methods of RFCs that we know and don't do: 405; any other is 501."
_SCHEMES: Final = frozenset({"sip", "sips", "tel"})
_SUPPORTED: Final = frozenset({"siprec", "timer", "100rel"})
"""What a peer may require.  ``100rel`` is about provisional answers that it wants
reliable; we send none that could be, only 100 and a final one."""
_DEFAULT_PORT: Final = 5060
_DEFAULT_TLS_PORT: Final = 5061
_TAG_BYTES: Final = 8


def stamped(request: Request, peer: Peer) -> tuple[Request, Peer]:
    """Return *request* as transactions see it, and where its answers go.

    Its topmost Via says where it really came from.

    Raises:
        MalformedSignallingError: It has no Via that can be read.

    Spec: RFC 3261, section 18.2.1; RFC 3581, section 4.
    """
    rows = list(request.headers)
    index = next((i for i, row in enumerate(rows) if row[0].lower() == "via"), -1)
    if index < 0:
        raise MalformedSignallingError("no Via")
    hops = split_list(rows[index][1])
    via = Via.parse(hops[0])
    back = replace(peer, port=_port_back(via, peer))
    if "rport" in via.parameters:
        via = via.with_parameter("rport", str(peer.port))
        via = via.with_parameter("received", peer.address)
    elif via.host != peer.address:
        via = via.with_parameter("received", peer.address)
    else:
        return request, back
    rows[index] = ("Via", ", ".join([str(via), *hops[1:]]))
    return replace(request, headers=Headers(rows)), back


def reopened_port(response: Response, transport: Transport) -> int:
    """Return where the sender of the request behind *response* takes connections.

    Raises:
        MalformedSignallingError: The topmost Via cannot be read.

    Spec: RFC 3261, section 18.2.2.
    """
    via = Via.parse(response.headers.values("Via")[0])
    return via.port or default_port(transport)


def default_port(transport: Transport) -> int:
    """Return the port that a URI or Via means without saying one."""
    return _DEFAULT_TLS_PORT if transport is Transport.TLS else _DEFAULT_PORT


class Screen:
    """Refuses what needs nobody's opinion; keeps a key, and nothing about anyone."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)

    def refusal(self, request: Request) -> Response | None:
        """Return how *request* is refused whoever it is from; None if it is not.

        ACK has no answer and is not asked about.
        """
        # Method, URI, extensions, content: the order of RFC 3261, section 8.2.
        method = request.method
        if method not in _ALLOWED:
            status = 405 if method in _KNOWN else 501
            return self.refused(request, status, headers=(("Allow", ALLOW),))
        if scheme_of(request.uri) not in _SCHEMES:
            return self.refused(request, 416)
        unsupported = self._unsupported(request)
        if unsupported and method != "CANCEL":
            listed = ", ".join(unsupported)
            return self.refused(request, 420, headers=(("Unsupported", listed),))
        encodings = {one.lower() for one in request.headers.values("Content-Encoding")}
        if encodings - {"identity"}:
            accept = ("Accept-Encoding", "identity")
            return self.refused(request, 415, headers=(accept,))
        return None

    def refused(
        self,
        request: Request,
        status: int,
        *,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> Response:
        """Refuse *request* without keeping anything: copies are refused alike."""
        return self.tagged(request, respond(request, status, headers=headers))

    def tagged(self, request: Request, response: Response) -> Response:
        """Return a refusal of *request* with the To tag that each copy gets."""
        rows = list(response.headers)
        for index, (name, value) in enumerate(rows):
            if name.lower() == "to":
                rows[index] = (name, self._with_tag(value, request))
        return replace(response, headers=Headers(rows))

    def _with_tag(self, to: str, request: Request) -> str:
        try:
            address = NameAddr.parse(to)
        except MalformedSignallingError:
            return to
        if address.tag:
            return to
        seen = hashlib.blake2b(key=self._key, digest_size=_TAG_BYTES)
        for name in ("Call-ID", "From", "CSeq"):
            value = request.headers.get(name) or ""
            seen.update(value.encode("utf-8", "surrogateescape") + b"\0")
        parameters = address.parameters.with_("tag", seen.hexdigest())
        return str(replace(address, parameters=parameters))

    @staticmethod
    def _unsupported(request: Request) -> list[str]:
        wanted = request.headers.values("Require")
        return [one for one in wanted if one.lower() not in _SUPPORTED]


def _port_back(via: Via, peer: Peer) -> int:
    if peer.transport is not Transport.UDP or "rport" in via.parameters:
        return peer.port
    # The address is the kernel's: `maddr` and `sent-by` would let a stranger choose
    # who gets our answers.
    return via.port or _DEFAULT_PORT
