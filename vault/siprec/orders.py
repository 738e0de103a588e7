"""From what a request brings to what the desk is asked.

Guarantees: metadata that cannot be read is kept as it came, is flagged, and stops
nothing; a later offer that the desk has taken is never refused afterwards, or both
sides would believe in different keys.

Left to others: states and ends (`vault.siprec.calls`), reading facts
(`vault.siprec.parties`).

Spec: RFC 7866, section 9; RFC 3264, section 8.
"""

from typing import Final

import structlog

from vault.core.clock import Clock
from vault.core.errors import VaultError
from vault.core.flow import CallFacts, SessionChange, SessionOrder
from vault.sip.interfaces import Incoming
from vault.sip.messages import Request
from vault.siprec.bodies import Bodies, read_bodies
from vault.siprec.documents import documents_of
from vault.siprec.interfaces import RecordingDesk
from vault.siprec.parties import changes, facts_of, learned
from vault.siprec.session import Call

METADATA_FLAWED: Final = "siprec.metadata.flawed"
METADATA_LOST: Final = "siprec.metadata.lost"
ANSWER_REFUSED: Final = "siprec.answer.refused"
_log = structlog.get_logger()


class Orders:
    """Asks the desk."""

    def __init__(self, desk: RecordingDesk, clock: Clock) -> None:
        """Ask *desk*; *clock* dates who joins and leaves."""
        self._desk = desk
        self._clock = clock

    async def open(self, call: Call, incoming: Incoming, bodies: Bodies) -> str:
        """Have *call* recorded; return the SDP to answer with."""
        call.facts = self._facts(call, incoming.request, bodies)
        answer = await self._desk.open(
            SessionOrder(
                device=call.device,
                offer=bodies.offer,
                labels=bodies.labels,
                call=call.facts,
                origin=incoming.peer.address,
                documents=documents_of(incoming.request, bodies),
                signalling=call.signalling(),
            )
        )
        call.recording_id = answer.recording_id
        return answer.sdp

    async def change(self, call: Call, request: Request, bodies: Bodies) -> str:
        """Take what a later request brings; return the SDP to answer with, if any.

        Raises:
            VaultError: As the desk says; nothing has changed then.
        """
        assert call.recording_id is not None
        if not bodies.offer:
            # Late metadata, or nothing: a refresh of the session timer.
            await self._note(call, request, bodies)
            return ""
        renewed = await self._desk.renew(
            call.device, call.recording_id, offer=bodies.offer, labels=bodies.labels
        )
        try:
            await self._note(call, request, bodies)
        except VaultError as error:
            _log.error(
                METADATA_LOST, recording=call.recording_id, problem=type(error).__name__
            )
        return renewed.sdp

    async def last_word(self, call: Call, request: Request) -> None:
        """Take metadata that a BYE brings: Ribbon says so who left, and when.

        A BYE is never refused for it: what can't be taken is logged and lost.
        """
        try:
            bodies = read_bodies(request)
            if bodies.metadata is not None:
                await self._note(call, request, bodies)
        except VaultError as error:
            _log.warning(
                METADATA_LOST, recording=call.recording_id, problem=type(error).__name__
            )

    def current(self, call: Call) -> str:
        """Return what we offer when a re-INVITE brings no offer."""
        assert call.recording_id is not None
        return self._desk.current(call.device, call.recording_id).sdp

    async def take_answer(self, call: Call, body: bytes) -> None:
        """Apply the SDP of an ACK: the answer to an offer of ours.

        An ACK cannot be refused: what cannot be taken leaves the session as it was.
        """
        assert call.recording_id is not None
        try:
            await self._desk.renew(
                call.device,
                call.recording_id,
                offer=body.decode("utf-8", "replace"),
                labels=call.labels,
            )
        except VaultError as error:
            _log.warning(
                ANSWER_REFUSED,
                recording=call.recording_id,
                problem=type(error).__name__,
            )

    async def _note(self, call: Call, request: Request, bodies: Bodies) -> None:
        assert call.recording_id is not None
        if bodies.says_nothing:
            return
        before = call.facts
        now = learned(before, self._facts(call, request, bodies), now_ns=self._clock())
        documents = documents_of(request, bodies) if bodies.metadata else ()
        news = changes(before, now)
        if news is None and not documents:
            return
        await self._desk.change(
            call.device,
            call.recording_id,
            SessionChange(call=news, documents=documents),
        )
        call.facts = now

    def _facts(self, call: Call, request: Request, bodies: Bodies) -> CallFacts:
        flaw = ""
        if bodies.metadata is not None:
            flaw = call.learn(bodies.metadata, self._clock())
        if flaw and flaw != call.flaw:
            call.flaw = flaw
            _log.warning(
                METADATA_FLAWED,
                device=call.device.id,
                recording=call.recording_id,
                flaw=flaw,
                octets=len(bodies.metadata or b""),
            )
        call.labels = bodies.labels or call.labels
        return facts_of(
            request, call.metadata, labels=call.labels, flaw=flaw, gtd=bodies.gtd
        )
