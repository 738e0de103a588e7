"""A whole part of a recording for an operator: audio or capture, block by block.

Guarantees:
    * One leaf, with purpose ``export``, is durable before the key is here.
    * Every object's length is proved before its first octet leaves; a chunk that
      does not verify ends the export with an error, and the trail knows.

Left to others: whether the operator may (the warden's roles; the machine's own
accounts), where the octets go (`vault.commands`), people on the web
(`vault.playback.service`).
"""

from collections.abc import Iterator
from typing import Final

from vault.audit.entry import Action, Draft, Result
from vault.catalog.values import StoredObject
from vault.core.errors import IntegrityError, NotFoundError, SealBrokenError
from vault.core.flow import Caller, MediaPart, Purpose, Reason
from vault.core.ids import RecordingId
from vault.core.ranges import ByteRange
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey
from vault.objects.source import StoreSource
from vault.playback.choice import chosen, documents, refuse_unplayable
from vault.playback.interfaces import Catalog
from vault.sealing.chunks import context
from vault.sealing.reader import SealedReader
from vault.trust.interfaces import KeyRelease, Trail

SIGNALLING: Final = "signalling"
"Kind of the objects with what the PBX sent beside the media."

_BLOCK: Final = 64 * 1024


class Export:
    """One part of one recording, opened for export.

    Iterating reads it; `size` is known, and authentic, before.
    """

    def __init__(
        self,
        recording_id: RecordingId,
        part: MediaPart,
        *,
        caller: Caller,
        catalog: Catalog,
        store: ObjectStore,
        keys: KeyRelease,
        trail: Trail,
        media_type: str | None = None,
        signalling: bool = False,
    ) -> None:
        """Write the leaf, get the key, and prove the length of every object.

        With *signalling*, of what the PBX sent beside the media instead of *part*.

        Raises:
            NotFoundError: No such recording.
            NotReadyError: It cannot be read yet, or not in this format.
            NoMediaError: There is nothing to read and never will be.
            GoneError: It has expired or was shredded.
            AuditUnavailableError: No leaf, so no key.
            IntegrityError: An object is damaged; the trail knows.
            UnavailableError: Key, store or database are down.
        """
        self._id = recording_id
        self._caller = caller
        self._store = store
        self._trail = trail
        # 1. There is something to give away; else no leaf says that it was given.
        row = catalog.row(recording_id)
        self._current = tuple(catalog.objects(recording_id).values())
        if signalling:
            self._objects = documents(row, self._current)
        else:
            refuse_unplayable(row)
            self._objects = chosen(part, self._current, media_type)
        # 2. The leaf of what leaves, the leaf of the key and the key; 3. the lengths.
        trail.append(
            Draft(
                action=Action.RECORDING_EXPORTED,
                caller=caller,
                recording=recording_id,
                detail={
                    "part": SIGNALLING if signalling else str(part),
                    "count": len(self._objects),
                    "format": self._objects[0].media_type,
                },
            )
        )
        self._key = keys.release(recording_id, caller=caller, purpose=Purpose.EXPORT)
        self._readers = [(one, self._opened(one)) for one in self._objects]

    def beside(self, kind: str) -> list[bytes]:
        """Return the plaintext of every current object of another *kind*.

        Raises:
            IntegrityError: One is damaged; the trail knows.
        """
        return [
            b"".join(reader.stream(ByteRange(start=0, stop=reader.size), _BLOCK))
            for one in self._current
            if one.kind == kind and (reader := self._opened(one)).size
        ]

    @property
    def size(self) -> int:
        """Octets of plaintext in all."""
        return sum(reader.size for _, reader in self._readers)

    def __iter__(self) -> Iterator[bytes]:
        """Yield the octets in order, 64 KiB at most at a time.

        Raises:
            IntegrityError: A chunk does not verify, after what lies before it.
        """
        for one, reader in self._readers:
            if not reader.size:
                continue
            try:
                yield from reader.stream(ByteRange(start=0, stop=reader.size), _BLOCK)
            except (IntegrityError, NotFoundError) as exc:
                raise self._damaged(one, exc) from None

    def _opened(self, one: StoredObject) -> SealedReader:
        try:
            source = StoreSource(self._store, ObjectKey.of(self._id, one.name))
            if source.size != one.size:
                raise SealBrokenError(f"{one.name} has another size than its row says")
            return SealedReader(
                source, key=self._key, context=context(self._id, one.name)
            )
        except (IntegrityError, NotFoundError) as exc:
            raise self._damaged(one, exc) from None

    def _damaged(
        self, one: StoredObject, problem: IntegrityError | NotFoundError
    ) -> IntegrityError:
        """Write the leaf and return what to raise.

        Raises:
            AuditUnavailableError: The leaf is not durable; say that first.
        """
        self._trail.append(
            Draft(
                action=Action.RECORDING_DAMAGED,
                caller=self._caller,
                result=Result.FAILED,
                recording=self._id,
                reason=str(Reason.STORE_DAMAGED),
                detail={"object": one.name, "sha256": one.sha256},
            )
        )
        if isinstance(problem, IntegrityError):
            return problem
        return SealBrokenError(f"{one.name} is missing")
