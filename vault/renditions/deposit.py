"""What the worker made goes into the store: sealed, signed for, and once.

Guarantees:
    * Only sealed octets leave memory; each object has a context of its own.
    * A name is used once.  An attempt that died may have left an object that no
      row names: the next attempt takes the next revision.
    * For each object there is an addendum, signed by this worker.

Left to others: leaves and rows (`vault.renditions.worker`), which revision counts
(`vault.catalog`).

Spec: docs/reference/formats/manifest.md (addenda)
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vault.catalog.values import StoredObject
from vault.core.clock import Clock, rfc3339
from vault.core.errors import (
    ConflictError,
    SealBrokenError,
    StoreUnavailableError,
    VaultError,
)
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey
from vault.sealing.chunks import (
    HEADER_SIZE,
    chunk_count,
    commitment_of,
    context,
    seal,
)
from vault.sealing.manifest import Addendum, ManifestObject, sign_addendum
from vault.sealing.reader import open_sealed

CAPTURE_MEDIA_TYPE: Final = "application/vnd.callvault.capture"
ADDENDUM_MEDIA_TYPE: Final = "application/vnd.callvault.addendum.v1+json"

RECOVERED: Final = ".recovered"

_ATTEMPTS: Final = 5
"Times that another worker may take the revision we were about to use."


@dataclass(frozen=True, slots=True, kw_only=True)
class AddendumKey:
    """The worker's name in the roster and its signing key."""

    name: str
    private: Ed25519PrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One object that is in the store, and its addendum."""

    object: StoredObject
    addendum: StoredObject


class Deposit:
    """Puts the objects of one call into the store."""

    def __init__(
        self,
        store: ObjectStore,
        recording_id: RecordingId,
        *,
        key: SecretBytes,
        signer: AddendumKey,
        clock: Clock,
    ) -> None:
        self._store = store
        self._recording_id = recording_id
        self._key = key
        self._signer = signer
        self._clock = clock
        self.made: list[Made] = []

    def put(
        self,
        kind: str,
        plaintext: bytes,
        *,
        media_type: str,
        sources: Mapping[str, bytes],
    ) -> Made:
        """Seal *plaintext* as the next revision of *kind* and store it.

        Args:
            kind: ``rendition``, ``peaks`` or ``quality``.
            plaintext: All of it.
            media_type: Of the plaintext.
            sources: Name → SHA-256 of what it was made from, for the addendum.

        Raises:
            StoreUnavailableError: Safe to retry.
        """
        for _ in range(_ATTEMPTS):
            name = self._next(kind)
            try:
                return self.put_as(
                    name, plaintext, media_type=media_type, sources=sources
                )
            except ConflictError:
                continue
        raise StoreUnavailableError(f"no free revision of {kind}")

    def put_as(
        self,
        name: str,
        plaintext: bytes,
        *,
        media_type: str,
        sources: Mapping[str, bytes],
    ) -> Made:
        """Seal *plaintext* under *name*, which nothing may have yet.

        Raises:
            ConflictError: The name is taken.
            StoreUnavailableError: Safe to retry.
        """
        sealed = seal(
            plaintext, key=self._key, context=context(self._recording_id, name)
        )
        stored = self._store_octets(name, sealed, media_type)
        addendum = self._sign(stored, sealed[:HEADER_SIZE], sources)
        made = Made(object=stored, addendum=addendum)
        self.made.append(made)
        return made

    def put_recovered(
        self, part: str, plaintext: bytes, *, sources: Mapping[str, bytes]
    ) -> Made:
        """Seal what was rescued of a ``.cut`` *part* as ``….recovered``.

        What an attempt that died left under that name is taken over, if it opens
        under this call's key and holds the same octets.

        Raises:
            SealBrokenError: Something else lies there.
            StoreUnavailableError: Safe to retry.
        """
        name = part + RECOVERED
        try:
            return self.put_as(
                name, plaintext, media_type=CAPTURE_MEDIA_TYPE, sources=sources
            )
        except ConflictError:
            sealed = self._store.read(ObjectKey.of(self._recording_id, name))
        binding = context(self._recording_id, name)
        if open_sealed(sealed, key=self._key, context=binding) != plaintext:
            raise SealBrokenError(f"{name} holds something else")
        stored = StoredObject(
            name=name,
            size=len(sealed),
            sha256=hashlib.sha256(sealed).hexdigest(),
            media_type=CAPTURE_MEDIA_TYPE,
        )
        made = Made(
            object=stored, addendum=self._sign(stored, sealed[:HEADER_SIZE], sources)
        )
        self.made.append(made)
        return made

    def discard(self) -> None:
        """Remove what this attempt stored, as far as that can be done now.

        Only before any leaf or row names it.  What stays is never looked at.
        """
        for made in self.made:
            for one in (made.object, made.addendum):
                try:
                    self._store.delete(ObjectKey.of(self._recording_id, one.name))
                except VaultError:
                    continue
        self.made.clear()

    def _sign(
        self, stored: StoredObject, header: bytes, sources: Mapping[str, bytes]
    ) -> StoredObject:
        addendum = Addendum(
            recording_id=self._recording_id,
            worker=self._signer.name,
            made=rfc3339(self._clock()),
            object=ManifestObject(
                name=stored.name,
                size=stored.size,
                sha256=bytes.fromhex(stored.sha256),
                chunks=chunk_count(stored.size),
                commitment=commitment_of(header),
            ),
            media_type=stored.media_type,
            sources=sources,
        )
        octets = sign_addendum(addendum, self._signer.private, self._signer.name)
        for _ in range(_ATTEMPTS):
            try:
                name = self._next("addendum")
                return self._store_octets(name, octets, ADDENDUM_MEDIA_TYPE)
            except ConflictError:
                continue
        raise StoreUnavailableError("no free revision of addendum")

    def _next(self, kind: str) -> str:
        prefix = f"{self._recording_id}/{kind}/"
        taken = [str(key).removeprefix(prefix) for key in self._store.keys(prefix)]
        numbers = [int(text[:4]) for text in taken if text[:4].isdigit()]
        return f"{kind}/{max(numbers, default=0) + 1:04d}"

    def _store_octets(self, name: str, octets: bytes, media_type: str) -> StoredObject:
        digest = hashlib.sha256(octets)
        self._store.put_once(
            ObjectKey.of(self._recording_id, name),
            io.BytesIO(octets),
            size=len(octets),
            sha256=digest.digest(),
        )
        return StoredObject(
            name=name,
            size=len(octets),
            sha256=digest.hexdigest(),
            media_type=media_type,
        )
