"""Brings finished recordings from the spool to the store, however long it takes.

For each recording, in this order, every step idempotent:

    1. sealed objects → media store
    2. envelope copy → envelopes store
    3. manifest → media store: from here on the recording is complete there
    4. catalog row, ``captured``
    5. leaf ``recording.captured`` on the trail
    6. one more look at the store, a note in the ledger, and only then is the spool
       freed

The oldest recording goes first, a few at a time.

Guarantees:
    * The spool's copy goes only after steps 1 to 5 have returned as durable and the
      store still holds what it took; each object and the envelope were read back.
    * A store, database or warden that is down delays and loses nothing; one
      recording that cannot be shipped does not hold up the others.
    * Between tries it waits at random, longer each time, up to a limit.
    * A crash at any step, and another while it is repeated, ends in exactly
      one committed manifest.

Left to others: what is in a manifest (`vault.sealing.manifest`).
"""

import hashlib
import io
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

import structlog

from vault.audit.entry import Action, Draft
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    IntegrityError,
    NotFoundError,
    StoreUnavailableError,
)
from vault.core.flow import Actor, ActorKind, Caller, HowEnded, Reason, StreamStatus
from vault.core.ids import RecordingId
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey
from vault.sealing.manifest import Manifest, StreamCount, verify_manifest
from vault.spool.backlog import Backlog
from vault.spool.backoff import Backoff
from vault.spool.body import StoppableBody
from vault.spool.files import ENVELOPE, MANIFEST, SessionFolder
from vault.spool.interfaces import CatalogIntake, ShippedObject, ShippedRecording
from vault.spool.ledger import EndedNote, EndedNotes
from vault.spool.outbox import Outbox
from vault.spool.progress import Progress
from vault.spool.spool import Spool

SHIPPED: Final = "shipper.recording.shipped"
DELAYED: Final = "shipper.recording.delayed"
MENDED: Final = "shipper.object.mended"
DAMAGED: Final = "shipper.recording.damaged"
_LEAF_WAIT_S: Final = 2.0
_NO_NEWS_S: Final = 10.0
_TAP: Final = Actor(kind=ActorKind.PROCESS, id="tap")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destinations:
    """Where a recording goes."""

    media: ObjectStore
    envelopes: ObjectStore
    catalog: CatalogIntake


@dataclass(frozen=True, slots=True, kw_only=True)
class _Committed:
    """A recording past step 4."""

    leaf: int
    "Its number in the outbox."
    note: EndedNote
    objects: tuple[ShippedObject, ...]


class Shipper:
    """A thread that ships what has a manifest, and the few that it works with."""

    def __init__(
        self,
        spool: Spool,
        to: Destinations,
        *,
        outbox: Outbox,
        notes: EndedNotes,
        taps: Mapping[str, bytes],
        first_retry_s: float = 1.0,
        longest_retry_s: float = 60.0,
        parallel: int = 3,
    ) -> None:
        """Prepare to ship.

        Args:
            spool: Where from; it must be open.
            to: Where to.
            outbox: For the leaf of step 5.
            notes: For the note of step 6.
            taps: Tap name → raw Ed25519 key, of whose manifests may lie here.
            first_retry_s: Wait after the first failure, in seconds.
            longest_retry_s: Wait at most between tries, in seconds.
            parallel: Recordings on their way at once.
        """
        self._spool = spool
        self._backlog = Backlog(spool)
        self._to = to
        self._outbox = outbox
        self._notes = notes
        self._taps = taps
        self._pace: Callable[[], Backoff] = lambda: Backoff(
            first_s=first_retry_s, longest_s=longest_retry_s
        )
        self._waits: dict[RecordingId, tuple[Backoff, float]] = {}
        self._committed: dict[RecordingId, _Committed] = {}
        self._progress = Progress(spool.config.directory)
        self._parallel = parallel
        self._busy: set[RecordingId] = set()
        self._news = threading.Condition()
        self._asked = False
        self._stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to ship, what was left by an earlier process first."""
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="shipper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End before the next block is sent; what is left stays in the spool."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def notify(self) -> None:
        """Say that another manifest was written."""
        with self._news:
            self._asked = True
            self._news.notify_all()

    def waiting(self) -> list[RecordingId]:
        """Return what has a manifest and was not freed yet, oldest first."""
        return self._backlog.waiting()

    def ship(self, recording_id: RecordingId) -> None:
        """Take one recording through all six steps.

        Raises:
            UnavailableError: Something is down; everything here is kept.
            IntegrityError: The spool's copy is not what the tap signed.
        """
        folder = self._spool.folder(recording_id)
        if recording_id not in self._committed:
            self._progress.begin(recording_id)
            self._committed[recording_id] = self._commit(folder)
        committed = self._committed[recording_id]
        # 5. Only the warden's acknowledgement counts, not that it was asked.
        if not self._outbox.wait(committed.leaf, timeout_s=_LEAF_WAIT_S):
            raise AuditUnavailableError("the leaf is not on the trail yet")
        # 6. A store may have said yes, shown it once, and lost it since; else
        #    nothing is left that only the spool knows.
        self._look_again(folder, committed)
        self._notes.write(recording_id, committed.note)
        folder.remove()
        del self._committed[recording_id]
        self._progress.done(recording_id)
        _log.info(SHIPPED, recording=recording_id)

    def _commit(self, folder: SessionFolder) -> _Committed:
        """Take steps 1 to 4 and queue the leaf."""
        document = folder.read(MANIFEST)
        manifest = verify_manifest(document, self._taps)
        envelope = folder.read(ENVELOPE)
        order = folder.order()
        # 1. and 2.  What is sealed, and what opens it, apart from each other.
        signed = {each.name: each.sha256 for each in manifest.objects}
        objects = [self._put(folder, name, sha) for name, sha in signed.items()]
        key = ObjectKey.of(folder.recording_id, ENVELOPE)
        self._to.envelopes.replace(key, envelope)
        self._compare_envelope(folder.recording_id, envelope)
        # 3. The commit point.
        sha256 = hashlib.sha256(document).digest()
        objects.append(self._put(folder, MANIFEST, sha256))
        # 4. The row.  It is opened here, too: the database may have been down
        #    for the whole call.
        shipped = _shipped(manifest, tuple(objects), sha256)
        self._to.catalog.opened(order, envelope)
        self._to.catalog.captured(shipped)
        reason = ending_reason(manifest.how, shipped.streams)
        note = EndedNote(device_id=order.device_id, how=manifest.how, reason=reason)
        leaf = self._outbox.post(_leaf(shipped, reason))
        return _Committed(leaf=leaf, note=note, objects=tuple(objects))

    def _put(self, folder: SessionFolder, name: str, sha256: bytes) -> ShippedObject:
        with folder.open(name) as body:
            # A manifest is never committed to octets that it was not signed over.
            if hashlib.file_digest(body, "sha256").digest() != sha256:
                raise IntegrityError(f"{name} changed in the spool")
            size = body.seek(0, io.SEEK_END)
            body.seek(0)
            key = ObjectKey.of(folder.recording_id, name)
            watched = cast(
                "BinaryIO",
                io.BufferedReader(StoppableBody(body, lambda: self._stopping)),
            )
            try:
                self._to.media.put_once(key, watched, size=size, sha256=sha256)
            except ConflictError:
                # The store has altered what it took, or lost the end of it.
                self._refuse_another(folder)
                _log.error(MENDED, recording=folder.recording_id, object=name)
                watched.seek(0)
                self._to.media.put_once(
                    key, watched, size=size, sha256=sha256, mend=True
                )
        self._progress.stored(folder.recording_id, size)
        return ShippedObject(name=name, size=size, sha256=sha256)

    def _refuse_another(self, folder: SessionFolder) -> None:
        """Refuse to touch a recording that is committed there as another one.

        Raises:
            ConflictError: Its manifest there is signed, and not the spool's.
        """
        key = ObjectKey.of(folder.recording_id, MANIFEST)
        try:
            there = self._to.media.read(key)
            if there != folder.read(MANIFEST):
                verify_manifest(there, self._taps)
                raise ConflictError("another manifest is committed")
        except (NotFoundError, IntegrityError):
            return  # nothing is committed: what is there is an upload that went wrong

    def _look_again(self, folder: SessionFolder, committed: _Committed) -> None:
        try:
            for one in committed.objects:
                self._compare_size(folder.recording_id, one)
            self._compare_envelope(folder.recording_id, folder.read(ENVELOPE))
        except (NotFoundError, StoreUnavailableError) as exc:
            # All of it again, from the first step; what is there is only compared.
            del self._committed[folder.recording_id]
            raise StoreUnavailableError(f"stored and lost: {exc}") from None

    def _compare_size(self, recording_id: RecordingId, one: ShippedObject) -> None:
        key = ObjectKey.of(recording_id, one.name)
        if self._to.media.stat(key).size != one.size:
            raise StoreUnavailableError(f"{one.name} has another size now")

    def _compare_envelope(self, recording_id: RecordingId, envelope: bytes) -> None:
        key = ObjectKey.of(recording_id, ENVELOPE)
        if self._to.envelopes.read(key) != envelope:
            raise StoreUnavailableError("the envelope reads back differently")

    def _run(self) -> None:
        with ThreadPoolExecutor(self._parallel, thread_name_prefix="ship") as pool:
            while not self._stopping:
                with self._news:
                    self._asked = False
                due_s = min(self._round(pool), self._progress.write())
                with self._news:
                    self._news.wait_for(lambda: self._asked or self._stopping, due_s)
        self._progress.write(now=True)

    def _round(self, pool: ThreadPoolExecutor) -> float:
        """Begin with those that are due; return the seconds until the next one is."""
        looked = len(self._busy) < self._parallel and self._backlog.look()
        while not self._stopping and len(self._busy) < self._parallel:
            recording_id = self._backlog.take()
            if recording_id is None:
                break
            if recording_id not in self._busy and self._wait_s(recording_id) <= 0:
                self._busy.add(recording_id)
                pool.submit(self._attempt, recording_id)
        else:
            return _NO_NEWS_S  # whoever ends asks for another round
        if not looked:
            return self._backlog.look_in_s
        # One that cannot even be listed is looked for again, without hurry.
        waits = (self._wait_s(one) for one in list(self._waits))
        due_s = min((wait_s for wait_s in waits if wait_s > 0), default=_NO_NEWS_S)
        return max(due_s, self._backlog.look_in_s)

    def _wait_s(self, recording_id: RecordingId) -> float:
        if recording_id not in self._waits:
            return 0.0
        return self._waits[recording_id][1] - time.monotonic()

    def _attempt(self, recording_id: RecordingId) -> None:
        folder = self._spool.folder(recording_id)
        pace, _ = self._waits.get(recording_id, (self._pace(), 0.0))
        try:
            # It may have been freed between the look at what waits and now.
            if folder.has(MANIFEST):
                self.ship(recording_id)
        except Exception as exc:  # noqa: BLE001 - a bug in one recording's way must not stop the way of all others
            wait_s = pace.next_s()
            self._waits[recording_id] = (pace, time.monotonic() + wait_s)
            event = DAMAGED if isinstance(exc, IntegrityError) else DELAYED
            problem = f"{type(exc).__name__}: {exc}"
            _log.warning(event, recording=recording_id, problem=problem)
            if not self._stopping:
                folder.tell_trouble(problem)
            self._progress.delayed(recording_id, wait_s)
        else:
            self._waits.pop(recording_id, None)
        self._busy.discard(recording_id)
        self.notify()


def stream_status(count: StreamCount) -> StreamStatus:
    """Return the counters of one stream of a manifest as its row keeps them."""
    codecs = [each.encoding for each in count.payloads.values()]
    spans = [each.last - each.first + 1 - each.packets for each in count.ssrcs]
    return StreamStatus(
        label=count.label,
        codec=codecs[0] if codecs else "unknown",
        suite=count.suite,
        media=count.media,
        packets_received=count.received,
        packets_authentic=count.authentic,
        packets_lost=sum(max(0, lost) for lost in spans),
        packets_undecryptable=count.undecryptable_kept,
        packets_rejected=count.rejected,
        rtcp_packets=count.rtcp,
    )


def ending_reason(how: HowEnded, streams: tuple[StreamStatus, ...]) -> str:
    """Return why a recording is not simply complete; empty if it is.

    A call that was cut before its counters were written says ``cut``, even if
    nothing had arrived: nobody knows.
    """
    if streams and not any(stream.packets_received for stream in streams):
        return Reason.NO_MEDIA.value
    if streams and not any(stream.packets_authentic for stream in streams):
        return Reason.SRTP_UNAUTHENTICATED.value
    reasons = {HowEnded.CUT: Reason.CUT, HowEnded.TIMEOUT: Reason.TIMEOUT}
    return reasons[how].value if how in reasons else ""


def _shipped(
    manifest: Manifest, objects: tuple[ShippedObject, ...], sha256: bytes
) -> ShippedRecording:
    return ShippedRecording(
        recording_id=manifest.recording_id,
        objects=objects,
        capture_bytes=sum(
            each.size for each in objects if each.name.startswith("capture/")
        ),
        manifest_sha256=sha256,
        how=manifest.how,
        streams=tuple(stream_status(count) for count in manifest.streams),
    )


def _leaf(shipped: ShippedRecording, reason: str) -> Draft:
    return Draft(
        action=Action.RECORDING_CAPTURED,
        caller=Caller(actor=_TAP),
        recording=shipped.recording_id,
        reason=reason,
        detail={
            "bytes": shipped.capture_bytes,
            "count": len(shipped.objects),
            "how": shipped.how.value,
            "manifest_sha256": shipped.manifest_sha256.hex(),
        },
    )
