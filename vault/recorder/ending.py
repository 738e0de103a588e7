"""The way of a session from its last packet to its manifest.

Guarantees: it may be repeated after any failure, also by another process; whoever
listens for ends hears of each once, as soon as its media is closed, whatever its
manifest still waits for.

Left to others: what is written (`vault.recorder.finish`), when to repeat
(`vault.recorder.watch`).
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from vault.core.clock import Clock
from vault.core.errors import NotFoundError
from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.recorder.finish import finish
from vault.recorder.handshakes import Handshakes
from vault.recorder.parts import Desk
from vault.recorder.past import Past
from vault.recorder.resume import keep
from vault.recorder.session import Session
from vault.recorder.standing import ended_status
from vault.spool.files import CUT
from vault.tap.orders import CallReport, PartReport

ENDED: Final = "recorder.session.ended"
UNTOLD: Final = "recorder.session.untold"
_log = structlog.get_logger()

Told = Callable[[RecordingId, HowEnded], None]


class Ending:
    """Ends sessions and takes them from the desk."""

    def __init__(
        self,
        parts: Desk,
        sessions: dict[RecordingId, Session],
        handshakes: Handshakes,
        past: Past,
        *,
        clock: Clock,
    ) -> None:
        self._parts = parts
        self._sessions = sessions
        self._handshakes = handshakes
        self._past = past
        self._clock = clock
        self._listening: list[Told] = []

    def tell(self, told: Told) -> None:
        """Call *told* on the event loop of every end from now on."""
        self._listening.append(told)

    async def end(self, session: Session, how: HowEnded) -> None:
        """End *session*, or finish an end that failed half way.

        Raises:
            UnavailableError: The manifest is not written yet; it is tried again.
        """
        async with session.lock:
            if session.recording_id not in self._sessions:
                return
            if session.report is None:
                # Kept first: whoever comes after a death in here ends it, too.
                session.ending = session.ending or how
                session.ended_ns = session.ended_ns or self._clock()
                keep(self._parts.media, session)
                await self._handshakes.stop(session)
                session.report = await self._close_media(session, session.ending)
                session.ended_ns = self._clock()
                self._say(session.recording_id, session.ending)
            manifest = await asyncio.to_thread(
                finish, session, session.report, self._parts.manifest_key
            )
            self._parts.media.forget(session.recording_id)
            del self._sessions[session.recording_id]
            self._past.remember(session.device, ended_status(manifest))
        self._parts.shipper.notify()
        _log.info(ENDED, recording=session.recording_id, how=manifest.how.value)

    def _say(self, recording_id: RecordingId, how: HowEnded) -> None:
        for told in self._listening:
            try:
                told(recording_id, how)
            except Exception as exc:  # noqa: BLE001 - whoever listens must not keep a call from its manifest
                _log.error(UNTOLD, recording=recording_id, problem=type(exc).__name__)

    async def _close_media(self, session: Session, how: HowEnded) -> CallReport:
        try:
            return await self._parts.media.close_call(session.recording_id, how)
        except NotFoundError:
            # The media tap lost the call: what it wrote is all there will be.
            return CallReport(
                recording_id=session.recording_id,
                parts=tuple(
                    PartReport(part=int(name[-4:]), final=False)
                    for name in session.folder.objects()
                    if name.startswith("capture/") and not name.endswith(CUT)
                ),
                streams=(),
                how=HowEnded.CUT,
            )
