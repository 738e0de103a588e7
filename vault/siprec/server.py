"""The session recording server: what a SIP request asks of the recorder.

    request ─► who? ─► what does it bring? ─► desk ─► answer

    INVITE outside a dialog     open a recording        200 with SDP, recvonly
    INVITE, UPDATE inside       new offer, metadata     200; else it stays as it was
    INFO                        metadata, a digit       200; digits are kept nowhere
    BYE                         close it                200
    OPTIONS                     could a call be kept?   200, or 503 with Retry-After

Guarantees:
    * A 2xx to an INVITE means that the recording is accounted for; whatever becomes
      of the dialog afterwards, it is ended, here or by the desk.
    * What cannot be stored is refused at once, so that the peer can go elsewhere.
    * A session belongs to one device; for others it does not exist.

Left to others: transactions, dialogs and timers (`vault.sip`), who may speak
(`vault.siprec.admission`), media and sealing (`vault.recorder`).

Spec: RFC 7866, sections 6, 7; RFC 3261, sections 8.2, 11 to 15; docs/reference/sip.md
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import MappingProxyType
from typing import Final
from weakref import WeakKeyDictionary

import structlog

from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import (
    NotFoundError,
    UnavailableError,
    UnsupportedOfferError,
    VaultError,
)
from vault.core.flow import Device, HowEnded
from vault.sip.dialogs import Dialog
from vault.sip.headers import NameAddr
from vault.sip.interfaces import Incoming, WhyLost
from vault.sip.messages import Request, Response, respond
from vault.siprec.admission import Admission
from vault.siprec.answers import ACCEPT, refusal, refuse
from vault.siprec.bodies import Bodies, read_bodies
from vault.siprec.calls import Agent, Calls
from vault.siprec.interfaces import RecordingDesk
from vault.siprec.orders import Orders
from vault.siprec.refusals import Refused
from vault.siprec.session import Call, CallKey, Event

FAULT: Final = "siprec.fault"
_GOING_DOWN_S: Final = 30
"When to ask a recorder again that goes down."
_BYE_WITHIN_S: Final = 2.0
"What the answer to a BYE waits for the manifest, before the peer asks once more."
_SAID: Final = (("Supported", "siprec"), ("Accept", ACCEPT))
_log = structlog.get_logger()


class RecordingServer:
    """Implements `vault.sip.interfaces.Application`; lives on one event loop."""

    def __init__(
        self,
        desk: RecordingDesk,
        admission: Admission,
        *,
        why_not: Callable[[], str] = lambda: "",
        clock: Clock = system_clock_ns,
    ) -> None:
        """Answer for *desk*.

        Args:
            desk: Records.
            admission: Knows who may speak.
            why_not: One word for why no call can be taken now, empty if one can; for
                OPTIONS of those whose name is not asked, so it must cost nothing.
            clock: The time of day.
        """
        self._desk = desk
        self._admission = admission
        self._why_not = why_not
        self._calls = Calls(desk)
        self._orders = Orders(desk, clock)
        self._draining = False
        # Not all of them come to `answer`, so that nothing may be held for them.
        self._admitted: WeakKeyDictionary[Incoming, Device | None] = WeakKeyDictionary()
        "Whom `admit` has let through."

    # -- its life --------------------------------------------------------------

    def begin(self, agent: Agent) -> None:
        """Speak through *agent* from now on, and go on with what was kept.

        Called when `RecordingDesk.kept` is complete, before `UserAgent.start`.
        """
        self._calls.begin(agent)

    def drain(self) -> None:
        """Refuse new calls, and say so to OPTIONS; calls that run are not touched."""
        self._draining = True

    @property
    def calls(self) -> int:
        """Calls in progress."""
        return len(self._calls)

    async def finish(self, *, within_s: float) -> None:
        """Wait until peers have heard of calls that ended, *within_s* at most."""
        await self._calls.finish(within_s=within_s)

    # -- what the user agent asks (`vault.sip.interfaces.Application`) -----------

    def admit(self, incoming: Incoming) -> Response | None:
        """Decide who speaks; see `Application.admit`."""
        call = self._calls.of(incoming.dialog)
        owner = None if call is None else call.device
        try:
            device = self._admission.admit(incoming, owner=owner)
        except Refused as refused:
            return refused.response
        self._admitted[incoming] = device
        return None

    async def answer(self, incoming: Incoming) -> Response:
        """Return the final response; see `Application.answer`."""
        request = incoming.request
        answering = _ANSWERS.get(request.method)
        try:
            if answering is None:
                return refuse(request, 501, "")
            return await answering(self, incoming, self._admitted.pop(incoming))
        except VaultError as error:
            return refusal(request, error)
        except Exception as error:  # noqa: BLE001 - one request must not end the others
            # What and not why: its text could quote the peer.
            _log.error(FAULT, method=request.method, problem=type(error).__name__)
            return refuse(request, 500, "")

    def confirmed(self, dialog: Dialog, body: bytes) -> None:
        """A 2xx was acknowledged; see `Application.confirmed`."""
        call = self._calls.of(dialog)
        if call is None:
            return
        call.dialog = dialog
        self._calls.end(call, Event.ACK)
        if not call.runs:
            return
        self._calls.note(call)
        if call.offered and body.strip():
            self._calls.errand(self._orders.take_answer(call, body))
        call.offered = False

    def lost(self, dialog: Dialog, why: WhyLost) -> None:
        """The dialog is over; see `Application.lost`."""
        call = self._calls.of(dialog)
        if call is not None:
            how = HowEnded.BYE if why is WhyLost.CANCELLED else HowEnded.TIMEOUT
            self._calls.end(call, Event.LOST, how)

    def changed(self, dialog: Dialog) -> None:
        """Keep what the next process needs; see `Application.changed`."""
        call = self._calls.of(dialog)
        if call is not None and call.runs:
            call.dialog = dialog
            self._calls.note(call)

    # -- requests -----------------------------------------------------------------

    async def _invite(self, incoming: Incoming, device: Device | None) -> Response:
        if incoming.dialog is not None:
            return await self._change(incoming, device)
        if device is None:
            return refuse(incoming.request, 403, "")
        # 1. Refuse what cannot be kept, before anything is read.
        self._refuse_drained()
        self._desk.check(device)
        # 2. What it is about.
        bodies = read_bodies(incoming.request)
        if not bodies.offer:
            # We could offer; but how many streams there are, and whose, they know.
            raise UnsupportedOfferError("a recording client offers SDP in its INVITE")
        call = Call(key=_key(incoming.request), device=device)
        if call.key in self._calls:
            # The same INVITE by another way (RFC 3261, section 8.2.2.2).
            return refuse(incoming.request, 482, "")
        self._calls.add(call)
        # 3. It goes on where the peer gives up: what is half open is ended then.
        opening = asyncio.create_task(self._open(call, incoming, bodies))
        try:
            sdp = await asyncio.shield(opening)
        except asyncio.CancelledError:
            self._calls.errand(self._give_up(call, opening))
            raise
        return _ok(incoming.request, sdp)

    async def _open(self, call: Call, incoming: Incoming, bodies: Bodies) -> str:
        try:
            sdp = await self._orders.open(call, incoming, bodies)
        except BaseException:
            self._calls.end(call, Event.REFUSED)
            raise
        # From here on the recording is accounted for.
        self._calls.add(call)
        try:
            self._orders.current(call)
        except NotFoundError:
            self._calls.end(call, Event.DESK_ENDED)
            raise UnavailableError(
                "the recording ended before it was answered"
            ) from None
        call.step(Event.OPENED)
        return sdp

    async def _give_up(self, call: Call, opening: "asyncio.Task[str]") -> None:
        """End what a CANCEL has met half open."""
        with suppress(VaultError):
            await opening
        if call.is_due:
            self._calls.end(call, Event.LOST)

    async def _change(self, incoming: Incoming, device: Device | None) -> Response:
        """Take a new offer, metadata, or both, inside a dialog."""
        request = incoming.request
        call = self._calls.of(incoming.dialog)
        if call is None or not call.runs:
            return refuse(request, 481, "")
        if device is not None:
            # As it stands now: what it may do was perhaps taken back since.
            call.device = device
        bodies = read_bodies(request)
        sdp = await self._orders.change(call, request, bodies)
        if request.method == "INVITE" and not sdp:
            # "The UAS … generates an offer" (RFC 3261, section 14.2): what stands.
            sdp, call.offered = self._orders.current(call), True
        self._calls.note(call)
        return _ok(request, sdp)

    async def _info(self, incoming: Incoming, device: Device | None) -> Response:
        if incoming.request.headers.get("Info-Package") is not None:
            # None was announced (RFC 6086, section 4.2.2).
            return refuse(incoming.request, 469, "", headers=(("Recv-Info", ""),))
        return await self._change(incoming, device)

    async def _bye(self, incoming: Incoming, device: Device | None) -> Response:
        del device
        call = self._calls.of(incoming.dialog)
        if call is not None:
            if call.runs and incoming.request.body:
                await self._orders.last_word(call, incoming.request)
            closing = self._calls.end(call, Event.BYE)
            if closing is not None:
                # The manifest is durable a moment later; where the disk is full, the
                # peer need not ask again and again.
                await asyncio.wait((closing,), timeout=_BYE_WITHIN_S)
        return respond(incoming.request, 200)

    async def _options(self, incoming: Incoming, device: Device | None) -> Response:
        """Say whether a call would be taken now.  Spec: RFC 3261, section 11."""
        if incoming.dialog is None:
            self._refuse_drained()
            reason = self._why_not()
            if reason:
                raise UnavailableError(f"no call is taken now: {reason}")
            if device is not None:
                self._desk.check(device)
        return respond(incoming.request, 200, headers=_SAID)

    def _refuse_drained(self) -> None:
        if self._draining:
            raise UnavailableError(
                "this recorder is going down", retry_after_s=_GOING_DOWN_S
            )


_Answering = Callable[[RecordingServer, Incoming, Device | None], Awaitable[Response]]
_ANSWERS: Final[MappingProxyType[str, _Answering]] = MappingProxyType(
    {
        "INVITE": RecordingServer._invite,  # noqa: SLF001 - the table of this class
        "UPDATE": RecordingServer._change,  # noqa: SLF001 - as above
        "INFO": RecordingServer._info,  # noqa: SLF001 - as above
        "BYE": RecordingServer._bye,  # noqa: SLF001 - as above
        "OPTIONS": RecordingServer._options,  # noqa: SLF001 - as above
    }
)


def _key(request: Request) -> CallKey:
    """Return what names the dialog that *request* would make.

    Raises:
        MalformedSignallingError: Call-ID or From is absent or malformed.
    """
    headers = request.headers
    return headers.one("Call-ID"), NameAddr.parse(headers.one("From")).tag


def _ok(request: Request, sdp: str) -> Response:
    if not sdp:
        return respond(request, 200, headers=_SAID)
    # Plain SDP, never multipart: there are clients that read nothing else.
    return respond(
        request,
        200,
        headers=_SAID,
        body=sdp.encode(),
        content_type="application/sdp",
    )
