"""The SIP user agent: sockets, transactions and dialogs behind one `Application`.

    octets ─► message ─► copy of an earlier one? ─► the same answer again
                 │ new
                 ▼
    refused by the room? ─► by the application (`admit`)? ─► out of turn? ─► `answer`
     405 416 420 422 501       401 403 503                    481 482 491 500

Everything before the last arrow is done at once, and what it refuses leaves nothing
behind; an answer may take as long as it likes, in a task of its own.

Guarantees:
    * The application sees each request once, whatever comes how often, and `admit`
      never sees a copy.
    * What a 2xx promises is handed to the application for keeping (`changed`) before
      the 2xx is sent.
    * No message ends the agent, whatever is in it.

Left to others: what requests mean and who may send them (the application), timers
and the end of a dialog (`vault.sip.upkeep`), requests of ours (`vault.sip.requesting`).

Spec: RFC 3261, sections 8.2, 12 to 15, 17.2 and 18; RFC 3262, 3311, 4028, 6026.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.sip.client_transactions import ClientTransactions
from vault.sip.config import SipConfig
from vault.sip.contact import contact_of
from vault.sip.counting import Refusal, SipCounts, Tally
from vault.sip.dialogs import Dialog, Dialogs, too_brief
from vault.sip.dialogs import Refusal as OutOfTurn
from vault.sip.faults import Faults
from vault.sip.interfaces import Application, Incoming, WhyLost
from vault.sip.matching import TransactionKey, names
from vault.sip.messages import (
    MalformedMessageError,
    Request,
    Response,
    parse_message,
    respond,
)
from vault.sip.peers import Outgoing, Peer, Transport
from vault.sip.requesting import Requesting
from vault.sip.screening import ALLOW, Screen, stamped
from vault.sip.transactions import (
    ServerTransactions,
    Verdict,
    What,
)
from vault.sip.transport import Transports
from vault.sip.upkeep import Upkeep
from vault.sip.ways import Ways

_IN_DIALOG: Final = frozenset({"BYE", "INFO", "PRACK", "UPDATE"})
"Methods that mean nothing outside of a dialog."
_SUCCESS: Final = range(200, 300)
_BUSY_S: Final = 5
_STOP_S: Final = 2.0


class UserAgent:
    """Answers SIP on the listeners of *config* with what *application* decides."""

    def __init__(
        self,
        application: Application,
        config: SipConfig,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open nothing yet.

        Args:
            application: Who decides.
            config: Where, and within which limits.
            clock: Monotonic seconds.
        """
        self._application = application
        self._config = config
        self._clock = clock
        self._tally = Tally()
        self._faults = Faults(clock=clock)
        self._screen = Screen()
        self._server = ServerTransactions(trying_after_s=config.trying_after_s)
        self._dialogs = Dialogs()
        self._transports = Transports(config, self, tally=self._tally, clock=clock)
        self._ways = Ways(self._transports, tally=self._tally)
        self._requesting = Requesting(
            self._ways, ClientTransactions(), config, clock=clock
        )
        self._upkeep = Upkeep(
            application,
            server=self._server,
            dialogs=self._dialogs,
            requesting=self._requesting,
            ways=self._ways,
            faults=self._faults,
            clock=clock,
        )
        self._answering: dict[TransactionKey, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Bind every listener, then take messages.

        Raises:
            ConfigurationError: An address is taken, foreign or not one; the
                certificate or its key cannot be read.  Nothing stays bound.
        """
        await self._transports.start()
        self._upkeep.wind()

    async def stop(self) -> None:
        """Stop listening, give answers in the making a moment, close everything.

        Dialogs are left as they are: who wants them ended sends BYE before.
        """
        tasks = list(self._answering.values())
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._upkeep.stop(within_s=_STOP_S)
        await self._ways.stop()
        await self._transports.stop()

    def resume(self, dialogs: Iterable[Dialog]) -> None:
        """Go on with dialogs of an earlier process (`Dialog.resumed`)."""
        now_s = self._clock()
        for dialog in dialogs:
            self._dialogs.resume(dialog, now_s)
            self._transports.prove(dialog.peer)

    async def send_bye(self, dialog: Dialog, *, reason: str = "") -> None:
        """End *dialog*: returns when the peer has answered or had time to.

        Args:
            dialog: Which; one that is over already is no error.
            reason: Value of a Reason header, such as ``SIP;cause=503;text="…"``.
        """
        await self._upkeep.bye(dialog, reason=reason)

    @property
    def bound(self) -> tuple[tuple[Transport, str, int], ...]:
        """The listeners, with the ports that the kernel chose."""
        return self._transports.bound

    def counts(self) -> SipCounts:
        """Return what happened so far."""
        return self._tally.snapshot(
            connections=self._transports.connections,
            dialogs=len(self._dialogs),
            transactions=len(self._server),
            cut_off=self._transports.cut_off(),
        )

    # -- what the transports call ----------------------------------------------

    def take(self, octets: bytes, peer: Peer) -> None:
        """Take one message."""
        try:
            self._take(octets, peer)
        except Exception as error:  # noqa: BLE001 - here a message ends; the next one must find us
            self._faults.note(error)
        self._upkeep.wind()

    def gone(self, connection: int) -> None:
        """Give up what waits for an answer on a connection that is gone."""
        self._requesting.lost(connection)

    def wanted(self) -> frozenset[int]:
        """Return the connections that dialogs need."""
        return frozenset(dialog.peer.connection for dialog in self._dialogs)

    # -- requests --------------------------------------------------------------

    def _take(self, octets: bytes, peer: Peer) -> None:
        try:
            message = parse_message(octets)
        except MalformedMessageError as error:
            self._tally.refused(Refusal.MALFORMED)
            self._refuse_malformed(error, peer)
            return
        if isinstance(message, Response):
            if not self._requesting.take(message, peer):
                self._tally.refused(Refusal.STRAY)
            return
        self._tally.request(message.method)
        request, back = stamped(message, peer)
        try:
            self._judge(request, peer, back)
        except MalformedSignallingError:
            self._tally.refused(Refusal.MALFORMED)
            self._refuse(request, 400, back)

    def _judge(self, request: Request, peer: Peer, back: Peer) -> None:
        now_s = self._clock()
        # 1. What acknowledges, and what came before, asks for nothing new.
        if request.method == "ACK":
            verdict = self._server.receive(request, back, now_s)
            self._acknowledged(verdict, request.body, peer)
            return
        if self._server.knows(request, back):
            self._tally.retransmission()
            self._send(self._server.receive(request, back, now_s).send)
            return
        # 2. What nobody here does.
        refused = self._screen.refusal(request)
        dialog = None if refused else self._dialogs.find(request, peer)
        incoming = Incoming(request=request, peer=peer, dialog=dialog)
        # 3. Who may not.
        refused = refused or self._application.admit(incoming)
        # 4. What is about nothing that there is, or more than can be done.
        refused = refused or self._impossible(incoming)
        if refused is not None:
            self._respond(self._screen.tagged(request, refused), back)
            return
        # 5. From here on it is remembered.
        verdict = self._server.receive(
            request, back, now_s, in_dialog=dialog is not None
        )
        self._send(verdict.send)
        if verdict.what is What.CANCELLED:
            self._cancel(verdict.key)
        if verdict.what is What.NEW:
            self._begin(verdict, incoming)

    def _impossible(self, incoming: Incoming) -> Response | None:
        request = incoming.request
        if request.method == "PRACK":
            # We send no provisional answer that could be acknowledged.
            return self._screen.refused(request, 481)
        if incoming.dialog is not None or request.method == "CANCEL":
            return None
        if request.method in _IN_DIALOG or names(request)[2]:
            return self._screen.refused(request, 481)
        brief = too_brief(request, min_se_s=self._config.min_session_expires_s)
        if brief is not None:
            return self._screen.refused(request, brief.status, headers=brief.headers)
        if len(self._answering) >= self._config.max_pending:
            self._tally.refused(Refusal.OVERLOAD)
            after = ("Retry-After", str(_BUSY_S))
            return self._screen.refused(request, 503, headers=(after,))
        return None

    def _begin(self, verdict: Verdict, incoming: Incoming) -> None:
        key, request, peer = verdict.key, incoming.request, incoming.peer
        assert key is not None
        dialog, refusal = incoming.dialog, None
        if dialog is not None:
            refusal = dialog.take(request, min_se_s=self._config.min_session_expires_s)
        elif request.method == "INVITE":
            contact = contact_of(self._config, request, peer)
            dialog = self._dialog_of(request, verdict.to_tag, contact, peer)
            refusal = None if dialog else OutOfTurn(status=400)
        if refusal is not None:
            headers = refusal.headers
            refused = respond(request, refusal.status, refusal.reason, headers=headers)
            self._send(self._server.answer(key, refused, self._clock()))
            return
        task = asyncio.get_running_loop().create_task(
            self._answered(key, incoming, dialog)
        )
        self._answering[key] = task
        task.add_done_callback(lambda _: self._answering.pop(key, None) and None)

    def _cancel(self, key: TransactionKey | None) -> None:
        """Abandon an INVITE that was told 487."""
        task = self._answering.get(key) if key else None
        if task is not None:
            task.cancel()

    async def _answered(
        self, key: TransactionKey, incoming: Incoming, dialog: Dialog | None
    ) -> None:
        request = incoming.request
        try:
            response = await self._application.answer(incoming)
        except Exception as error:  # noqa: BLE001 - a bug must not leave a request without an answer
            self._faults.note(error)
            response = respond(request, 500)
        try:
            self._settle(key, incoming, dialog, self._signed(request, response))
        except Exception as error:  # noqa: BLE001 - as above; its peer knows of no dialog
            self._faults.note(error)
            self._send(self._server.answer(key, respond(request, 500), self._clock()))
            if dialog is not None and incoming.dialog is None:
                self._lose(dialog)
        self._upkeep.wind()

    def _settle(
        self,
        key: TransactionKey,
        incoming: Incoming,
        dialog: Dialog | None,
        response: Response,
    ) -> None:
        if dialog is not None:
            response = self._complete(incoming, dialog, response)
        promised = dialog if response.status in _SUCCESS else None
        if promised is not None:
            # Before the answer has left: what fails here is refused after all.
            self._keep(incoming, promised)
        send = self._server.answer(key, response, self._clock())
        if promised is not None and incoming.dialog is None and not send:
            self._lose(promised)
        self._send(send)

    def _keep(self, incoming: Incoming, dialog: Dialog) -> None:
        """Take note of what a 2xx in *dialog* promises, or ends."""
        if incoming.dialog is None:
            self._dialogs.add(dialog)
            self._transports.prove(incoming.peer)
        if incoming.request.method == "BYE":
            self._upkeep.forget(dialog)
        else:
            self._upkeep.keep(dialog)

    def _lose(self, dialog: Dialog) -> None:
        """Give up a dialog that its peer is never told of."""
        self._upkeep.forget(dialog)
        self._application.lost(dialog, WhyLost.CANCELLED)

    def _complete(
        self, incoming: Incoming, dialog: Dialog, response: Response
    ) -> Response:
        return dialog.settle(
            incoming.request,
            response,
            incoming.peer,
            self._clock(),
            min_se_s=self._config.min_session_expires_s,
        )

    def _signed(self, request: Request, response: Response) -> Response:
        """Add what every answer, or every 2xx of its kind, says."""
        headers = response.headers
        if request.method in {"INVITE", "OPTIONS"} and "Allow" not in headers:
            headers = headers.with_("Allow", ALLOW)
        if self._config.server_name and "Server" not in headers:
            headers = headers.with_("Server", self._config.server_name)
        return replace(response, headers=headers)

    # -- the rest of a dialog's life -------------------------------------------

    def _acknowledged(self, verdict: Verdict, body: bytes, peer: Peer) -> None:
        if verdict.what is not What.ACKNOWLEDGED or verdict.dialog is None:
            return
        dialog = self._dialogs.get(verdict.dialog)
        if dialog is not None:
            # Our tag shows that its sender saw the 2xx; but an answer to an offer of
            # ours changes the session, and an ACK cannot be challenged.
            is_theirs = peer.place == dialog.peer.place
            self._application.confirmed(dialog, body if is_theirs else b"")

    # -- small things -----------------------------------------------------------

    def _send(self, messages: Iterable[Outgoing]) -> None:
        for out in messages:
            self._ways.send(out)

    def _respond(self, response: Response, back: Peer) -> None:
        self._send((Outgoing(message=bytes(response), peer=back),))

    def _refuse(self, request: Request, status: int, back: Peer) -> None:
        if request.method != "ACK":
            self._respond(self._screen.refused(request, status), back)

    def _refuse_malformed(self, error: MalformedMessageError, peer: Peer) -> None:
        if error.partial is not None:
            with contextlib.suppress(MalformedSignallingError):
                request, back = stamped(error.partial, peer)
                self._refuse(request, error.status, back)

    @staticmethod
    def _dialog_of(
        request: Request, local_tag: str, contact: str, peer: Peer
    ) -> Dialog | None:
        try:
            return Dialog.of(request, local_tag=local_tag, contact=contact, peer=peer)
        except MalformedSignallingError:
            return None
