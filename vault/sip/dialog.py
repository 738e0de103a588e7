"""One dialog: what two user agents know of each other, and in which order they speak.

    request of the peer     `take` --application--> `settle` --> on the wire
    request of ours         `request` --> `ClientTransactions` --> `answered`

Guarantees:
    * A request whose CSeq is lower than one before is refused (500), and so is one
      that repeats the last under another branch.
    * Of two offers at the same time one is refused: 491 where ours is the other,
      500 with Retry-After where it is the peer's own.
    * Every 2xx to INVITE and UPDATE refreshes the target, both ways: the peer's from
      its Contact, ours always with the same one.
    * ``Dialog.resumed(dialog.state()) == dialog``.
    * No number and no name of people is in a ``repr``.

Left to others: whether the sender may speak in this dialog at all
(`Application.admit`), copies of requests (`vault.sip.transactions`), which dialog a
request is in (`vault.sip.dialogs`).

Spec: RFC 3261, sections 12, 13.3.1, 14 and 15; RFC 3311, section 5; RFC 4028.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, Self

from vault.core.errors import MalformedSignallingError
from vault.sip import dialog_state, session_timer
from vault.sip.dialog_headers import (
    MAX_TEXT,
    has_offer,
    is_loose,
    joined,
    source,
    target,
    untagged,
)
from vault.sip.headers import CSeq, NameAddr
from vault.sip.matching import DialogId, names
from vault.sip.messages import Headers, Request, Response
from vault.sip.outcomes import Outcome, Refusal, Then
from vault.sip.peers import Peer
from vault.sip.session_timer import Refresher, SessionTimer, TooSmall

__all__ = ["Dialog", "Outcome", "Refusal", "Then", "too_brief"]

_REFRESHES: Final = frozenset({"INVITE", "UPDATE"})
"Methods whose 2xx is a target refresh and a session refresh."
_SUCCESS: Final = range(200, 300)
_RETRY_S: Final = 10
"When a refresh that was refused is tried again, in seconds: never at once."
_SOON: Final = random.SystemRandom()


@dataclass(slots=True, kw_only=True)
class Dialog:
    """One dialog, from our side; equal when their `state` is."""

    call_id: str
    local_tag: str
    remote_tag: str
    local_uri: str = field(repr=False)
    "Our address as a name-addr, without tag."
    remote_uri: str = field(repr=False)
    "The peer's."
    remote_target: str = field(repr=False)
    "URI of the peer's Contact: where requests of ours go (target refresh)."
    local_contact: str = field(default="", repr=False)
    "Value of our Contact header, with its feature tags."
    route_set: tuple[str, ...] = field(default=(), repr=False)
    "name-addrs of the proxies between us, nearest first."
    local_cseq: int = 0
    remote_cseq: int = 0
    peer: Peer
    "Whom the last request that we accepted came from."
    timer: SessionTimer | None = None
    refreshed_s: float = 0.0
    "When the session timer was last started, by the monotonic clock."
    allows_update: bool = False
    description: bytes = field(default=b"", repr=False)
    "The SDP that we last answered with; kept only while we may have to refresh by it."

    # Requests in progress die with their process, so they are no part of the state.
    _their_invite: int = field(default=0, init=False, repr=False, compare=False)
    _their_update: int = field(default=0, init=False, repr=False, compare=False)
    _our_invite: int = field(default=0, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, request: Request, *, local_tag: str, contact: str, peer: Peer) -> Self:
        """Make the dialog of an INVITE, before its 2xx (`settle`).

        A peer without Contact is reached where its INVITE came from.

        Raises:
            MalformedSignallingError: A header that a dialog needs is malformed, or
                longer than is worth keeping.

        Spec: RFC 3261, section 12.1.1.
        """
        call_id, remote_tag, _ = names(request)
        cseq = CSeq.parse(request.headers.one("CSeq")).number
        route_set = request.headers.values("Record-Route")
        dialog = cls(
            call_id=call_id,
            local_tag=local_tag,
            remote_tag=remote_tag,
            local_uri=untagged(request.headers.one("To")),
            remote_uri=untagged(request.headers.one("From")),
            remote_target=target(request.headers) or source(peer),
            local_contact=contact,
            route_set=tuple(str(NameAddr.parse(route)) for route in route_set),
            remote_cseq=cseq,
            peer=peer,
        )
        kept = (dialog.local_uri, dialog.remote_uri, "".join(dialog.route_set))
        if max(map(len, kept)) > MAX_TEXT:
            raise MalformedSignallingError("addresses too long to keep")
        dialog._their_invite = cseq
        return dialog

    @property
    def id(self) -> DialogId:
        """Its name."""
        return DialogId(self.call_id, self.local_tag, self.remote_tag)

    def __hash__(self) -> int:
        return hash(self.id)

    def take(self, request: Request, *, min_se_s: int = 90) -> Refusal | None:
        """Say how *request* is refused; None where it is its turn.

        What is taken MUST be settled, also when it was cancelled.

        Raises:
            MalformedSignallingError: CSeq is absent or malformed.

        Spec: RFC 3261, sections 12.2.2 and 14.2; RFC 3311, section 5.2.
        """
        cseq = CSeq.parse(request.headers.one("CSeq")).number
        # Equal is no better than lower: its transaction would have known a copy.
        # Only a BYE is let pass, for peers that count carelessly: a call must end.
        careless = cseq == self.remote_cseq and request.method == "BYE"
        if cseq <= self.remote_cseq and not careless:
            return Refusal(status=500, reason="CSeq Out Of Order")
        self.remote_cseq = cseq
        refusal = self._overlap(request) or too_brief(request, min_se_s=min_se_s)
        if refusal is not None:
            return refusal
        if request.method == "INVITE":
            self._their_invite = cseq
        elif request.method == "UPDATE":
            self._their_update = cseq
        return None

    def settle(
        self,
        request: Request,
        response: Response,
        peer: Peer,
        now_s: float,
        *,
        min_se_s: int = 90,
    ) -> Response:
        """Apply the final response to a request that was taken; return it complete.

        A 2xx to INVITE or UPDATE refreshes the target and the session timer, and
        gets Contact, Record-Route and what session timers say.
        """
        cseq = CSeq.parse(request.headers.one("CSeq")).number
        if self._their_invite == cseq:
            self._their_invite = 0
        if self._their_update == cseq:
            self._their_update = 0
        if response.status not in _SUCCESS:
            return response
        self.peer = peer
        if request.method not in _REFRESHES:
            return response
        self.remote_target = target(request.headers) or self.remote_target
        if "Allow" in request.headers:
            allowed = request.headers.values("Allow")
            self.allows_update = "UPDATE" in (method.upper() for method in allowed)
        extra = self._restart_timer(request, now_s, min_se_s)
        self._keep_description(response)
        rows = [("Record-Route", row) for row in request.headers.all("Record-Route")]
        if "Contact" not in response.headers and self.local_contact:
            rows.append(("Contact", self.local_contact))
        headers = Headers((*response.headers, *rows))
        for name, value in extra:
            headers = joined(headers, name, value)
        return replace(response, headers=headers)

    def request(
        self,
        method: str,
        *,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        content_type: str = "",
    ) -> Request:
        """Make the next request of ours, without Via (`ClientTransactions.start`).

        Spec: RFC 3261, section 12.2.1.1.
        """
        self.local_cseq += 1
        rows = list(headers)
        if method in _REFRESHES and self.local_contact:
            rows.append(("Contact", self.local_contact))
        if content_type:
            rows.append(("Content-Type", content_type))
        if method == "INVITE":
            self._our_invite = self.local_cseq
        return self._made(method, self.local_cseq, rows, body)

    def refresh(self, *, as_invite: bool = False) -> Request:
        """Make what keeps the session alive: UPDATE, else re-INVITE with our SDP.

        Raises:
            RuntimeError: The dialog has no session timer.
        """
        if self.timer is None:
            raise RuntimeError("a session without timer needs no refresh")
        headers = session_timer.asked(self.timer)
        if (self.allows_update and not as_invite) or not self.description:
            return self.request("UPDATE", headers=headers)
        return self.request(
            "INVITE",
            headers=headers,
            body=self.description,
            content_type="application/sdp",
        )

    def acknowledge(
        self, request: Request, response: Response | None = None
    ) -> Request:
        """Make the ACK of a 2xx to *request*, an INVITE of ours, without Via.

        Args:
            request: The INVITE.
            response: Its 2xx, if `answered` has not seen it yet: the ACK goes to
                where it says.
        """
        if response is not None:
            self.remote_target = target(response.headers) or self.remote_target
        cseq = CSeq.parse(request.headers.one("CSeq")).number
        return self._made("ACK", cseq, [], b"")

    def answered(self, request: Request, response: Response, now_s: float) -> Outcome:
        """Apply the final response to *request* of ours.

        One that never came counts as ``Response(status=408)``.
        """
        if request.method == "INVITE":
            self._our_invite = 0
        if request.method == "BYE" or response.status in {408, 481}:
            return Outcome(then=Then.OVER)
        if request.method not in _REFRESHES:
            return Outcome(then=Then.NOTHING)
        if response.status in _SUCCESS:
            self.remote_target = target(response.headers) or self.remote_target
            self.timer = session_timer.granted(response)
            self.refreshed_s = now_s
            return Outcome(then=Then.NOTHING)
        return self._try_again(request.method, response)

    @property
    def next_hop(self) -> str:
        """URI that requests of ours are sent to: first proxy, else the target."""
        if not self.route_set:
            return self.remote_target
        return NameAddr.parse(self.route_set[0]).uri

    @property
    def due_s(self) -> float | None:
        """When the session timer asks for something; None without one."""
        return None if self.timer is None else self.timer.due_s(self.refreshed_s)

    def state(self) -> bytes:
        """Return all of it but requests in progress, as JSON.  Never logged."""
        return dialog_state.written(
            {
                "call_id": self.call_id,
                "local_tag": self.local_tag,
                "remote_tag": self.remote_tag,
                "local_uri": self.local_uri,
                "remote_uri": self.remote_uri,
                "remote_target": self.remote_target,
                "local_contact": self.local_contact,
                "route_set": list(self.route_set),
                "local_cseq": self.local_cseq,
                "remote_cseq": self.remote_cseq,
                "peer": dialog_state.written_peer(self.peer),
                "timer": dialog_state.written_timer(self.timer),
                "refreshed_s": self.refreshed_s,
                "allows_update": self.allows_update,
                "description": dialog_state.written_octets(self.description),
            }
        )

    @classmethod
    def resumed(cls, state: bytes) -> Self:
        """Return the dialog that `state` was of.

        Raises:
            MalformedSignallingError: Not such a state.
        """
        kept = dialog_state.Kept.read(state)
        return cls(
            call_id=kept.text("call_id"),
            local_tag=kept.text("local_tag"),
            remote_tag=kept.text("remote_tag"),
            local_uri=kept.text("local_uri"),
            remote_uri=kept.text("remote_uri"),
            remote_target=kept.text("remote_target"),
            local_contact=kept.text("local_contact"),
            route_set=kept.texts("route_set"),
            local_cseq=kept.number("local_cseq"),
            remote_cseq=kept.number("remote_cseq"),
            peer=kept.peer("peer"),
            timer=kept.timer("timer"),
            refreshed_s=kept.time_s("refreshed_s"),
            allows_update=kept.flag("allows_update"),
            description=kept.octets("description"),
        )

    def _overlap(self, request: Request) -> Refusal | None:
        """Refuse an offer beside another one that has no answer yet."""
        offers = request.method == "INVITE" or has_offer(request)
        if request.method not in _REFRESHES:
            return None
        if offers and self._our_invite:
            return Refusal(status=491)
        if self._their_update or (offers and self._their_invite):
            after = ("Retry-After", str(_SOON.randrange(11)))
            return Refusal(status=500, reason="Request Pending", headers=(after,))
        return None

    def _restart_timer(
        self, request: Request, now_s: float, min_se_s: int
    ) -> tuple[tuple[str, str], ...]:
        agreed = session_timer.agree(request, min_se_s=min_se_s)
        supported = ("Supported", "timer")
        self.refreshed_s = now_s
        if isinstance(agreed, TooSmall):
            self.timer = None
            return (supported,)
        self.timer = agreed.timer
        return (*agreed.headers, supported)

    def _keep_description(self, response: Response) -> None:
        ours = self.timer is not None and self.timer.refresher is Refresher.OURSELVES
        if not ours:
            self.description = b""
        elif response.body:
            self.description = response.body

    def _try_again(self, method: str, response: Response) -> Outcome:
        status = response.status
        if status in {405, 501} and method == "UPDATE":
            self.allows_update = False
            known = bool(self.description)
            return Outcome(then=Then.AS_INVITE if known else Then.NOTHING)
        if status == 422 and self.timer is not None:  # noqa: PLR2004 - RFC 4028, section 6
            self.timer = session_timer.longer(self.timer, response)
            return Outcome(then=Then.AGAIN, after_s=_RETRY_S)
        if status == 491:  # noqa: PLR2004 - RFC 3261, section 14.1: not our Call-ID
            return Outcome(then=Then.AGAIN, after_s=_SOON.randrange(201) / 100)
        if status >= 500 or status == 480:  # noqa: PLR2004 - it may pass
            return Outcome(then=Then.AGAIN, after_s=_RETRY_S)
        return Outcome(then=Then.NOTHING)

    def _made(
        self, method: str, cseq: int, rows: list[tuple[str, str]], body: bytes
    ) -> Request:
        uri, routes = self.remote_target, self.route_set
        if routes and not is_loose(self.next_hop):
            # A strict router wants its own URI, and the target as the last route.
            uri, routes = self.next_hop, (*routes[1:], f"<{uri}>")
        to = f"{self.remote_uri};tag={self.remote_tag}"
        headers = (
            *(("Route", route) for route in routes),
            ("Max-Forwards", "70"),
            ("From", f"{self.local_uri};tag={self.local_tag}"),
            ("To", to if self.remote_tag else self.remote_uri),
            ("Call-ID", self.call_id),
            ("CSeq", str(CSeq(number=cseq, method=method))),
            *rows,
        )
        return Request(method=method, uri=uri, headers=Headers(headers), body=body)


def too_brief(request: Request, *, min_se_s: int) -> Refusal | None:
    """Refuse a session timer below our minimum (422); for INVITE and UPDATE."""
    if request.method not in _REFRESHES:
        return None
    agreed = session_timer.agree(request, min_se_s=min_se_s)
    if isinstance(agreed, TooSmall):
        return Refusal(status=422, headers=agreed.headers)
    return None
