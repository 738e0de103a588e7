"""What dialogs need while nobody says anything: time, refreshes, an end.

One alarm serves every timer of the room; it rings when the first of them is due.

Guarantees:
    * A dialog that the application knows of ends by its own answer to a BYE, by
      `bye`, or by `Application.lost`: never silently.
    * A BYE of ours is not waited for by who is told that the dialog is lost.
    * No timer stops the others.

Left to others: requests (`vault.sip.user_agent`), what timers there are
(`vault.sip.transactions`, `client_transactions`, `dialogs`).

Spec: RFC 3261, sections 13.3.1.4 and 15; RFC 4028, section 10.
"""

import asyncio
from collections.abc import Callable, Coroutine

from vault.sip.dialogs import Dialog, Dialogs, Due, Then
from vault.sip.faults import Faults
from vault.sip.interfaces import Application, WhyLost
from vault.sip.requesting import Requesting
from vault.sip.transactions import NeverAcknowledged, ServerTransactions
from vault.sip.ways import Ways


class Upkeep:
    """Keeps dialogs; lives on one event loop."""

    def __init__(
        self,
        application: Application,
        *,
        server: ServerTransactions,
        dialogs: Dialogs,
        requesting: Requesting,
        ways: Ways,
        faults: Faults,
        clock: Callable[[], float],
    ) -> None:
        """Wait for nothing yet.

        Args:
            application: Who is told.
            server: Repeats answers.
            dialogs: That there are.
            requesting: Asks peers.
            ways: How messages leave.
            faults: Where bugs are written down.
            clock: Monotonic seconds.
        """
        self._application = application
        self._server = server
        self._dialogs = dialogs
        self._requesting = requesting
        self._ways = ways
        self._faults = faults
        self._clock = clock
        self._errands: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._rings_s = 0.0
        self._is_over = False
        requesting.on_start = self.wind

    def keep(self, dialog: Dialog) -> None:
        """Take note that something of *dialog* has changed."""
        self._dialogs.changed(dialog)
        self._application.changed(dialog)

    def forget(self, dialog: Dialog) -> bool:
        """Forget *dialog*; return whether it was known."""
        self._server.forget(dialog.id, self._clock())
        return self._dialogs.remove(dialog)

    async def bye(self, dialog: Dialog, *, reason: str = "") -> None:
        """End *dialog*, if it is known; as `UserAgent.send_bye`."""
        if self.forget(dialog):
            await self._requesting.bye(dialog, reason=reason)

    def wind(self) -> None:
        """Set the alarm to what is due next, after anything that may have moved it."""
        dues = (
            self._server.next_due_s,
            self._requesting.next_due_s,
            self._dialogs.next_due_s,
        )
        due_s = min((one for one in dues if one is not None), default=None)
        if due_s is None or self._is_over:
            return
        if self._alarm is not None:
            if self._rings_s <= due_s:
                # It may ring for nothing, which is cheaper than to set it anew for
                # every message.
                return
            self._alarm.cancel()
        self._rings_s = due_s
        delay_s = max(0.0, due_s - self._clock())
        self._alarm = asyncio.get_running_loop().call_later(delay_s, self._ring)

    async def stop(self, *, within_s: float) -> None:
        """Give errands a moment, then wait for nothing any more."""
        errands = tuple(self._errands)
        if errands:
            await asyncio.wait(errands, timeout=within_s)
        for task in errands:
            task.cancel()
        await asyncio.gather(*errands, return_exceptions=True)
        self._is_over = True
        if self._alarm is not None:
            self._alarm.cancel()

    def _ring(self) -> None:
        self._alarm = None
        try:
            self._do_what_is_due(self._clock())
        except Exception as error:  # noqa: BLE001 - one timer must not stop the others
            self._faults.note(error)
        self.wind()

    def _do_what_is_due(self, now_s: float) -> None:
        for one in self._server.due(now_s)[0]:
            if isinstance(one, NeverAcknowledged):
                dialog = self._dialogs.get(one.dialog)
                if dialog is not None:
                    self._end(dialog, WhyLost.NO_ACK)
            else:
                self._ways.send(one)
        self._requesting.do_what_is_due(now_s)
        for dialog, due in self._dialogs.due(now_s)[0]:
            if due is Due.REFRESH:
                self._errand(self._refresh(dialog))
            else:
                self._end(dialog, WhyLost.EXPIRED)

    def _end(self, dialog: Dialog, why: WhyLost) -> None:
        """End a dialog whose peer does not do its part."""
        if self.forget(dialog):
            self._errand(self._requesting.bye(dialog))
            self._application.lost(dialog, why)

    async def _refresh(self, dialog: Dialog) -> None:
        outcome = await self._requesting.refresh(dialog)
        if self._dialogs.get(dialog.id) is not dialog:
            return
        if outcome.then is Then.OVER:
            self._end(dialog, WhyLost.EXPIRED)
            return
        self.keep(dialog)
        if outcome.then is Then.AGAIN:
            self._dialogs.retry(dialog, self._clock() + outcome.after_s)

    def _errand(self, errand: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._run(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _run(self, errand: Coroutine[None, None, None]) -> None:
        try:
            await errand
        except Exception as error:  # noqa: BLE001 - nobody awaits an errand
            self._faults.note(error)
        self.wind()
