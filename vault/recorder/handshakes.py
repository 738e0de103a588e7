"""Handshakes of running calls: from an answered offer to keys at the media tap.

    open        ─► `expect`: what our answer says      (association, credentials)
                ─► `begin`: a task per stream that waits for its peer
    renew       ─► `renew`: both, for what a new offer has changed
    keys        ─► media tap takes the stream           (`MediaTap.add_streams`)
    end         ─► `stop`: tasks end, ports go back

Guarantees:
    * An answer never waits for a handshake, and a call never ends by one: a stream
      whose handshake fails stays without media, and its state says why.
    * A stream that has keys keeps them until a new association has some.
    * After `stop` nothing reads the ports, and those that no worker had are free.

Left to others: handshakes themselves (`vault.tap.association`), answers
(`vault.sip.dtls`).

Spec: RFC 5763, RFC 8842; ADR 0010.
"""

import asyncio
import contextlib
from typing import Final

import structlog

from vault.core.errors import NotFoundError, VaultError
from vault.core.ids import RecordingId
from vault.recorder.config import RecorderConfig
from vault.recorder.facts import seal_metadata
from vault.recorder.keying import Agreement, Keying
from vault.recorder.resume import keep
from vault.recorder.session import Session, Stream
from vault.sip.dtls import Fingerprint
from vault.sip.sdes import Crypto
from vault.tap.association import Association, Expectation
from vault.tap.dtls import ExpectedPeer, Failure, Identity, Keys
from vault.tap.interfaces import MediaTap
from vault.tap.orders import StreamChange

KEYED: Final = "recorder.stream.keyed"
UNKEYED: Final = "recorder.stream.unkeyed"
_log = structlog.get_logger()
_Name = tuple[RecordingId, int]


class Handshakes:
    """The handshakes of one tap; lives on the desk's event loop."""

    def __init__(self, media: MediaTap, config: RecorderConfig) -> None:
        self._media = media
        self._within_s = config.handshake_s
        self._identity = Identity.fresh()
        self._waits: dict[_Name, Association] = {}
        self._tasks: dict[_Name, asyncio.Task[None]] = {}

    def expect(self, session: Session) -> None:
        """Settle what the answer of *session* says for streams keyed by DTLS."""
        ours = Fingerprint(algorithm="sha-256", digest=self._identity.sha256)
        for stream in session.streams.values():
            offer = stream.offered.dtls
            if offer is None:
                continue
            agreed = stream.dtls
            if agreed is not None and offer.is_same_association(agreed.offer):
                # One that was interrupted cannot go on: our certificate is another.
                mine = agreed.ours.fingerprint == ours
                if mine or agreed.state is Keying.DONE:
                    agreed.take(offer)
                    continue
            stream.dtls = Agreement.begin(offer, ours, before=agreed)

    async def renew(self, session: Session) -> None:
        """Do what the offer that stands has changed; the caller holds the lock.

        Spec: RFC 8842, section 5.4 (associations); RFC 8839, section 4.4 (ICE).
        """
        before = {
            index: (stream.dtls, stream.dtls and stream.dtls.ice)
            for index, stream in session.streams.items()
        }
        self.expect(session)
        for index, stream in session.streams.items():
            agreed, ice = before[index]
            if stream.dtls is not agreed:
                task = self._forget((session.recording_id, index))
                if task is not None:
                    await asyncio.gather(task, return_exceptions=True)
            if stream.dtls is not None and stream.dtls.ice not in (None, ice):
                await self._restart_ice(session, stream, stream.dtls)
        self.begin(session)

    def begin(self, session: Session) -> None:
        """Wait for the peer of every association without keys; again is no error."""
        for index, stream in session.streams.items():
            name, agreed = (session.recording_id, index), stream.dtls
            if agreed is None or agreed.state is Keying.DONE or name in self._tasks:
                continue
            agreed.state = Keying.PENDING
            wait = Association(
                self._media.media_socket(stream.ports),
                self._expectation(stream, agreed),
                # A stream that runs has a media worker for a reader.
                reads=stream.crypto is None,
            )
            self._waits[name] = wait
            task = asyncio.create_task(
                self._run(session, stream, agreed, wait), name=f"handshake {name}"
            )
            self._tasks[name] = task

    async def stop(self, session: Session) -> None:
        """End what is left of *session*; its media tap has closed or will."""
        mine = [name for name in self._tasks if name[0] == session.recording_id]
        tasks = [self._forget(name) for name in mine]
        await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)
        unkeyed = [s.ports for s in session.streams.values() if s.crypto is None]
        self._media.release(unkeyed)

    def _forget(self, name: _Name) -> "asyncio.Task[None] | None":
        """End a wait at once; its task has nothing more to do."""
        wait, task = self._waits.pop(name, None), self._tasks.pop(name, None)
        if wait is not None:
            wait.close()
        if task is not None:
            task.cancel()
        return task

    async def _restart_ice(
        self, session: Session, stream: Stream, agreed: Agreement
    ) -> None:
        """Have checks answered under the credentials that our answer names."""
        ice, index = agreed.ice, stream.offered.index
        assert ice is not None
        if stream.crypto is not None:
            change = StreamChange(index=index, ice=ice)
            await self._media.change_stream(session.recording_id, change)
        elif (wait := self._waits.get((session.recording_id, index))) is not None:
            wait.renew(ice)

    def _expectation(self, stream: Stream, agreed: Agreement) -> Expectation:
        fingerprints = agreed.offer.fingerprints
        remote = stream.offered.remote
        return Expectation(
            identity=self._identity,
            peer=ExpectedPeer(
                algorithm=fingerprints[0].algorithm,
                digests=tuple(one.digest for one in fingerprints),
            ),
            ice=agreed.ice,
            checked=agreed.offer.is_checked,
            host=remote[0] if remote else "",
            within_s=self._within_s,
        )

    async def _run(
        self, session: Session, stream: Stream, agreed: Agreement, wait: Association
    ) -> None:
        name = (session.recording_id, stream.offered.index)
        try:
            if stream.crypto is None:
                await self._first(session, stream, agreed, wait)
            else:
                await self._another(session, stream, agreed, wait)
        except Exception as exc:  # noqa: BLE001 - a task ends here; the call goes on without this stream
            agreed.state = Keying.NO_HANDSHAKE
            problem = type(exc).__name__
            _log.error(UNKEYED, recording=name[0], stream=name[1], problem=problem)
        finally:
            if self._tasks.get(name) is asyncio.current_task():
                del self._tasks[name], self._waits[name]

    async def _first(
        self, session: Session, stream: Stream, agreed: Agreement, wait: Association
    ) -> None:
        """Make a handshake on a socket of ours, which then goes to a worker."""
        outcome = await wait.keys()
        if isinstance(outcome, Keys):
            await wait.settle()
            await self._use(session, stream, agreed, outcome)
        else:
            self._give_up(session, stream, agreed, outcome)

    async def _another(
        self, session: Session, stream: Stream, agreed: Agreement, wait: Association
    ) -> None:
        """Make a further one, beside media under the keys that there are."""
        name = (session.recording_id, stream.offered.index)
        await self._media.relay(*name, wait.hear)
        try:
            outcome = await wait.keys()
            if isinstance(outcome, Keys):
                # At once: the peer may send under them with its next packet.
                await self._use(session, stream, agreed, outcome)
                await wait.settle()
            else:
                self._give_up(session, stream, agreed, outcome)
        finally:
            with contextlib.suppress(NotFoundError):
                await self._media.relay(*name, None)

    async def _use(
        self, session: Session, stream: Stream, agreed: Agreement, keys: Keys
    ) -> None:
        """Give the media tap the peer's keys: with the stream, or for it."""
        async with session.lock:
            if session.report is not None or stream.dtls is not agreed:
                return
            before = agreed.crypto
            agreed.crypto = Crypto(tag=0, suite=keys.suite, key=keys.key)
            try:
                await self._tell(session.recording_id, stream, keys, before)
            except NotFoundError:
                # The call ends at this moment; its ports go back with `stop`.
                agreed.crypto = before
                return
            agreed.state = Keying.DONE
            keep(self._media, session)
            with contextlib.suppress(VaultError):
                # The suite is in the capture, too: metadata can wait for its end.
                await asyncio.to_thread(seal_metadata, session)
        _log.info(
            KEYED,
            recording=session.recording_id,
            stream=stream.offered.index,
            suite=keys.suite.value,
        )

    async def _tell(
        self,
        recording_id: RecordingId,
        stream: Stream,
        keys: Keys,
        before: Crypto | None,
    ) -> None:
        if before is not None:
            index = stream.offered.index
            change = StreamChange(index=index, suite=keys.suite, key=keys.key, mkis=())
            await self._media.change_stream(recording_id, change)
        elif (order := stream.order()) is not None:
            await self._media.add_streams(recording_id, (order,))

    @staticmethod
    def _give_up(
        session: Session, stream: Stream, agreed: Agreement, failure: Failure
    ) -> None:
        agreed.state = Keying(failure.value)
        _log.warning(
            UNKEYED,
            recording=session.recording_id,
            stream=stream.offered.index,
            problem=failure.value,
        )
