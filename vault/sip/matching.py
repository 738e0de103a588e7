"""Which transaction and which dialog a message belongs to.

Guarantees:
    * A message of another address, transport or certificate never matches a
      transaction, whatever branch it names: nobody answers, cancels or repeats for
      somebody else.
    * Neither does one of another Call-ID or CSeq: there are peers whose branch is
      the same for every request they send.
    * Whatever is missing, malformed or absurdly long raises
      `MalformedSignallingError`.

Spec: RFC 3261, sections 12.1.1 and 17.2.3.
"""

import hashlib
import secrets
from typing import Final, NamedTuple

from vault.core.errors import MalformedSignallingError
from vault.sip.headers import CSeq, NameAddr, Via
from vault.sip.messages import Request
from vault.sip.peers import Peer

MAGIC_COOKIE: Final = "z9hG4bK"
"Branches that start so are unique by themselves (RFC 3261, section 8.1.1.7)."

MAX_NAME: Final = 1024
"Characters of a Call-ID or tag; they are kept for as long as a call lasts."

_MAX_BRANCH: Final = 128
_TAG_BYTES: Final = 12


class DialogId(NamedTuple):
    """A dialog's name, seen from our side."""

    call_id: str
    local_tag: str
    remote_tag: str


class TransactionKey(NamedTuple):
    """A transaction's name."""

    branch: str
    "Of the topmost Via; for RFC 2543 clients also what else they are matched by."
    sent_by: str
    method: str
    "INVITE also for its ACK."
    source: tuple[str, str, bytes | None]
    "Transport, address and certificate of the peer."
    call_id: str
    cseq: int

    def of(self, method: str) -> "TransactionKey":
        """Return the key of the request that a CANCEL means."""
        return self._replace(method=method)


class Heading(NamedTuple):
    """What of a request's headers transactions and dialogs go by, parsed once."""

    key: TransactionKey
    from_tag: str
    to_tag: str

    @property
    def call_id(self) -> str:
        """The Call-ID."""
        return self.key.call_id

    @property
    def cseq(self) -> int:
        """The number in CSeq."""
        return self.key.cseq

    @classmethod
    def of(cls, request: Request, peer: Peer) -> "Heading":
        """Read *request*.

        Raises:
            MalformedSignallingError: Via, From, To, Call-ID or CSeq is absent or
                malformed, or CSeq names another method.
        """
        headers = request.headers
        hops = headers.values("Via")
        if not hops:
            raise MalformedSignallingError("no Via")
        via = Via.parse(hops[0])
        cseq = CSeq.parse(headers.one("CSeq"))
        if cseq.method != request.method:
            raise MalformedSignallingError("CSeq of another method")
        call_id, from_tag, to_tag = names(request)
        method = "INVITE" if request.method == "ACK" else request.method
        branch = via.branch
        if not branch.startswith(MAGIC_COOKIE):
            # Such a client matches by everything that its requests have in common
            # (RFC 3261, section 17.2.3); Call-ID and CSeq are in the key anyway.
            branch = f"{branch} {from_tag} {request.uri}"
        if len(branch) > _MAX_BRANCH:
            branch = _digest(branch)
        key = TransactionKey(
            branch=branch,
            sent_by=via.sent_by[:_MAX_BRANCH],
            method=method,
            source=peer.place,
            call_id=call_id,
            cseq=cseq.number,
        )
        return cls(key=key, from_tag=from_tag, to_tag=to_tag)


def names(request: Request) -> tuple[str, str, str]:
    """Return Call-ID, From tag and To tag of *request*; "" for a tag it lacks.

    Raises:
        MalformedSignallingError: One is absent, malformed or too long.
    """
    headers = request.headers
    found = (
        headers.one("Call-ID"),
        NameAddr.parse(headers.one("From")).tag,
        NameAddr.parse(headers.one("To")).tag,
    )
    if not found[0] or max(map(len, found)) > MAX_NAME:
        raise MalformedSignallingError("no name for a call")
    return found


def fresh_tag() -> str:
    """Return a tag that nobody can guess: it lets its knower into a dialog."""
    return secrets.token_hex(_TAG_BYTES)


def fresh_branch() -> str:
    """Return a branch that nobody can guess: it lets its knower answer for a peer."""
    return MAGIC_COOKIE + secrets.token_hex(_TAG_BYTES)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
