"""What can be read of a sealed object that has no last chunk (yet).

A part whose media worker died, and a call that is still running, end after
some whole chunk.  Those chunks verify as *not the last one*: they are a true
prefix of what was sealed, and nothing says how much followed.

Guarantees:
    * Only whole chunks that verify are ever returned, in order, from the first.
    * What it returns is a prefix and never claims to be the whole.

Left to others: saying so to people (`unfinished`, `.cut`), sealing the prefix
again as ``.recovered`` (`vault.renditions`).  Only recovery and live playback
may import this module: the ordinary reader must never accept such a file.

Spec: https://c2sp.org/chunked-encryption, implementation notes
"""

from collections.abc import Iterator

from vault.core.errors import RecordingTruncatedError, SealBrokenError
from vault.core.secrets import SecretBytes
from vault.sealing.chunks import (
    CHUNK_SIZE,
    HEADER_SIZE,
    SEALED_CHUNK_SIZE,
    whole_chunks,
)
from vault.sealing.interfaces import RangeSource
from vault.sealing.reader import ChunkOpener


class UnfinishedReader:
    """The verified prefix of a sealed object that may still be growing."""

    def __init__(
        self, source: RangeSource, *, key: SecretBytes, context: bytes
    ) -> None:
        """Check the key against the header.

        Raises:
            RecordingTruncatedError: Not even the header was written.
            SealBrokenError: Another key, or another object.
        """
        self._source = source
        header = source.read(0, HEADER_SIZE)
        self._opener = ChunkOpener(header, key=key, context=context)

    @property
    def chunks(self) -> int:
        """Whole chunks that the source holds now; it may grow."""
        return whole_chunks(self._source.size)

    def chunk(self, index: int) -> bytes:
        """Return the 16 KiB of plaintext of whole chunk *index*.

        Raises:
            RecordingTruncatedError: It is not written, or not whole, yet.
            SealBrokenError: It does not verify.
        """
        start = HEADER_SIZE + index * SEALED_CHUNK_SIZE
        sealed = self._source.read(start, start + SEALED_CHUNK_SIZE)
        if len(sealed) != SEALED_CHUNK_SIZE:
            raise RecordingTruncatedError(f"chunk {index} is not whole")
        return self._opener.open(index, sealed)

    def prefix(self, first: int = 0) -> Iterator[bytes]:
        """Yield plaintext chunk by chunk, from *first* to the last that verifies.

        Ends, and does not raise, at the first chunk that does not verify: a
        power cut leaves blocks that were allocated and never written.  The
        caller compares what came with `chunks` to tell how much that was.
        """
        index = first
        while True:
            try:
                plaintext = self.chunk(index)
            except (RecordingTruncatedError, SealBrokenError):
                return
            yield plaintext
            index += 1

    def verified_size(self) -> int:
        """Return the octets of plaintext in the verified prefix; reads it all."""
        return sum(1 for _ in self.prefix()) * CHUNK_SIZE
