"""Server transactions: one request, one answer, however often it comes.

    INVITE     PROCEEDING --2xx--> ACCEPTED --ACK--> ACKNOWLEDGED
                   |  `--CANCEL (487), 3xx-6xx--> REFUSED --ACK--> CONFIRMED
    any other  TRYING --final--> ANSWERED

ACCEPTED repeats its 2xx at T1, doubling to T2, on every transport, because a proxy
may lose it behind a reliable one; REFUSED repeats only over UDP.  Both give up after
64 times T1.  ACKNOWLEDGED, CONFIRMED and ANSWERED wait for copies of the request, for
64 times T1 and the time that the last of them may be on its way (RFC 3261 forgets
that), and also on TCP (where RFC 3261 lets them go at once): a stateless proxy
between UDP and TCP passes every copy on.

Guarantees:
    * A request is NEW once; each copy gets the octets of the same answer, or none
      while there is none.
    * A finished transaction holds its name and its answer, nothing else, for 37 s;
      both are counted against limits in number and octets, in all and by address.
    * An INVITE gets one final answer: 487 once it was cancelled.

Left to others: who may send (`Application.admit`, before a transaction exists),
order within a dialog (`vault.sip.dialogs`), sockets and clocks
(`vault.sip.user_agent`).

Spec: RFC 3261, sections 8.2.2.2, 9.2, 13.3.1.4 and 17.2; RFC 6026.
"""

import hashlib
import math
import secrets
from dataclasses import replace
from typing import Final

from vault.sip.deadlines import Deadlines
from vault.sip.headers import NameAddr
from vault.sip.matching import DialogId, Heading, TransactionKey, fresh_tag
from vault.sip.messages import Request, Response, respond
from vault.sip.peers import Outgoing, Peer, Transport
from vault.sip.remembered import Limits, Remembered
from vault.sip.server_states import (
    FINISHED,
    MADE,
    NEXT,
    OPEN,
    AckId,
    Event,
    Name,
    State,
    Transaction,
)
from vault.sip.timing import MEMORY_S, PATIENCE_S, T1_S, T2_S
from vault.sip.verdicts import NeverAcknowledged, Verdict, What

__all__ = [
    "PATIENCE_S",
    "Limits",
    "NeverAcknowledged",
    "ServerTransactions",
    "Verdict",
    "What",
]

_OVERLOADED_S: Final = 5
_SUCCESS: Final = range(200, 300)
_FINAL: Final = 200


class ServerTransactions:
    """The requests of the last 37 s and what each was answered.

    Usage: `receive` every request that was admitted, and every ACK; give each NEW
    one an `answer`; call `due` when its time has come, and after every other call
    take the time of the next one from `next_due_s`.
    """

    def __init__(
        self, limits: Limits | None = None, *, trying_after_s: float = 0.2
    ) -> None:
        """Hold as much as *limits* say.

        Args:
            limits: How much may be held.
            trying_after_s: An INVITE without an answer for so long is told 100.
        """
        self._trying_after_s = trying_after_s
        self._open: dict[TransactionKey, Transaction] = {}
        self._finished: Remembered[Transaction] = Remembered(limits or Limits())
        self._invites: dict[AckId, list[Transaction]] = {}
        self._unacknowledged: dict[DialogId, list[Transaction]] = {}
        self._deadlines: Deadlines[TransactionKey] = Deadlines()
        self._last: tuple[Request, Peer, Heading] | None = None
        # So that a refusal we keep no record of is the same for every copy.
        self._secret = secrets.token_bytes(16)

    def knows(self, request: Request, peer: Peer) -> bool:
        """Whether *request* is a copy of one that was received before.

        Raises:
            MalformedSignallingError: As `receive`.
        """
        return self._find(self._heading(request, peer).key) is not None

    def receive(
        self, request: Request, peer: Peer, now_s: float, *, in_dialog: bool = False
    ) -> Verdict:
        """Say what *request* is.

        Args:
            request: As it came.
            peer: Where it came from, and its answer goes.
            now_s: Monotonic.
            in_dialog: Whether it is in a dialog, for CANCEL: a re-INVITE goes on
                and is answered.  What it asks for is half done, and 487 would say
                that everything is as it was.

        Raises:
            MalformedSignallingError: A header that transactions need is malformed;
                nothing was remembered.
        """
        heading = self._heading(request, peer)
        self._sweep(now_s)
        if request.method == "ACK":
            return self._acknowledged(heading, now_s)
        known = self._find(heading.key)
        if known is not None:
            known.peer = peer
            return Verdict(what=What.REPEATED, key=known.key, send=known.again())
        if request.method == "CANCEL":
            return self._cancel(heading, request, peer, now_s, in_dialog=in_dialog)
        refusal = self._refusal(heading)
        if refusal:
            return self._refused(heading, request, peer, refusal)
        return self._begin(heading, request, peer, now_s)

    def answer(
        self, key: TransactionKey, response: Response, now_s: float
    ) -> tuple[Outgoing, ...]:
        """Send *response*, and again for every copy of the request.

        To gets its tag where it lacks one.  A second final response, one to an
        INVITE that was cancelled and one to a transaction that is gone are not
        sent: ``()`` is returned, and a dialog that it would have made is not one.
        """
        known = self._open.get(key)
        if known is None or known.state not in OPEN:
            return ()
        if response.status > 100:  # noqa: PLR2004 - 100 has no tag (RFC 3261, 8.2.6.2)
            response = _tagged(response, known)
        known.last = bytes(response)
        known.resend_s = math.inf
        if response.status < _FINAL:
            self._deadlines.drop(key)
        else:
            success = response.status in _SUCCESS
            self._move(known, Event.SUCCESS if success else Event.REFUSAL, now_s)
        return known.again()

    def forget(self, dialog: DialogId, now_s: float) -> None:
        """Stop repeating what made *dialog*, or was said in it: it is over.

        Copies of the INVITE still get the same answer.
        """
        for known in self._unacknowledged.pop(dialog, ()):
            self._move(known, Event.OVER, now_s)

    def due(
        self, now_s: float
    ) -> tuple[tuple[Outgoing | NeverAcknowledged, ...], float | None]:
        """Return what is to be sent now or has failed, and when to ask again."""
        found: list[Outgoing | NeverAcknowledged] = []
        while (key := self._deadlines.take(now_s)) is not None:
            known = self._open[key]
            if now_s >= known.ends_s:
                if known.state is State.ACCEPTED:
                    found.append(NeverAcknowledged(key=key, dialog=known.dialog))
                # The last copy of its INVITE may still be on its way, and would be
                # a new call.
                self._move(known, Event.OVER, now_s)
                continue
            if known.state is State.PROCEEDING:
                assert known.request is not None
                known.last = bytes(respond(known.request, 100))
                known.resend_s = math.inf
            else:
                known.interval_s = min(2 * known.interval_s, T2_S)
                known.resend_s = now_s + known.interval_s
            found += known.again()
            self._schedule(known)
        self._sweep(now_s)
        return tuple(found), self.next_due_s

    @property
    def next_due_s(self) -> float | None:
        """When `due` has something to do."""
        dues = (self._deadlines.next_s, self._finished.next_s)
        return min((due for due in dues if due is not None), default=None)

    @property
    def pending(self) -> int:
        """Requests without an answer, and answers to INVITE without ACK."""
        return len(self._open)

    def __len__(self) -> int:
        """Return how many transactions are remembered."""
        return len(self._open) + len(self._finished)

    def _heading(self, request: Request, peer: Peer) -> Heading:
        """Read *request*, unless it is the one that was read last."""
        last = self._last
        if last is None or last[0] is not request or last[1] != peer:
            last = self._last = (request, peer, Heading.of(request, peer))
        return last[2]

    def _find(self, key: TransactionKey) -> Transaction | None:
        return self._open.get(key) or self._finished.get(key)

    def _acknowledged(self, heading: Heading, now_s: float) -> Verdict:
        known = self._find(heading.key)
        if known is None or known.state in MADE:
            known = self._accepted(heading)
        if known is None or (known.state, Event.ACK) not in NEXT:
            return Verdict(what=What.ABSORBED)
        self._move(known, Event.ACK, now_s)
        if known.state is State.CONFIRMED:
            return Verdict(what=What.ABSORBED, key=known.key)
        return Verdict(what=What.ACKNOWLEDGED, key=known.key, dialog=known.dialog)

    def _accepted(self, heading: Heading) -> Transaction | None:
        """Return the INVITE whose 2xx an ACK is for.

        It may come from anywhere, as it goes to our Contact and not through the
        proxies of the INVITE: our tag is what proves that its sender saw the 2xx.
        Without a To tag it must come from the address of the INVITE.
        """
        for known in self._invites.get(_ack_id(heading), ()):
            seen = heading.to_tag == known.to_tag
            untagged = not heading.to_tag and known.key.source == heading.key.source
            if seen or untagged:
                return known
        return None

    def _cancel(
        self,
        heading: Heading,
        request: Request,
        peer: Peer,
        now_s: float,
        *,
        in_dialog: bool,
    ) -> Verdict:
        invite = self._find(heading.key.of("INVITE"))
        if invite is None:
            return self._refused(heading, request, peer, 481)
        begun = self._begin(heading, request, peer, now_s)
        assert begun.key is not None
        ok = respond(request, 200, to_tag=invite.to_tag)
        send = self.answer(begun.key, ok, now_s)
        if in_dialog or invite.state is not State.PROCEEDING:
            return Verdict(what=What.ABSORBED, key=invite.key, send=send)
        assert invite.request is not None
        terminated = respond(invite.request, 487, to_tag=invite.to_tag)
        send += self.answer(invite.key, terminated, now_s)
        return Verdict(what=What.CANCELLED, key=invite.key, send=send)

    def _refusal(self, heading: Heading) -> int:
        """Return with which status a request is refused before anybody sees it."""
        if heading.key.method == "INVITE" and not heading.to_tag:
            # The same INVITE over two ways (RFC 3261, section 8.2.2.2).  From two
            # senders it is taken twice: one of them may have given up on us, and
            # two recordings are better than none.
            for known in self._invites.get(_ack_id(heading), ()):
                if known.key.source == heading.key.source and not known.in_dialog:
                    return 482
        # A call that we have must be able to end: it may use the reserve.
        in_dialog = bool(heading.to_tag)
        room = self._finished.has_room(heading.key.source[1], in_dialog=in_dialog)
        return 0 if room else 503

    def _refused(
        self, heading: Heading, request: Request, peer: Peer, status: int
    ) -> Verdict:
        """Refuse without keeping a record: every copy is refused alike."""
        tag = hashlib.blake2b(
            repr(heading.key).encode(errors="surrogatepass"),
            key=self._secret,
            digest_size=8,
        ).hexdigest()
        after = (("Retry-After", str(_OVERLOADED_S)),) if status == 503 else ()  # noqa: PLR2004 - RFC 3261, 21.5.4
        response = respond(request, status, headers=after, to_tag=tag)
        out = Outgoing(message=bytes(response), peer=peer)
        return Verdict(what=What.REFUSED, key=heading.key, send=(out,))

    def _begin(
        self, heading: Heading, request: Request, peer: Peer, now_s: float
    ) -> Verdict:
        is_invite = heading.key.method == "INVITE"
        known = Transaction(
            key=heading.key,
            peer=peer,
            state=State.PROCEEDING if is_invite else State.TRYING,
            from_tag=heading.from_tag,
            to_tag=heading.to_tag or fresh_tag(),
            in_dialog=bool(heading.to_tag),
            request=request if is_invite else None,
        )
        self._open[known.key] = known
        self._finished.begun(known.key.source[1])
        if is_invite:
            self._invites.setdefault(known.ack, []).append(known)
            known.resend_s = now_s + self._trying_after_s
            self._schedule(known)
        return Verdict(what=What.NEW, key=known.key, to_tag=known.to_tag)

    def _move(self, known: Transaction, event: Event, now_s: float) -> None:
        known.state = state = NEXT[known.state, event]
        known.request = None
        known.ends_s = now_s + (MEMORY_S if state in FINISHED else PATIENCE_S)
        known.resend_s = math.inf
        if state is not State.ACCEPTED:
            _out_of(self._unacknowledged, known.dialog, known)
        if state in FINISHED:
            del self._open[known.key]
            self._deadlines.drop(known.key)
            self._finished.ended(known.key.source[1])
            size = len(known.last) + len(known.key.call_id)
            for old in self._finished.add(
                known.key,
                known,
                address=known.key.source[1],
                size=size,
                ends_s=known.ends_s,
            ):
                self._unlink(old)
            return
        if state is State.ACCEPTED:
            self._unacknowledged.setdefault(known.dialog, []).append(known)
        else:
            self._unlink(known)
        if state is State.ACCEPTED or known.peer.transport is Transport.UDP:
            known.interval_s = T1_S
            known.resend_s = now_s + T1_S
        self._schedule(known)

    def _schedule(self, known: Transaction) -> None:
        due_s = min(known.resend_s, known.ends_s)
        if due_s == math.inf:
            self._deadlines.drop(known.key)
        else:
            self._deadlines.set(known.key, due_s)

    def _unlink(self, known: Transaction) -> None:
        _out_of(self._invites, known.ack, known)

    def _sweep(self, now_s: float) -> None:
        for old in self._finished.expired(now_s):
            self._unlink(old)


def _ack_id(heading: Heading) -> AckId:
    return (heading.call_id, heading.from_tag, heading.cseq)


def _out_of(
    index: dict[Name, list[Transaction]], name: Name, known: Transaction
) -> None:
    """Take *known* out of *index*, if it is there."""
    listed = index.get(name)
    if listed is not None and known in listed:
        listed.remove(known)
        if not listed:
            del index[name]


def _tagged(response: Response, known: Transaction) -> Response:
    """Return *response* with a To tag, which from now on is that of *known*."""
    to = NameAddr.parse(response.headers.one("To"))
    if to.tag:
        known.to_tag = to.tag
        return response
    to = replace(to, parameters=to.parameters.with_("tag", known.to_tag))
    headers = response.headers.without("To").with_("To", str(to))
    return replace(response, headers=headers)
