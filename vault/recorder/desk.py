"""The desk where calls are taken on: every order that is answered is accounted for.

    order ─► offer read ─► room? keys? ports? ─► envelope durable ─► media tap ─► answer
    end   ─► media tap closes ─► metadata, hashes ─► manifest durable ─► answer

Guarantees:
    * An answer means that the wrapped data key is on disk and the ports listen.
      Neither database nor warden nor store is asked on the way.
    * What cannot be kept is refused before anything has begun.
    * A session ends by its device, by time-out or with the process, and each
      way writes a manifest.
    * A session of another device and a missing one are the same.
    * A device that asks for many calls at once holds up nobody else's.

Left to others: packets (`vault.tap`), the way to the store (`vault.spool`).
"""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from vault.audit.entry import Action
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import ConflictError, NotFoundError, UnavailableError, VaultError
from vault.core.flow import (
    Device,
    HowEnded,
    SessionAnswer,
    SessionChange,
    SessionOrder,
    SessionStatus,
    Wanted,
)
from vault.core.ids import RecordingId
from vault.recorder.beginning import prepare
from vault.recorder.changing import Changing
from vault.recorder.config import RecorderConfig
from vault.recorder.ending import Ending
from vault.recorder.handshakes import Handshakes
from vault.recorder.leaves import offer_detail, started_draft
from vault.recorder.limits import CallLimits
from vault.recorder.matching import Integrations
from vault.recorder.parts import Desk
from vault.recorder.past import Past
from vault.recorder.preflight import Preflight
from vault.recorder.renewal import apply
from vault.recorder.resume import keep, resume, state_of
from vault.recorder.session import (
    Session,
    Stream,
    call_order,
    renegotiate,
    take_over,
)
from vault.recorder.standing import running_status
from vault.recorder.turns import Turns
from vault.sip.offer import read_offer
from vault.siprec.interfaces import KeptSession
from vault.tap.capture import Event
from vault.tap.orders import PortPair, StreamCounters

STARTED: Final = "recorder.session.started"
UNFINISHED: Final = "recorder.session.unfinished"
_BEGIN_AT_ONCE: Final = 16
"Calls: enough to share a sync of the disk, few enough to be answered soon."
_log = structlog.get_logger()


class RecorderDesk:
    """Implements both rooms' desks; lives on one event loop.

    They are `vault.forks.interfaces.SessionDesk` and
    `vault.siprec.interfaces.RecordingDesk`.
    """

    def __init__(
        self, parts: Desk, config: RecorderConfig, *, clock: Clock = system_clock_ns
    ) -> None:
        self._parts = parts
        self._config = config
        self._clock = clock
        self.preflight = Preflight(
            parts, tolerance_s=config.clock_tolerance_s, clock=clock
        )
        self._draining = False
        self._handshakes = Handshakes(parts.media, config)
        self._sessions: dict[RecordingId, Session] = {}
        self._limits = CallLimits(self._sessions)
        self._turns = Turns(_BEGIN_AT_ONCE)
        self._past = Past(parts, remembered=config.remembered)
        self._changing = Changing(parts, clock=clock, pause_max_s=config.pause_max_s)
        self.integrations = Integrations(self._sessions, self._changing)
        self._ending = Ending(
            parts, self._sessions, self._handshakes, self._past, clock=clock
        )
        self._kept: frozenset[RecordingId] = frozenset()

    @property
    def sessions(self) -> dict[RecordingId, Session]:
        """Sessions without a manifest, for the watch and the metrics."""
        return self._sessions

    # -- what devices ask ---------------------------------------------------

    def check(self, device: Device) -> None:
        """Say whether another session could be taken; see `RecordingDesk.check`.

        It refuses no call and counts none as refused: only `open` does.
        """
        self._refuse_drained()
        self._limits.check(device)
        self.preflight.check_known()

    async def open(self, order: SessionOrder) -> SessionAnswer:
        """Begin to record; see `SessionDesk.open`.

        It goes on where the caller gives up: what is half made would stay.
        """
        return await asyncio.shield(asyncio.create_task(self._open(order)))

    async def _open(self, order: SessionOrder) -> SessionAnswer:
        self._refuse_drained()
        with self.preflight.counted("limit"):
            self._limits.check(order.device)
        with self._limits.beginning(order.device):
            async with self._turns.of(order.device.id):
                self._refuse_drained()
                return await self._take_on(order)

    async def _take_on(self, order: SessionOrder) -> SessionAnswer:
        # 1. Refuse what cannot be kept, before anything exists.
        offer = read_offer(
            order.offer,
            order.labels,
            order.device.allowances,
            origin=order.origin,
            media_addresses=order.device.media_addresses,
        )
        await self.preflight.check(len(offer.streams))
        with self.preflight.counted("ports"):
            ports = self._parts.media.reserve(len(offer.streams))
        # 2. The wrapped key rests on disk before a packet can arrive.
        try:
            session = await asyncio.to_thread(
                prepare,
                self._parts,
                self._config,
                order=order,
                offer=offer,
                ports=ports,
                started_ns=self._clock(),
            )
        except BaseException:
            self._parts.media.release(ports)
            raise
        self._handshakes.expect(session)
        # 3. The media tap takes over the ports, whatever it answers.
        try:
            await self._parts.media.open_call(call_order(session, state_of(session)))
        except BaseException:
            await self._handshakes.stop(session)
            await asyncio.to_thread(session.folder.remove)
            raise
        # 4. From here on the session is accounted for, also if the answer is
        #    lost: without packets it ends by its time-out.
        self._sessions[session.recording_id] = session
        self.preflight.clock_check.note_call(session.started_ns)
        self._handshakes.begin(session)
        await self._announce(session)
        if not session.signalling:
            # SIP keeps what its answer says, and all of this with it, before it
            # answers (`note_signalling`).
            keep(self._parts.media, session)
        return session.answered()

    async def renew(
        self,
        device: Device,
        recording_id: RecordingId,
        *,
        offer: str,
        labels: tuple[str, ...] = (),
    ) -> SessionAnswer:
        """Answer a new offer; see `SessionDesk.renew`.  It goes on like `open`."""
        session = self._session(device, recording_id)
        offered = offer, labels, device
        return await asyncio.shield(asyncio.create_task(self._renew(session, *offered)))

    async def _renew(
        self, session: Session, offer: str, labels: tuple[str, ...], device: Device
    ) -> SessionAnswer:
        async with session.lock:
            _refuse_ended(session)
            asked = renegotiate(
                session,
                read_offer(
                    offer,
                    labels,
                    device.allowances,
                    origin=session.origin,
                    media_addresses=device.media_addresses,
                ),
            )
            detail = offer_detail(session, asked.offer.streams)
            await self._changing.tell(session, Action.RECORDING_CHANGED, detail)
            ports = self._room_for(len(asked.added))
            added = await apply(self._parts.media, session, asked, ports)
            # From here on it is not refused: both sides would have other keys.
            take_over(session, asked, added)
            await self._handshakes.renew(session)
            keep(self._parts.media, session)
            if added:
                await self._changing.seal_soon(session)
            return session.answered()

    def current(self, device: Device, recording_id: RecordingId) -> SessionAnswer:
        """Return our SDP as it stands; see `RecordingDesk.current`."""
        return self._live(device, recording_id).answered()

    async def change(
        self, device: Device, recording_id: RecordingId, change: SessionChange
    ) -> SessionStatus:
        """Pause, resume or replace facts; see `SessionDesk.change`."""
        session = self._session(device, recording_id)
        async with session.lock:
            _refuse_ended(session)
            await self._changing.apply(session, change)
            return await self._running(session)

    async def matching(
        self, device: Device, wanted: Wanted, change: SessionChange | None
    ) -> tuple[SessionStatus, ...]:
        """Find running sessions, and change them; see `SessionDesk.matching`."""
        return await self.integrations.matching(device, wanted, change)

    async def status(self, device: Device, recording_id: RecordingId) -> SessionStatus:
        """Say where a session stands; see `SessionDesk.status`."""
        session = self._sessions.get(recording_id)
        if session is None:
            return await self._past.status(device, recording_id)
        session = self._session(device, recording_id)
        if session.report is not None:
            return running_status(session, ())
        return await self._running(session)

    async def close(
        self,
        device: Device,
        recording_id: RecordingId,
        *,
        how: HowEnded = HowEnded.BYE,
    ) -> None:
        """End a session; see `RecordingDesk.close`."""
        if recording_id in self._sessions:
            await self.end(self._session(device, recording_id), how)
        else:
            await self._past.status(device, recording_id)

    def _room_for(self, streams: int) -> list[PortPair]:
        """Return ports for *streams* further m-lines, which may be none."""
        if not streams:
            return []
        with self.preflight.counted("media"):
            self._parts.media.check(streams)
            return self._parts.media.reserve(streams)

    # -- what outlives a process ----------------------------------------------

    async def resume(self) -> frozenset[RecordingId]:
        """Go on with the calls of an earlier process; return whose they are.

        Called once, before anything else.
        """
        for session in await resume(self._parts):
            self._sessions[session.recording_id] = session
            self._changing.pauses.arm(session)
        self._kept = frozenset(self._sessions)
        return self._kept

    def note_signalling(
        self, device: Device, recording_id: RecordingId, state: bytes
    ) -> None:
        """Keep *state* beside the call; see `RecordingDesk.note_signalling`."""
        session = self._live(device, recording_id)
        session.signalling = state
        keep(self._parts.media, session)

    def kept(self) -> tuple[KeptSession, ...]:
        """Return the SIPREC sessions that go on; see `RecordingDesk.kept`."""
        going_on = (self._sessions.get(one) for one in self._kept)
        return tuple(
            KeptSession(
                recording_id=session.recording_id,
                device=session.device,
                signalling=session.signalling,
            )
            for session in going_on
            if session is not None and session.signalling and session.ending is None
        )

    def on_end(self, told: Callable[[RecordingId, HowEnded], None]) -> None:
        """Call *told* when a session has ended; see `RecordingDesk.on_end`."""
        self._ending.tell(told)

    # -- what ends sessions otherwise ---------------------------------------

    async def end(self, session: Session, how: HowEnded) -> None:
        """End *session*, or finish an end that failed half way.

        It goes on where the caller gives up: a device that hangs up its DELETE
        has still ended its call.

        Raises:
            UnavailableError: The manifest is not written yet; it is tried again.
        """
        self._changing.pauses.forget(session)
        ending = self._ending.end(session, how)
        await asyncio.shield(asyncio.create_task(ending))

    def refuse_new(self) -> None:
        """Refuse new calls from now on; those that run go on."""
        self._draining = True

    async def drain(self) -> None:
        """Refuse new calls and end all running ones as ``cut``."""
        self.refuse_new()
        ends = [self.end(one, HowEnded.CUT) for one in list(self._sessions.values())]
        for outcome in await asyncio.gather(*ends, return_exceptions=True):
            if isinstance(outcome, BaseException):
                # Recovery finds its folder at the next start.
                _log.error(UNFINISHED, problem=type(outcome).__name__)

    def counters_of(self, session: Session) -> tuple[StreamCounters, ...]:
        """Return the counters of every stream, up to a second old."""
        return self._parts.media.recent_counters(session.recording_id)

    async def note_spent(self, session: Session, stream: Stream) -> None:
        """Write down, once, that a stream outlives its key; the call goes on."""
        stream.key_spent = True
        keep(self._parts.media, session)
        spent = session.recording_id, stream.offered.index, Event.KEY_SPENT
        await self._parts.media.note(*spent)

    # -- inside ---------------------------------------------------------------

    def _refuse_drained(self) -> None:
        if self._draining:
            raise UnavailableError("this recorder is going down", retry_after_s=30)

    async def _announce(self, session: Session) -> None:
        """Queue leaf and row: both arrive when warden and database do."""
        try:
            # Folder, envelope, metadata and leaf become durable in one sync, shared
            # with every session that begins at this moment.
            draft = started_draft(session)
            durable = await asyncio.to_thread(self._parts.outbox.post_soon, draft)
            await asyncio.wrap_future(durable)
        except VaultError:
            # No room for a leaf is no room for a call.
            await self.end(session, HowEnded.CUT)
            raise
        session.announced = True
        self._parts.opener.opened(session.folder)
        _log.info(STARTED, recording=session.recording_id, streams=len(session.streams))

    def _session(self, device: Device, recording_id: RecordingId) -> Session:
        session = self._sessions.get(recording_id)
        if session is not None and session.device.id == device.id:
            return session
        if session is None and self._past.belongs(device, recording_id):
            raise ConflictError("the session has ended")
        raise NotFoundError("no such session of this device")

    def _live(self, device: Device, recording_id: RecordingId) -> Session:
        session = self._sessions.get(recording_id)
        if session is None or session.device.id != device.id or session.ending:
            raise NotFoundError("no such session of this device")
        return session

    async def _running(self, session: Session) -> SessionStatus:
        try:
            counters = await self._parts.media.counters(session.recording_id)
        except (NotFoundError, UnavailableError):
            counters = ()  # between two workers, or ending at this moment
        return running_status(session, counters)


def _refuse_ended(session: Session) -> None:
    if session.report is not None:
        raise ConflictError("the session has ended")
