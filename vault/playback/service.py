"""From a grant to octets: the only way to plaintext media in the web process.

    1. the grant has not ended, the recording can be played
    2. the catalog says which revision counts
    3. the warden: a leaf, durable, and then the data key
    4. the object has the size of its row, and its last chunk verifies
    5. octets, chunk by chunk, each verified before it leaves

Guarantees:
    * No log, no play: without step 3 there is no key and no octet.
    * A key is held for five minutes at most, then asked for again, with a leaf.
    * An octet of a chunk that does not verify never leaves; the first one to fail
      for an object writes a leaf.
    * What was superseded is not opened: names come from the catalog alone, and a
      name is sealed once, under a context of its own.

Left to others: who may have a grant (`vault.access`), asking again whether the
session still stands while octets flow (`vault.web`), HTTP ranges (`vault.web`).
The digest in the row is not recomputed here, since that would mean reading all of
an object for one second of it: seal, name and size already pin the content, and
the worker compared the digest when it stored it.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Final

import structlog

from vault.audit.entry import Action, Draft, Result
from vault.catalog.values import StoredObject
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import (
    AuditUnavailableError,
    GoneError,
    IntegrityError,
    NotFoundError,
    SealBrokenError,
    VaultError,
)
from vault.core.flow import Grant, MediaPart, Purpose, Reason
from vault.core.ids import GrantId, RecordingId
from vault.core.ranges import ByteRange
from vault.core.secrets import SecretBytes
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey
from vault.objects.source import StoreSource
from vault.playback.choice import chosen, media_type_of, refuse_unplayable
from vault.playback.interfaces import Catalog
from vault.playback.lease import Lease
from vault.playback.ledger import PlayLedger
from vault.playback.timing import Timing
from vault.sealing.chunks import context
from vault.sealing.reader import SealedReader
from vault.trust.interfaces import KeyRelease, Trail

LEASE_S: Final = 290
"Longest a data key is used for one grant; swept before five minutes are over."

IDLE_S: Final = 60
"Pause after which a listening session is summed up on the trail."

SWEEP_EVERY_S: Final = 5.0
"How often lapsed keys are looked for: a key may outlive its lease by this."

CHECK_EVERY_NS: Final = NS_PER_S
"How often a stream asks whether it may go on; within the 2 s of the design."

_BLOCK: Final = 64 * 1024
DAMAGE_UNWRITTEN: Final = "playback.damage.unwritten"
SWEEP_FAILED: Final = "playback.sweep.failed"
LISTENING_UNWRITTEN: Final = "playback.listening.unwritten"
_log = structlog.get_logger()

StillAllowed = Callable[[], None]
"Raises the `VaultError` that ends a stream."


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenMedia:
    """One part of one recording, ready to be read under one grant."""

    size: int
    "Octets of plaintext; authentic."
    media_type: str
    etag: str
    "Strong validator, quoted: it changes with every revision."
    _objects: tuple[StoredObject, ...]
    _ends: tuple[int, ...]
    _grant: Grant
    _playback: "Playback"

    def stream(
        self,
        span: ByteRange,
        *,
        still_allowed: StillAllowed | None = None,
        allowed_ns: int | None = None,
    ) -> Iterator[bytes]:
        """Return the octets of *span*, in blocks of 64 KiB at most.

        The first block is opened here and not when it is asked for: what is
        damaged or refused there can still be said in a status line.

        Args:
            span: Which octets; what lies beyond the end is left out.
            still_allowed: Asked before the first block and every second.
            allowed_ns: When all that it asks was answered last, by this service's
                clock: for a second, the first block need not ask again.

        Raises:
            IntegrityError: The first chunk asked for does not verify.
            VaultError: Whatever *still_allowed* says, now or while iterating.
        """
        blocks = self._blocks(span, still_allowed, allowed_ns)
        first = next(blocks, b"")
        return chain((first,), blocks) if first else iter(())

    def _blocks(
        self,
        span: ByteRange,
        still_allowed: StillAllowed | None,
        checked_ns: int | None,
    ) -> Iterator[bytes]:
        at, stop = span.start, min(span.stop, self.size)
        while at < stop:
            now_ns = self._playback.now_ns()
            # A clock that was set back makes no answer last longer.
            if checked_ns is None or not 0 <= now_ns - checked_ns < CHECK_EVERY_NS:
                if still_allowed is not None:
                    still_allowed()
                checked_ns = now_ns
            until = min(stop, (at // _BLOCK + 1) * _BLOCK)
            block = self._read(at, until)
            self._playback.note(
                self._grant, self._objects, ByteRange(start=at, stop=at + len(block))
            )
            yield block
            at += len(block)

    def _read(self, start: int, stop: int) -> bytes:
        """Read from one object; a span that crosses an edge ends there."""
        number = next(k for k, end in enumerate(self._ends) if start < end)
        base = self._ends[number - 1] if number else 0
        block = self._playback.read(
            self._grant, self._objects[number], start - base, stop - base
        )
        if not block:
            raise SealBrokenError("the object holds less than it did")
        return block


class Playback:
    """Opens media for grants; safe to share between threads."""

    def __init__(
        self,
        *,
        recordings: Catalog,
        store: ObjectStore,
        keys: KeyRelease,
        trail: Trail,
        clock: Clock = system_clock_ns,
    ) -> None:
        self._recordings = recordings
        self._store = store
        self._keys = keys
        self._trail = trail
        self._clock = clock
        self._lock = threading.Lock()
        self._leases: dict[GrantId, Lease] = {}
        self._told: set[tuple[RecordingId, str]] = set()
        self._ledger = PlayLedger()
        self._timer: threading.Timer | None = None

    def open(self, grant: Grant, *, media_type: str | None = None) -> OpenMedia:
        """Open what *grant* is for.

        Args:
            grant: Proof that the policy was asked.
            media_type: A format of the audio other than the one made at hang-up.

        Raises:
            NotFoundError: The grant has ended, or the recording is gone.
            NotReadyError: It cannot be played yet, or not in this format.
            NoMediaError: There is nothing to play and never will be.
            GoneError: It has expired or was shredded.
            AuditUnavailableError: No leaf, so no key.
            IntegrityError: The object is damaged; the trail knows.
            UnavailableError: Key, store or database are down.
        """
        self.sweep()
        # 1. The grant, and the state of what it is for.
        if grant.expires_ns <= self._clock():
            raise NotFoundError("the grant has ended")
        refuse_unplayable(self._recordings.row(grant.recording_id))
        # 2. The revision that counts.
        current = self._recordings.objects(grant.recording_id)
        objects = chosen(grant.part, tuple(current.values()), media_type)
        # 3. The leaf and the key; 4. the length.
        sizes = [self._reader(grant, each).size for each in objects]
        digests = "".join(each.sha256[:32] for each in objects)[:64]
        return OpenMedia(
            size=sum(sizes),
            media_type=media_type_of(grant.part, objects[0]),
            etag=f'"{digests}"',
            _objects=objects,
            _ends=tuple(accumulate(sizes)),
            _grant=grant,
            _playback=self,
        )

    def read(self, grant: Grant, one: StoredObject, start: int, stop: int) -> bytes:
        """Return plaintext of one object, for `OpenMedia`."""
        reader = self._reader(grant, one)
        try:
            return reader.read(start, stop)
        except (IntegrityError, NotFoundError) as exc:
            raise self._damaged(grant, one, exc) from None

    def note(
        self, grant: Grant, objects: Sequence[StoredObject], span: ByteRange
    ) -> None:
        """Write down for the session's summary that *span* was handed out."""
        if grant.part is MediaPart.CAPTURE:
            self._ledger.note(grant, span, now_ns=self._clock())
        elif grant.part is not MediaPart.PEAKS:
            (one,) = objects
            self._ledger.note(
                grant,
                span,
                now_ns=self._clock(),
                name=one.name,
                timing=lambda: self._timing(grant, one),
            )

    def _timing(self, grant: Grant, one: StoredObject) -> Timing | None:
        """Return which moments the octets of a rendition are, if it can be read.

        A header that is damaged stops nobody from hearing what is not: whoever asks
        for it gets an error and a leaf, as for any other octet.
        """
        try:
            reader = self._reader(grant, one)
            return Timing.of(reader.read, size=reader.size, media_type=one.media_type)
        except VaultError:
            return None

    def now_ns(self) -> int:
        """Return the time by this service's clock."""
        return self._clock()

    def close(self, grant_id: GrantId) -> None:
        """Drop the key of a grant and sum up what was listened to."""
        with self._lock:
            lease = self._leases.pop(grant_id, None)
        if lease is not None:
            lease.drop()
        self._write(self._ledger.take(grant_id))

    def close_session(self, credential: str) -> None:
        """Sum up what was listened to with a session or token that has ended."""
        self._write(self._ledger.take_of(credential))

    def sweep(self) -> None:
        """Drop keys whose lease has lapsed, sum up sessions that fell silent.

        Happens by itself every few seconds while there is anything to drop.
        """
        now_ns = self._clock()
        with self._lock:
            lapsed = [k for k, each in self._leases.items() if each.until_ns <= now_ns]
            leases = [self._leases.pop(grant_id) for grant_id in lapsed]
        for lease in leases:
            lease.drop()
        self._write(self._ledger.take_idle(before_ns=now_ns - IDLE_S * NS_PER_S))

    def shutdown(self) -> None:
        """Drop every key and sum up every session."""
        with self._lock:
            leases, self._leases = list(self._leases.values()), {}
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for lease in leases:
            lease.drop()
        self._write(self._ledger.take_idle(before_ns=2**63))

    def _tick(self) -> None:
        """Sweep on a thread of its own, as long as there is something to sweep."""
        try:
            self.sweep()
        except Exception as exc:  # noqa: BLE001 - the thread's task ends here
            _log.error(SWEEP_FAILED, problem=type(exc).__name__)
        with self._lock:
            self._timer = None
            if self._leases or not self._ledger.empty:
                self._arm()

    def _arm(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(SWEEP_EVERY_S, self._tick)
            self._timer.daemon = True
            self._timer.start()

    def _write(self, drafts: list[Draft]) -> None:
        waiting = self._ledger.take_unwritten()
        drafts = waiting + drafts
        if not drafts:
            return
        try:
            self._trail.append(*drafts)
        except VaultError as exc:
            # Best effort: the leaf of the key has long been durable.
            self._ledger.keep(drafts)
            _log.warning(
                LISTENING_UNWRITTEN, count=len(drafts), problem=type(exc).__name__
            )

    def _reader(self, grant: Grant, one: StoredObject) -> SealedReader:
        with self._lock:
            now_ns = self._clock()
            lease = self._leases.get(grant.id)
            if lease is None or lease.until_ns <= now_ns:
                lease = Lease(until_ns=now_ns + LEASE_S * NS_PER_S)
                self._leases[grant.id] = lease
                self._arm()
        try:
            key = lease.key(lambda: self._release(grant))
        except BaseException:
            with self._lock:
                if self._leases.get(grant.id) is lease:
                    del self._leases[grant.id]
            raise
        try:
            return lease.reader(one.name, lambda: self._open(grant, one, key))
        except (IntegrityError, NotFoundError) as exc:
            raise self._damaged(grant, one, exc) from None

    def _release(self, grant: Grant) -> SecretBytes:
        # One call: the leaf is durable before the key exists here.  A listener
        # who hangs up at once still leaves a trace.
        purpose = Purpose.EXPORT if grant.part is MediaPart.CAPTURE else Purpose.PLAY
        try:
            return self._keys.release(
                grant.recording_id,
                caller=grant.caller,
                purpose=purpose,
                grant=grant.id,
                right=grant.right,
                reason=grant.reason,
            )
        except NotFoundError:
            raise GoneError("the recording has no key any more") from None

    def _open(self, grant: Grant, one: StoredObject, key: SecretBytes) -> SealedReader:
        source = StoreSource(self._store, ObjectKey.of(grant.recording_id, one.name))
        if source.size != one.size:
            raise SealBrokenError(f"{one.name} has another size than its row says")
        return SealedReader(
            source, key=key, context=context(grant.recording_id, one.name)
        )

    def _damaged(
        self, grant: Grant, one: StoredObject, problem: VaultError
    ) -> IntegrityError:
        """Write the leaf, once for each object, and return what to raise."""
        error = (
            problem
            if isinstance(problem, IntegrityError)
            else SealBrokenError(f"{one.name} is missing")
        )
        seen = (grant.recording_id, one.name)
        with self._lock:
            if seen in self._told:
                return error
            self._told.add(seen)
        draft = Draft(
            action=Action.RECORDING_DAMAGED,
            caller=grant.caller,
            result=Result.FAILED,
            recording=grant.recording_id,
            right=grant.right,
            reason=str(Reason.STORE_DAMAGED),
            detail={"object": one.name, "sha256": one.sha256, "grant": grant.id},
        )
        try:
            self._trail.append(draft)
        except AuditUnavailableError:
            # No octet leaves either way; the next attempt says it again.
            _log.error(DAMAGE_UNWRITTEN, recording=grant.recording_id, object=one.name)
            with self._lock:
                self._told.discard(seen)
        return error
