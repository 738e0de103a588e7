"""The evidence of a call, believed only as far as it is proved.

Guarantees, in this order:
    1. The manifest is the one whose digest is in the row, and a tap of the roster
       signed it for this recording.
    2. Each object has the size, SHA-256, key commitment and chunk count that the
       manifest says.
    3. Each chunk that is read verifies under the call's data key and its own name.

What fails is damage (`IntegrityError`), not an outage; a store that does not answer
and a roster that does not know a tap yet are outages.

Left to others: leaf and state (`vault.renditions.worker`); the leaf that holds the
manifest's digest (`vault.warden`).

Spec: docs/reference/formats/manifest.md
"""

import hashlib
import hmac
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from vault.core.errors import (
    KeyUnavailableError,
    NotFoundError,
    RecordingTruncatedError,
    SealBrokenError,
)
from vault.core.ids import RecordingId
from vault.core.ranges import ByteRange
from vault.core.secrets import SecretBytes
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey
from vault.objects.source import StoreSource
from vault.renditions.interfaces import TapKeys
from vault.sealing.chunks import (
    HEADER_SIZE,
    chunk_count,
    commitment_of,
    context,
    whole_chunks,
)
from vault.sealing.interfaces import RangeSource
from vault.sealing.manifest import Manifest, ManifestObject, verify_manifest
from vault.sealing.members import Members
from vault.sealing.reader import SealedReader, open_sealed
from vault.sealing.unfinished import UnfinishedReader

MANIFEST: Final = "manifest"
CUT: Final = ".cut"

_IN_MEMORY_MAX: Final = 128 * 1024 * 1024
"Sealed octets of a part that are fetched once and kept while it is read."

_HASH_BLOCK: Final = 8 * 1024 * 1024
_READ_BLOCK: Final = 1024 * 1024


def read_manifest(
    store: ObjectStore,
    recording_id: RecordingId,
    *,
    sha256_hex: str | None,
    tap_keys: TapKeys,
) -> Manifest:
    """Return the signed manifest of a recording.

    Raises:
        SealBrokenError: It is missing, altered, or another recording's.
        KeyUnavailableError: It is the one in the row, and the roster here does not
            name its tap: the roster is late.  Safe to retry.
        StoreUnavailableError: Safe to retry.
    """
    # 1. Its octets are those that the shipper wrote into the row.
    try:
        octets = store.read(ObjectKey.of(recording_id, MANIFEST))
    except NotFoundError:
        raise SealBrokenError("the manifest is missing") from None
    digest = hashlib.sha256(octets).hexdigest()
    if sha256_hex is None or not hmac.compare_digest(digest, sha256_hex):
        raise SealBrokenError("the manifest is not the one that was shipped")
    # 2. A tap of the roster signed it.
    keys = tap_keys()
    if _signer(octets) not in keys:
        raise KeyUnavailableError("the roster here does not name the tap yet")
    manifest = verify_manifest(octets, keys)
    # 3. It is about this recording.
    if manifest.recording_id != recording_id:
        raise SealBrokenError("the manifest is another recording's")
    return manifest


def _signer(octets: bytes) -> str:
    signatures = Members.parse(octets, of="manifest").each("signatures")
    return signatures[0].text("keyid") if signatures else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an object in the store has to be."""

    name: str
    size: int
    sha256: bytes
    commitment: bytes | None = None
    chunks: int | None = None

    @classmethod
    def of(cls, one: ManifestObject) -> "Expected":
        """Return what a manifest or an addendum says."""
        return cls(
            name=one.name,
            size=one.size,
            sha256=one.sha256,
            commitment=one.commitment,
            chunks=one.chunks,
        )


class Evidence:
    """The sealed objects of one call, and the key to them."""

    def __init__(
        self, store: ObjectStore, recording_id: RecordingId, *, key: SecretBytes
    ) -> None:
        self._store = store
        self._recording_id = recording_id
        self._key = key

    def small(self, expected: Expected) -> bytes:
        """Return the plaintext of an object that fits in memory.

        Raises:
            IntegrityError: It is missing, or not what it has to be.
            StoreUnavailableError: Safe to retry.
        """
        source = self._checked(expected)
        octets = source.read(0, source.size)
        return open_sealed(octets, key=self._key, context=self._context(expected.name))

    def stream(self, expected: Expected) -> Iterator[bytes]:
        """Yield the plaintext of a finished part, after all of it was checked."""
        source = self._checked(expected)
        reader = SealedReader(
            source, key=self._key, context=self._context(expected.name)
        )
        yield from _blocks(reader)

    def rescue(self, expected: Expected) -> bytes:
        """Return what verifies of a ``.cut`` part.

        A tap that died after the last chunk and before the manifest could not know
        that the part is whole; whoever holds the key can tell.
        """
        source = self._checked(expected)
        name = self._context(expected.name.removesuffix(CUT))
        try:
            whole = SealedReader(source, key=self._key, context=name)
            return b"".join(_blocks(whole))
        except (SealBrokenError, RecordingTruncatedError):
            unfinished = UnfinishedReader(source, key=self._key, context=name)
            return b"".join(unfinished.prefix())

    def _context(self, name: str) -> bytes:
        return context(self._recording_id, name)

    def _checked(self, expected: Expected) -> RangeSource:
        try:
            source = StoreSource(
                self._store, ObjectKey.of(self._recording_id, expected.name)
            )
            if source.size != expected.size:
                raise SealBrokenError(f"{expected.name} has another size")
            return self._same(expected, source)
        except NotFoundError:
            raise SealBrokenError(f"{expected.name} is missing") from None

    def _same(self, expected: Expected, source: RangeSource) -> RangeSource:
        if expected.size <= _IN_MEMORY_MAX:
            source = _InMemory(source.read(0, expected.size))
        digest = hashlib.sha256()
        for at in range(0, expected.size, _HASH_BLOCK):
            digest.update(source.read(at, min(at + _HASH_BLOCK, expected.size)))
        if not hmac.compare_digest(digest.digest(), expected.sha256):
            raise SealBrokenError(f"{expected.name} is not what was signed")
        if expected.commitment is not None:
            header = source.read(0, HEADER_SIZE)
            if not hmac.compare_digest(commitment_of(header), expected.commitment):
                raise SealBrokenError(f"{expected.name} commits to another key")
        count = whole_chunks if expected.name.endswith(CUT) else chunk_count
        if expected.chunks is not None and count(expected.size) != expected.chunks:
            raise SealBrokenError(f"{expected.name} has another number of chunks")
        return source


class _InMemory:
    """Octets as a source."""

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    @property
    def size(self) -> int:
        return len(self._octets)

    def read(self, start: int, stop: int) -> bytes:
        return self._octets[start:stop]


def _blocks(reader: SealedReader) -> Iterator[bytes]:
    if reader.size:
        yield from reader.stream(ByteRange(start=0, stop=reader.size), _READ_BLOCK)
