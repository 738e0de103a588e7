"""The calls that there are, and how each of them ends.

Guarantees:
    * A call is found by its dialog until both sides know that it is over.
    * Ending one goes on when whoever asked for it does not wait.
    * What the next process needs is kept at each change, before the peer hears of it.

Left to others: which event it is (`vault.siprec.server`), the table of states
(`vault.siprec.session`).
"""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import suppress
from types import MappingProxyType
from typing import Final, Protocol

import structlog

from vault.core.errors import InvalidInputError, NotFoundError, VaultError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.sip.dialogs import Dialog
from vault.siprec.interfaces import RecordingDesk
from vault.siprec.session import Call, CallKey, Event, Tell

NOT_CLOSED: Final = "siprec.session.not-closed"
NOT_RESUMED: Final = "siprec.session.not-resumed"
ERRAND_FAILED: Final = "siprec.errand.failed"
_log = structlog.get_logger()

_REASONS: Final = MappingProxyType(
    {
        HowEnded.TIMEOUT: 'SIP;cause=480;text="no media, or for too long"',
        HowEnded.CUT: 'SIP;cause=503;text="the recorder goes down"',
    }
)


class Agent(Protocol):
    """What is asked of `vault.sip.user_agent.UserAgent`."""

    def resume(self, dialogs: Iterable[Dialog]) -> None:
        """Go on with dialogs of an earlier process."""
        ...

    async def send_bye(self, dialog: Dialog, *, reason: str = "") -> None:
        """End a dialog; returns when the peer has answered or had time to."""
        ...


class Calls:
    """Finds calls, keeps them, and tells whoever must hear of their end."""

    def __init__(self, desk: RecordingDesk) -> None:
        """Tell *desk*, and hear from it."""
        self._desk = desk
        self._agent: Agent | None = None
        self._by_key: dict[CallKey, Call] = {}
        self._by_recording: dict[RecordingId, Call] = {}
        self._errands: set[asyncio.Task[None]] = set()
        desk.on_end(self._desk_ended)

    def __len__(self) -> int:
        return len(self._by_recording)

    def __contains__(self, key: CallKey) -> bool:
        return key in self._by_key

    def of(self, dialog: Dialog | None) -> Call | None:
        """Return the call of *dialog*."""
        if dialog is None:
            return None
        return self._by_key.get((dialog.call_id, dialog.remote_tag))

    def add(self, call: Call) -> None:
        """Know *call* from now on."""
        self._by_key[call.key] = call
        if call.recording_id is not None:
            self._by_recording[call.recording_id] = call

    def begin(self, agent: Agent) -> None:
        """Hang up through *agent* from now on, and go on with what was kept."""
        self._agent = agent
        dialogs = []
        for kept in self._desk.kept():
            try:
                call = Call.resumed(kept)
            except InvalidInputError:
                # It goes on until its time-out; nobody can end it otherwise.
                _log.error(NOT_RESUMED, recording=kept.recording_id)
                continue
            if call.dialog is None:
                # Its 2xx was never sent: the peer has gone elsewhere.
                self.errand(self._close(call, HowEnded.CUT))
                continue
            if call.runs:
                # Its 2xx is not repeated any more, and an ACK of it would be one of
                # nothing: a BYE of ours has nothing to wait for.
                call.step(Event.ACK)
            self.add(call)
            dialogs.append(call.dialog)
        agent.resume(dialogs)

    async def finish(self, *, within_s: float) -> None:
        """Wait until those who must hear of an end have heard, *within_s* at most."""
        if self._errands:
            await asyncio.wait(tuple(self._errands), timeout=within_s)
        for errand in tuple(self._errands):
            errand.cancel()

    def keep(self, call: Call) -> None:
        """Keep what the next process needs to go on with *call*.

        Raises:
            NotFoundError: The desk has ended it.
        """
        state = call.signalling()
        # Most of what happens in a dialog changes nothing of it, and keeping costs.
        if call.recording_id is not None and state != call.kept:
            self._desk.note_signalling(call.device, call.recording_id, state)
            call.kept = state

    def note(self, call: Call) -> None:
        """Do the same for a call that may be ending at this moment."""
        with suppress(NotFoundError):
            self.keep(call)

    def end(
        self, call: Call, event: Event, how: HowEnded = HowEnded.BYE
    ) -> "asyncio.Task[None] | None":
        """Let *event* happen to *call*; tell whoever must hear of it.

        Returns:
            What goes on because of it, if anything.
        """
        tell = call.step(event)
        if tell is Tell.PEER:
            # Its BYE may cross ours: until ours is answered it is found.
            return self.errand(self._hang_up(call, how))
        if not call.is_due:
            self._forget(call)
        return self.errand(self._close(call, how)) if tell is Tell.DESK else None

    def errand(self, errand: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Do something that nobody waits for."""
        task = asyncio.create_task(self._guarded(errand))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)
        return task

    async def _guarded(self, errand: Coroutine[None, None, None]) -> None:
        try:
            await errand
        except Exception as error:  # noqa: BLE001 - a task ends here, and nobody awaits it
            _log.error(ERRAND_FAILED, problem=type(error).__name__)

    def _desk_ended(self, recording_id: RecordingId, how: HowEnded) -> None:
        call = self._by_recording.pop(recording_id, None)
        if call is not None:
            self.end(call, Event.DESK_ENDED, how)

    async def _hang_up(self, call: Call, how: HowEnded) -> None:
        try:
            if self._agent is not None and call.dialog is not None:
                await self._agent.send_bye(call.dialog, reason=_REASONS.get(how, ""))
        finally:
            self._forget(call)

    async def _close(self, call: Call, how: HowEnded) -> None:
        if call.recording_id is None:
            return
        try:
            await self._desk.close(call.device, call.recording_id, how=how)
        except NotFoundError:
            pass  # it is over already
        except VaultError as error:
            # The desk tries again by itself; the recording is accounted for.
            _log.warning(
                NOT_CLOSED, recording=call.recording_id, problem=type(error).__name__
            )

    def _forget(self, call: Call) -> None:
        if self._by_key.get(call.key) is call:
            del self._by_key[call.key]
        if call.recording_id is not None:
            self._by_recording.pop(call.recording_id, None)
