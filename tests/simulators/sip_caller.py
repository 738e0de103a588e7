"""A SIP caller without sockets: the requests of one call, as a peer would send them."""

import itertools
from dataclasses import dataclass, field, replace

from vault.sip.headers import NameAddr
from vault.sip.messages import Headers, Request, Response, parse_message
from vault.sip.peers import Outgoing, Peer, Transport

UDP = Peer(
    transport=Transport.UDP,
    address="192.0.2.1",
    port=5060,
    local=("198.51.100.7", 5060),
)
TLS = replace(
    UDP, transport=Transport.TLS, connection=7, certificate_sha256=bytes(range(32))
)
STRANGER = replace(UDP, address="203.0.113.66")

OFFER = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
ANSWER = b"v=0\r\no=- 7 7 IN IP4 198.51.100.7\r\ns=-\r\nt=0 0\r\n"

_BRANCHES = itertools.count(1)


@dataclass
class Caller:
    """One side of one call."""

    call_id: str = "call-1@192.0.2.1"
    from_tag: str = "caller-1"
    to_tag: str = ""
    contact: str = "<sip:src@192.0.2.1:5062>"
    cseq: int = 0
    more: tuple[tuple[str, str], ...] = field(default=())

    def request(
        self,
        method: str,
        *more: tuple[str, str],
        body: bytes = b"",
        kind: str = "application/sdp",
        branch: str | None = None,
        cseq: int | None = None,
        to_tag: str | None = None,
        uri: str = "sip:srs@198.51.100.7",
    ) -> Request:
        """Make the next request: a new CSeq and a new branch, unless told."""
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        if branch is None:
            branch = f"z9hG4bK{next(_BRANCHES)}"
        tag = self.to_tag if to_tag is None else to_tag
        rows = [
            ("Via", f"SIP/2.0/UDP 192.0.2.1:5060;branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", f'"Alice" <sip:alice@example.com>;tag={self.from_tag}'),
            ("To", "<sip:srs@example.com>" + (f";tag={tag}" if tag else "")),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq} {method}"),
            *((("Contact", self.contact),) if self.contact else ()),
            *self.more,
            *more,
        ]
        if body:
            rows.append(("Content-Type", kind))
        return Request(method=method, uri=uri, headers=Headers(rows), body=body)

    def ack(
        self, invite: Request, *, to_tag: str, branch: str | None = None
    ) -> Request:
        """Make the ACK of a 2xx; with the branch of *invite*, that of a refusal."""
        return self.request(
            "ACK", cseq=cseq_of(invite), to_tag=to_tag, branch=branch or None
        )

    def cancel(self, invite: Request) -> Request:
        """Make the CANCEL of *invite*."""
        return self.request(
            "CANCEL", cseq=cseq_of(invite), to_tag="", branch=branch_of(invite)
        )


def branch_of(message: Request) -> str:
    """Return the branch of the topmost Via."""
    return message.headers.values("Via")[0].rpartition("branch=")[2]


def cseq_of(message: Request) -> int:
    """Return the number of CSeq."""
    return int(message.headers.one("CSeq").split()[0])


def tag_of(message: Response | Request, name: str = "To") -> str:
    """Return the tag of *name*."""
    return NameAddr.parse(message.headers.one(name)).tag


def sent(outgoing: object) -> Request | Response:
    """Read back what went on the wire."""
    assert isinstance(outgoing, Outgoing)
    return parse_message(outgoing.message)


def statuses(found: tuple[object, ...]) -> list[int]:
    """Return the status of each answer that was sent."""
    read = [sent(one) for one in found if isinstance(one, Outgoing)]
    return [one.status for one in read if isinstance(one, Response)]
