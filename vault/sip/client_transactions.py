"""Client transactions: BYE, UPDATE and re-INVITE of ours, until they are answered.

    INVITE     CALLING --1xx--> RINGING --2xx--> ACCEPTED, 3xx-6xx--> REFUSED
    any other  TRYING --1xx--> PROCEEDING --final--> ANSWERED

CALLING and TRYING repeat their request over UDP, at T1 and doubling (TRYING to T2);
PROCEEDING at T2; RINGING not at all.  All give up after 64 times T1, RINGING after
three minutes.  An INVITE with an answer waits 64 times T1 for copies of it, on every
transport, because each needs its ACK; ANSWERED is forgotten at once, and copies of
its answer are strays that nobody misses.

Guarantees:
    * A request of ours has one outcome: FINAL or TimedOut, once.
    * Only who saw the request can answer it: its branch cannot be guessed, and the
      answer has to come by the same transport.
    * Every copy of a final answer to INVITE gets the same ACK.

Left to others: what an answer means (`Dialog.answered`), finding the peer
(`vault.sip.user_agent`).

Spec: RFC 3261, sections 8.1.3.3, 13.2.2.4 and 17.1; RFC 6026, section 8.4.
"""

import math
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto, unique
from types import MappingProxyType
from typing import Final

from vault.core.errors import MalformedSignallingError, UnavailableError
from vault.sip.addresses import in_uri
from vault.sip.deadlines import Deadlines
from vault.sip.headers import CSeq, NameAddr, Via
from vault.sip.matching import fresh_branch
from vault.sip.messages import Headers, Request, Response
from vault.sip.peers import Outgoing, Peer, Transport
from vault.sip.timing import PATIENCE_S, T1_S, T2_S

_RINGING_S: Final = 180.0
"Longest that a re-INVITE of ours may ring (RFC 3261, section 16.8: timer C)."
_FINAL: Final = 200
_REFUSED: Final = 300


@unique
class Came(StrEnum):
    """What a response turned out to be."""

    FINAL = "final"
    """The first final response; nothing else will come.  An ACK of a refusal is in
    `Reply.send`; a 2xx to an INVITE needs `ClientTransactions.acknowledge`."""
    PROVISIONAL = "provisional"
    REPEATED = "repeated"
    "`Reply.send` has the ACK again, where one is due."
    STRAY = "stray"
    "Nothing of ours asked for it: drop it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What to do about a response."""

    what: Came
    branch: str = ""
    "The transaction, as `ClientTransactions.start` named it."
    send: tuple[Outgoing, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOut:
    """No final response came in time; treat it as 408."""

    branch: str


@unique
class _State(Enum):
    CALLING = auto()
    RINGING = auto()
    ACCEPTED = auto()
    REFUSED = auto()
    TRYING = auto()
    PROCEEDING = auto()
    ANSWERED = auto()


@unique
class _Event(Enum):
    PROVISIONAL = auto()
    SUCCESS = auto()
    REFUSAL = auto()


_NEXT: Final = MappingProxyType(
    {
        (_State.CALLING, _Event.PROVISIONAL): _State.RINGING,
        (_State.CALLING, _Event.SUCCESS): _State.ACCEPTED,
        (_State.CALLING, _Event.REFUSAL): _State.REFUSED,
        (_State.RINGING, _Event.PROVISIONAL): _State.RINGING,
        (_State.RINGING, _Event.SUCCESS): _State.ACCEPTED,
        (_State.RINGING, _Event.REFUSAL): _State.REFUSED,
        (_State.TRYING, _Event.PROVISIONAL): _State.PROCEEDING,
        (_State.TRYING, _Event.SUCCESS): _State.ANSWERED,
        (_State.TRYING, _Event.REFUSAL): _State.ANSWERED,
        (_State.PROCEEDING, _Event.PROVISIONAL): _State.PROCEEDING,
        (_State.PROCEEDING, _Event.SUCCESS): _State.ANSWERED,
        (_State.PROCEEDING, _Event.REFUSAL): _State.ANSWERED,
    }
)
"Whatever is not here is a copy, or comes too late."

_DONE: Final = frozenset({_State.ACCEPTED, _State.REFUSED, _State.ANSWERED})


@dataclass(slots=True, eq=False)
class _Transaction:
    branch: str
    method: str
    peer: Peer
    via: str
    state: _State
    request: Request | None
    "With its Via; until there is a final answer."
    octets: bytes
    "The request; after a final answer to INVITE its ACK, else nothing."
    ends_s: float
    interval_s: float = T1_S
    resend_s: float = math.inf

    def again(self) -> tuple[Outgoing, ...]:
        return (Outgoing(message=self.octets, peer=self.peer),) if self.octets else ()


class ClientTransactions:
    """The requests of ours that wait for an answer, or for copies of it."""

    def __init__(self, *, most: int = 8192) -> None:
        """Hold at most *most* requests: unanswered, or INVITEs answered lately."""
        self._most = most
        self._known: dict[str, _Transaction] = {}
        self._deadlines: Deadlines[str] = Deadlines()

    def start(
        self, request: Request, peer: Peer, now_s: float, *, sent_by: str = ""
    ) -> tuple[str, Outgoing]:
        """Send *request*, which has no Via yet, and repeat it until it is answered.

        Args:
            request: As `Dialog.request` made it.
            peer: Where it goes: transport, address, port, connection, local.
            now_s: Monotonic clock.
            sent_by: ``host:port`` where answers reach us; default: *peer*'s local.

        Returns:
            The transaction's branch, and the request to send now.

        Raises:
            UnavailableError: Too many requests wait for an answer.
        """
        if len(self._known) >= self._most:
            raise UnavailableError("too many requests of ours wait for an answer")
        branch = fresh_branch()
        via = _via(peer, sent_by, branch)
        request = _with_via(request, via)
        is_invite = request.method == "INVITE"
        known = _Transaction(
            branch=branch,
            method=request.method,
            peer=peer,
            via=via,
            state=_State.CALLING if is_invite else _State.TRYING,
            request=request,
            octets=bytes(request),
            ends_s=now_s + PATIENCE_S,
        )
        if peer.transport is Transport.UDP:
            known.resend_s = now_s + T1_S
        self._known[branch] = known
        self._schedule(known)
        return branch, known.again()[0]

    def receive(self, response: Response, peer: Peer, now_s: float) -> Reply:
        """Say what *response* is.  One that makes no sense is STRAY."""
        known = self._find(response, peer)
        if known is None:
            return Reply(what=Came.STRAY)
        following = _NEXT.get((known.state, _event(response.status)))
        if following is None:
            # The ACK of a 2xx may not be made yet: then there is nothing to repeat.
            send = known.again() if response.status >= _FINAL else ()
            return Reply(what=Came.REPEATED, branch=known.branch, send=send)
        if following in _DONE:
            return self._finish(known, following, response, now_s)
        self._provisional(known, following, now_s)
        return Reply(what=Came.PROVISIONAL, branch=known.branch)

    def acknowledge(self, branch: str, ack: Request) -> tuple[Outgoing, ...]:
        """Send *ack* (of `Dialog.acknowledge`, no Via yet) for the 2xx of *branch*.

        It goes out again whenever the 2xx comes again.

        Args:
            branch: Of the INVITE.
            ack: Without Via; it goes where the INVITE went.
        """
        known = self._known.get(branch)
        if known is None or known.state is not _State.ACCEPTED:
            return ()
        # An ACK of a 2xx is a transaction of its own (RFC 3261, section 17.1.1.3).
        via = known.via.replace(branch, fresh_branch())
        known.octets = bytes(_with_via(ack, via))
        return known.again()

    def fail(self, branch: str) -> None:
        """Give a request up: it could not be sent, or its connection is gone."""
        self._known.pop(branch, None)
        self._deadlines.drop(branch)

    def due(self, now_s: float) -> tuple[tuple[Outgoing | TimedOut, ...], float | None]:
        """Return what is to be sent now or has failed, and when to ask again."""
        found: list[Outgoing | TimedOut] = []
        while (branch := self._deadlines.take(now_s)) is not None:
            known = self._known[branch]
            if now_s >= known.ends_s:
                del self._known[branch]
                if known.state not in _DONE:
                    found.append(TimedOut(branch=branch))
                continue
            found += known.again()
            doubled = 2 * known.interval_s
            limit = math.inf if known.state is _State.CALLING else T2_S
            known.interval_s = min(doubled, limit)
            known.resend_s = now_s + known.interval_s
            self._schedule(known)
        return tuple(found), self.next_due_s

    @property
    def next_due_s(self) -> float | None:
        """When `due` has something to do."""
        return self._deadlines.next_s

    def __len__(self) -> int:
        """Return how many transactions are remembered."""
        return len(self._known)

    def _find(self, response: Response, peer: Peer) -> _Transaction | None:
        try:
            hops = response.headers.values("Via")
            # More than one Via: it was meant for somebody before us (8.1.3.3).
            if len(hops) != 1:
                return None
            known = self._known.get(Via.parse(hops[0]).branch)
            cseq = CSeq.parse(response.headers.one("CSeq"))
        except MalformedSignallingError:
            return None
        if known is None or cseq.method != known.method:
            return None
        return known if peer.transport is known.peer.transport else None

    def _provisional(
        self, known: _Transaction, following: _State, now_s: float
    ) -> None:
        if following is _State.RINGING and known.state is not _State.RINGING:
            known.ends_s = now_s + _RINGING_S
            known.resend_s = math.inf
        elif following is _State.PROCEEDING:
            known.interval_s = T2_S
        known.state = following
        self._schedule(known)

    def _finish(
        self, known: _Transaction, following: _State, response: Response, now_s: float
    ) -> Reply:
        request = known.request
        assert request is not None
        known.state = following
        if following is _State.ANSWERED:
            self.fail(known.branch)
            return Reply(what=Came.FINAL, branch=known.branch)
        known.request = None
        known.octets = b""
        known.resend_s = math.inf
        known.ends_s = now_s + PATIENCE_S
        if following is _State.REFUSED:
            known.octets = bytes(_acknowledgement(request, response))
        self._schedule(known)
        return Reply(what=Came.FINAL, branch=known.branch, send=known.again())

    def _schedule(self, known: _Transaction) -> None:
        self._deadlines.set(known.branch, min(known.resend_s, known.ends_s))


def _event(status: int) -> _Event:
    if status < _FINAL:
        return _Event.PROVISIONAL
    return _Event.SUCCESS if status < _REFUSED else _Event.REFUSAL


def _via(peer: Peer, sent_by: str, branch: str) -> str:
    host = sent_by or f"{in_uri(peer.local[0])}:{peer.local[1]}"
    # rport: the answer comes back to where the request came from (RFC 3581).
    return f"SIP/2.0/{peer.transport.upper()} {host};branch={branch};rport"


def _with_via(request: Request, via: str) -> Request:
    return replace(request, headers=Headers((("Via", via), *request.headers)))


def _acknowledgement(request: Request, response: Response) -> Request:
    """Make the ACK of a refusal: part of the INVITE's own transaction.

    Spec: RFC 3261, section 17.1.1.3.
    """
    try:
        to = str(NameAddr.parse(response.headers.one("To")))
    except MalformedSignallingError:
        to = request.headers.one("To")
    number = CSeq.parse(request.headers.one("CSeq")).number
    kept = ("via", "from", "call-id", "max-forwards", "route")
    rows = [row for row in request.headers if row[0].lower() in kept]
    rows += [("To", to), ("CSeq", str(CSeq(number=number, method="ACK")))]
    return Request(method="ACK", uri=request.uri, headers=Headers(rows))
