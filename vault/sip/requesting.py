"""Requests of ours in dialogs: BYE, and what keeps a session alive.

Guarantees: each of them ends, with the peer's answer or without one after 64 times
T1; the ACK of an answer to a re-INVITE leaves with the turn that read the answer.

Left to others: what they say (`vault.sip.dialog`), repetition and matching
(`vault.sip.client_transactions`), when a session is due (`vault.sip.user_agent`).

Spec: RFC 3261, sections 12.2.1, 14.1 and 15.1.1; RFC 4028, section 10; RFC 3326.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vault.core.errors import MalformedSignallingError, UnavailableError
from vault.sip.addresses import in_uri
from vault.sip.client_transactions import Came, ClientTransactions, TimedOut
from vault.sip.config import SipConfig
from vault.sip.dialog import Dialog, Outcome, Then
from vault.sip.messages import Request, Response
from vault.sip.peers import Peer
from vault.sip.ways import Ways

_NO_ANSWER: Final = 408
_NO_WAY: Final = 503
"It could not be sent, which may pass (RFC 3261, section 8.1.3.1)."
_SUCCESS: Final = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request that waits for its answer."""

    dialog: Dialog
    request: Request
    connection: int
    answer: "asyncio.Future[Response]"


class Requesting:
    """Asks peers; lives on one event loop."""

    def __init__(
        self,
        ways: Ways,
        transactions: ClientTransactions,
        config: SipConfig,
        *,
        clock: Callable[[], float],
    ) -> None:
        """Have asked nothing.

        Args:
            ways: How messages leave.
            transactions: Whose timers `do_what_is_due` serves.
            config: What we are called.
            clock: Monotonic seconds.
        """
        self._ways = ways
        self._transactions = transactions
        self._config = config
        self._clock = clock
        self.on_start: Callable[[], None] = lambda: None
        "Called when `next_due_s` may have come nearer."
        self._asked: dict[str, _Asked] = {}
        "By branch."

    @property
    def next_due_s(self) -> float | None:
        """When `do_what_is_due` has something to do."""
        return self._transactions.next_due_s

    async def bye(self, dialog: Dialog, *, reason: str = "") -> None:
        """End *dialog* at the peer's; returns when it has answered or had time to.

        Args:
            dialog: Which.
            reason: Value of a Reason header; "" for none.
        """
        headers = self._own_headers() + ([("Reason", reason)] if reason else [])
        answer = await self._ask(dialog, dialog.request("BYE", headers=headers))
        if answer.status == _NO_WAY:
            # Its connection died under it; another one may be had.
            await self._ask(dialog, dialog.request("BYE", headers=headers))

    async def refresh(self, dialog: Dialog) -> Outcome:
        """Keep the session of *dialog* alive; return what follows from the answer."""
        request = dialog.refresh()
        outcome = dialog.answered(
            request, await self._ask(dialog, request), self._clock()
        )
        if outcome.then is Then.AS_INVITE:
            request = dialog.refresh(as_invite=True)
            outcome = dialog.answered(
                request, await self._ask(dialog, request), self._clock()
            )
        return outcome

    def take(self, response: Response, peer: Peer) -> bool:
        """Take a response; return whether something of ours asked for it."""
        reply = self._transactions.receive(response, peer, self._clock())
        for out in reply.send:
            self._ways.send(out)
        if reply.what is Came.FINAL:
            self._finish(reply.branch, response)
        return reply.what is not Came.STRAY

    def lost(self, connection: int) -> None:
        """Give up what waits for an answer on a connection that is gone."""
        for branch, asked in list(self._asked.items()):
            if asked.connection == connection:
                self._fail(branch)

    def do_what_is_due(self, now_s: float) -> None:
        """Repeat what was not answered, and give up what never will be."""
        for one in self._transactions.due(now_s)[0]:
            if isinstance(one, TimedOut):
                self._finish(one.branch, Response(status=_NO_ANSWER))
            else:
                self._ways.send(one)

    async def _ask(self, dialog: Dialog, request: Request) -> Response:
        try:
            way = await self._ways.to(dialog)
            branch, out = self._transactions.start(
                request, way, self._clock(), sent_by=self._sent_by(way)
            )
        except UnavailableError:
            return Response(status=_NO_WAY)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Response] = loop.create_future()
        self._asked[branch] = _Asked(
            dialog=dialog, request=request, connection=way.connection, answer=answer
        )
        if not self._ways.send(out):
            self._fail(branch)
        self.on_start()
        try:
            return await answer
        finally:
            self._asked.pop(branch, None)

    def _fail(self, branch: str) -> None:
        self._transactions.fail(branch)
        self._finish(branch, Response(status=_NO_WAY))

    def _finish(self, branch: str, response: Response) -> None:
        asked = self._asked.get(branch)
        if asked is None or asked.answer.done():
            return
        asked.answer.set_result(response)
        if asked.request.method == "INVITE" and response.status in _SUCCESS:
            # Now, not when the task wakes up: the peer repeats its 2xx until then.
            try:
                ack = asked.dialog.acknowledge(asked.request, response)
            except MalformedSignallingError:
                return
            for out in self._transactions.acknowledge(branch, ack):
                self._ways.send(out)

    def _sent_by(self, way: Peer) -> str:
        host = self._config.advertise or way.local[0]
        return f"{in_uri(host)}:{way.local[1]}"

    def _own_headers(self) -> list[tuple[str, str]]:
        name = self._config.server_name
        return [("User-Agent", name)] if name else []
