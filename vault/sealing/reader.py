"""Random access into a finished sealed object: the opening half of `chunks`.

pyca's decryptor reads from the first octet to the last; playing from the
middle needs any octet, and proof of the length before the first of them.

Guarantees:
    * The commitment is compared, in constant time, before any chunk is opened:
      one object never opens under two keys.
    * The last chunk is opened first, so the length is authentic: a shortened,
      lengthened or spliced object raises and never plays as another length.
    * No plaintext leaves before the tag of its chunk has verified.

Left to others: the key and who may have it (`vault.trust`), comparing the
whole object with its manifest (`vault.playback`).  Files without a last chunk
are refused here; see `vault.sealing.unfinished`.

Spec: https://c2sp.org/chunked-encryption
"""

import hmac
from collections.abc import Iterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from vault.core.errors import RecordingTruncatedError, SealBrokenError
from vault.core.ranges import ByteRange
from vault.core.secrets import SecretBytes
from vault.sealing.chunks import (
    CHUNK_SIZE,
    COMMITMENT_SIZE,
    HEADER_SIZE,
    SALT_SIZE,
    SEALED_CHUNK_SIZE,
    chunk_count,
    commitment_of,
    plain_size,
)
from vault.sealing.interfaces import RangeSource

__all__ = ["BLOCK_SIZE", "ChunkOpener", "RangeSource", "SealedReader", "open_sealed"]

BLOCK_SIZE: Final = 4 * CHUNK_SIZE
"Octets that `SealedReader.stream` asks its source for at a time."

_INFO: Final = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"
_KEY_SIZE: Final = 32
_NONCE_SIZE: Final = 12


class ChunkOpener:
    """Opens single chunks of one object, whose key it has checked."""

    __slots__ = ("_aead", "_base_nonce")

    def __init__(self, header: bytes, *, key: SecretBytes, context: bytes) -> None:
        """Derive the object's keys from its 56-octet *header*.

        Raises:
            RecordingTruncatedError: The header is not complete.
            SealBrokenError: Sealed with another key, or as another object.
        """
        expected = commitment_of(header)
        if len(key) != _KEY_SIZE:
            raise ValueError("a data key has 32 octets")
        info = _INFO + header[:SALT_SIZE] + context
        size = _KEY_SIZE + _NONCE_SIZE + COMMITMENT_SIZE
        derived = HKDFExpand(SHA512(), size, info).derive(key.reveal())
        if not hmac.compare_digest(derived[-COMMITMENT_SIZE:], expected):
            raise SealBrokenError("sealed with another key, or as another object")
        self._aead = AESGCM(derived[:_KEY_SIZE])
        self._base_nonce = int.from_bytes(derived[_KEY_SIZE:-COMMITMENT_SIZE])

    def open(self, index: int, sealed: bytes | memoryview) -> bytes:
        """Return the plaintext of chunk *index*.

        Raises:
            SealBrokenError: Not the octets that were sealed as that chunk.
        """
        # TLS 1.3's nonce: the counter is XORed in and never added, so that
        # each chunk's nonce stays unique whatever the random base nonce is.
        nonce = (self._base_nonce ^ index).to_bytes(_NONCE_SIZE)
        try:
            return self._aead.decrypt(nonce, sealed, None)
        except InvalidTag:
            raise SealBrokenError(f"chunk {index} does not verify") from None


class SealedReader:
    """A finished sealed object, read at any offset.

    Instances may be shared between threads as far as their source may be.
    """

    def __init__(
        self, source: RangeSource, *, key: SecretBytes, context: bytes
    ) -> None:
        """Check the key, then open the last chunk, which proves the length.

        Raises:
            RecordingTruncatedError: The end is missing.
            SealBrokenError: Another key, another object, or altered octets.
        """
        sealed = source.size
        # 1. The size is one that a finished object can have.
        self._chunks = chunk_count(sealed)
        self._size = plain_size(sealed)
        self._source = source
        # 2. The key is the one that it was sealed with (commitment).
        header = _exactly(source, 0, HEADER_SIZE)
        self._opener = ChunkOpener(header, key=key, context=context)
        # 3. The last chunk is the last one: shorter than the others, at the
        #    index that the size implies.  A file cut anywhere fails here or in
        #    1, since every other chunk is full or carries another index.
        last = self._chunks - 1
        start = HEADER_SIZE + last * SEALED_CHUNK_SIZE
        self._last = self._opener.open(last, _exactly(source, start, sealed))

    @property
    def size(self) -> int:
        """Octets of plaintext; authentic."""
        return self._size

    def read(self, start: int, stop: int) -> bytes:
        """Return the plaintext ``[start, stop)``, opening only chunks it touches.

        What lies beyond the end is left out, as in a slice.

        Raises:
            SealBrokenError: A touched chunk does not verify.  Nothing of the
                others is returned either.
            RecordingTruncatedError: The source holds less than it said.
        """
        if start < 0:
            raise ValueError("an offset is not negative")
        stop = min(stop, self._size)
        if start >= stop:
            return b""
        first, behind = start // CHUNK_SIZE, (stop - 1) // CHUNK_SIZE + 1
        pieces = self._full_chunks(first, min(behind, self._chunks - 1))
        if behind == self._chunks:
            pieces.append(self._last)
        skip = start - first * CHUNK_SIZE
        return b"".join(pieces)[skip : skip + stop - start]

    def stream(self, span: ByteRange, block: int = BLOCK_SIZE) -> Iterator[bytes]:
        """Yield the plaintext of *span* piece by piece.

        Args:
            span: Which octets of plaintext.
            block: Octets to hold at a time; a multiple of 16 KiB.

        Raises:
            SealBrokenError: At the first chunk that does not verify, after
                what lies before it was yielded.
        """
        if block <= 0 or block % CHUNK_SIZE:
            raise ValueError("a block is a multiple of 16 KiB")
        start, stop = span.start, min(span.stop, self._size)
        while start < stop:
            # Blocks end at chunk edges, so that no chunk is opened twice.
            until = min(stop, (start // block + 1) * block)
            yield self.read(start, until)
            start = until

    def _full_chunks(self, first: int, behind: int) -> list[bytes]:
        if first >= behind:
            return []
        start = HEADER_SIZE + first * SEALED_CHUNK_SIZE
        stop = HEADER_SIZE + behind * SEALED_CHUNK_SIZE
        sealed = memoryview(_exactly(self._source, start, stop))
        return [
            self._opener.open(first + i, sealed[at : at + SEALED_CHUNK_SIZE])
            for i, at in enumerate(range(0, stop - start, SEALED_CHUNK_SIZE))
        ]


def open_sealed(octets: bytes, *, key: SecretBytes, context: bytes) -> bytes:
    """Return the plaintext of one whole object that fits in memory.

    Raises:
        RecordingTruncatedError: The end is missing.
        SealBrokenError: Another key, another object, or altered octets.
    """
    reader = SealedReader(_InMemory(octets), key=key, context=context)
    return reader.read(0, reader.size)


class _InMemory:
    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    @property
    def size(self) -> int:
        return len(self._octets)

    def read(self, start: int, stop: int) -> bytes:
        return self._octets[start:stop]


def _exactly(source: RangeSource, start: int, stop: int) -> bytes:
    octets = source.read(start, stop)
    if len(octets) != stop - start:
        raise RecordingTruncatedError(f"octets {start} to {stop} are not all there")
    return octets
