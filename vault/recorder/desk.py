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

Left to others: packets (`vault.tap`), the way to the store (`vault.spool`).
"""

import asyncio
from collections import OrderedDict
from typing import Final

import structlog

from vault.audit.entry import Action, Detail
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import ConflictError, NotFoundError, UnavailableError, VaultError
from vault.core.flow import (
    Device,
    HowEnded,
    SessionAnswer,
    SessionChange,
    SessionOrder,
    SessionStatus,
)
from vault.core.ids import RecordingId
from vault.recorder.beginning import prepare
from vault.recorder.config import RecorderConfig
from vault.recorder.facts import replaced, seal_metadata
from vault.recorder.finish import finish
from vault.recorder.handshakes import Handshakes
from vault.recorder.leaves import changed_draft, offer_detail, started_draft
from vault.recorder.parts import Desk
from vault.recorder.preflight import Preflight
from vault.recorder.renewal import apply
from vault.recorder.resume import keep, resume, state_of
from vault.recorder.session import (
    Session,
    Stream,
    keyed_orders,
    renegotiate,
    take_over,
)
from vault.recorder.standing import (
    ended_status,
    manifest_status,
    note_status,
    running_status,
)
from vault.sip.offer import read_offer
from vault.spool.files import CUT, MANIFEST, SessionFolder
from vault.tap.capture import Event
from vault.tap.orders import (
    CallOrder,
    CallReport,
    PartReport,
    PortPair,
    StreamCounters,
)

STARTED: Final = "recorder.session.started"
ENDED: Final = "recorder.session.ended"
UNFINISHED: Final = "recorder.session.unfinished"
_log = structlog.get_logger()


class RecorderDesk:
    """Implements `vault.forks.interfaces.SessionDesk`; lives on one event loop."""

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
        self._ended: OrderedDict[RecordingId, tuple[Device, SessionStatus]]
        self._ended = OrderedDict()

    @property
    def sessions(self) -> dict[RecordingId, Session]:
        """Sessions without a manifest, for the watch and the metrics."""
        return self._sessions

    # -- what devices ask ---------------------------------------------------

    async def open(self, order: SessionOrder) -> SessionAnswer:
        """Begin to record; see `SessionDesk.open`.

        It goes on where the caller gives up: what is half made would stay.
        """
        return await asyncio.shield(asyncio.create_task(self._open(order)))

    async def _open(self, order: SessionOrder) -> SessionAnswer:
        # 1. Refuse what cannot be kept, before anything exists.
        if self._draining:
            raise UnavailableError("this recorder is going down", retry_after_s=30)
        offer = read_offer(
            order.offer, order.labels, order.device.allowances, origin=order.origin
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
            await self._parts.media.open_call(_call_order(session))
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
        keep(self._parts.media, session)
        return SessionAnswer(recording_id=session.recording_id, sdp=session.answer())

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
                read_offer(offer, labels, device.allowances, origin=session.origin),
            )
            ports = self._room_for(len(asked.added))
            added = await apply(self._parts.media, session, asked, ports)
            take_over(session, asked, added)
            await self._handshakes.renew(session)
            keep(self._parts.media, session)
            if added:
                await asyncio.to_thread(seal_metadata, session)
            await self._tell(session, Action.RECORDING_CHANGED, offer_detail(session))
            return SessionAnswer(
                recording_id=session.recording_id, sdp=session.answer()
            )

    async def change(
        self, device: Device, recording_id: RecordingId, change: SessionChange
    ) -> SessionStatus:
        """Pause, resume or replace facts; see `SessionDesk.change`."""
        session = self._session(device, recording_id)
        async with session.lock:
            _refuse_ended(session)
            if change.call is not None:
                session.facts = replaced(session.facts, change.call)
                keep(self._parts.media, session)
                if "workgroup" in change.call:
                    name = session.facts.workgroup
                    _, session.workgroup_known = self._parts.people.workgroup(name)
                await asyncio.to_thread(seal_metadata, session)
                fields = ".".join(sorted(change.call)) or "none"
                await self._tell(session, Action.RECORDING_CHANGED, {"fields": fields})
            if change.paused is not None and change.paused != session.paused:
                await self._parts.media.pause(recording_id, change.paused)
                session.paused = change.paused
                keep(self._parts.media, session)
                await self._tell(
                    session,
                    Action.RECORDING_PAUSED
                    if change.paused
                    else Action.RECORDING_RESUMED,
                    {},
                )
            return await self._running(session)

    async def status(self, device: Device, recording_id: RecordingId) -> SessionStatus:
        """Say where a session stands; see `SessionDesk.status`."""
        session = self._sessions.get(recording_id)
        if session is not None and session.report is None:
            return await self._running(self._session(device, recording_id))
        return await self._past(device, recording_id)

    async def close(self, device: Device, recording_id: RecordingId) -> None:
        """End a session; see `SessionDesk.close`."""
        if recording_id in self._sessions:
            await self.end(self._session(device, recording_id), HowEnded.BYE)
        else:
            await self._past(device, recording_id)

    async def resume(self) -> frozenset[RecordingId]:
        """Go on with the calls of an earlier process; return whose they are.

        Called once, before anything else.
        """
        for session in await resume(self._parts):
            self._sessions[session.recording_id] = session
        return frozenset(self._sessions)

    def _room_for(self, streams: int) -> list[PortPair]:
        """Return ports for *streams* further m-lines, which may be none."""
        if not streams:
            return []
        with self.preflight.counted("media"):
            self._parts.media.check(streams)
            return self._parts.media.reserve(streams)

    # -- what ends sessions otherwise ---------------------------------------

    async def end(self, session: Session, how: HowEnded) -> None:
        """End *session*, or finish an end that failed half way.

        It goes on where the caller gives up: a device that hangs up its DELETE
        has still ended its call.

        Raises:
            UnavailableError: The manifest is not written yet; it is tried again.
        """
        await asyncio.shield(asyncio.create_task(self._end(session, how)))

    async def drain(self) -> None:
        """Refuse new calls and end all running ones as ``cut``."""
        self._draining = True
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

    async def _tell(self, session: Session, action: Action, detail: Detail) -> None:
        """Queue the leaf of what the device has changed; it says who and when."""
        draft = changed_draft(session, action, detail, now_ns=self._clock())
        await asyncio.to_thread(self._parts.outbox.post, draft)

    async def _end(self, session: Session, how: HowEnded) -> None:
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
            manifest = await asyncio.to_thread(
                finish, session, session.report, self._parts.manifest_key
            )
            self._parts.media.forget(session.recording_id)
            del self._sessions[session.recording_id]
            self._remember(session.device, ended_status(manifest))
        self._parts.shipper.notify()
        _log.info(ENDED, recording=session.recording_id, how=manifest.how.value)

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

    def _remember(self, device: Device, status: SessionStatus) -> None:
        self._ended[status.recording_id] = (device, status)
        while len(self._ended) > self._config.remembered:
            self._ended.popitem(last=False)

    def _session(self, device: Device, recording_id: RecordingId) -> Session:
        session = self._sessions.get(recording_id)
        if session is not None and session.device.id == device.id:
            return session
        if session is None and self._belongs(device, recording_id):
            raise ConflictError("the session has ended")
        raise NotFoundError("no such session of this device")

    def _belongs(self, device: Device, recording_id: RecordingId) -> bool:
        known = self._ended.get(recording_id)
        return known is not None and known[0].id == device.id

    async def _running(self, session: Session) -> SessionStatus:
        try:
            counters = await self._parts.media.counters(session.recording_id)
        except (NotFoundError, UnavailableError):
            counters = ()  # between two workers, or ending at this moment
        return running_status(session, counters)

    async def _past(self, device: Device, recording_id: RecordingId) -> SessionStatus:
        """Return the final state: from memory, the spool, or the ledger's note."""
        if self._belongs(device, recording_id):
            return self._ended[recording_id][1]
        session = self._sessions.get(recording_id)
        if session is not None:
            return running_status(self._session(device, recording_id), ())
        folder = self._parts.spool.folder(recording_id)
        return await asyncio.to_thread(self._looked_up, device, folder)

    def _looked_up(self, device: Device, folder: SessionFolder) -> SessionStatus:
        try:
            if folder.has(MANIFEST) and folder.order().device_id == device.id:
                return manifest_status(folder, self._parts.manifest_key)
        except NotFoundError:
            pass  # shipped and freed while we looked
        note = self._parts.notes.read(folder.recording_id)
        if note.device_id != device.id:
            raise NotFoundError("no such session of this device")
        return note_status(folder.recording_id, note)


def _call_order(session: Session) -> CallOrder:
    return CallOrder(
        recording_id=session.recording_id,
        dek=session.dek,
        streams=keyed_orders(session.streams.values()),
        open_part=session.folder.open_part,
        state=state_of(session),
    )


def _refuse_ended(session: Session) -> None:
    if session.report is not None:
        raise ConflictError("the session has ended")
