"""One part of a capture, while it grows: records in, sealed chunks to a file.

Guarantees: octets reach the file only sealed; after a failed write nothing
more is written (a hole in the middle would spoil what follows), and the file
is cut back to whole chunks, which a reader can verify.

Left to others: making the file and syncing it (`vault.spool`), the container
(`vault.sealing.chunks`).
"""

import errno
import hashlib
import os

from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.sealing import chunks
from vault.tap.capture import HEADER_SIZE, padding


def object_name(part: int) -> str:
    """Return the name of part *part* (from 1), to which its chunks are bound."""
    return f"capture/{part:04d}"


class Part:
    """An open part.  `add` is cheap and keeps nothing; `seal` writes."""

    # Plain attributes: read for every call in every tick.
    __slots__ = (
        "_digest",
        "_encryptor",
        "_fd",
        "_filled",
        "buffer",
        "failure",
        "number",
        "opened_s",
        "size_bytes",
    )

    def __init__(
        self, *, recording_id: RecordingId, dek: SecretBytes, number: int, fd: int
    ) -> None:
        context = chunks.context(recording_id, object_name(number))
        self._encryptor = chunks.encryptor(dek, context)
        self._fd = fd
        self._filled = 0
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        "Octets in the file."
        self.number = number
        self.buffer = bytearray()
        self.failure = ""
        "Name of the errno that stopped this part, or empty."
        self.opened_s = 0.0
        "When the first octet of the open chunk was fed; 0 while it has none."

    @property
    def sha256(self) -> bytes:
        """Digest of what was written whole: the file, unless a write was torn."""
        return self._digest.digest()

    def seal(self, now_s: float) -> None:
        """Encrypt what was added; write the chunks that it filled."""
        if self.failure:
            self.buffer.clear()
        if not self.buffer:
            return
        if not self._filled:
            self.opened_s = now_s
        total = self._filled + len(self.buffer)
        sealed = self._encryptor.update(self.buffer)
        self.buffer.clear()
        self._filled = total % chunks.CHUNK_SIZE
        if sealed:
            self.opened_s = now_s if self._filled else 0.0
            self._write(sealed)

    def flush(self, now_s: float, now_ns: int) -> None:
        """Fill the open chunk with padding, so that it is written now."""
        if self.buffer:
            self.seal(now_s)
        if self._filled and not self.failure:
            rest = chunks.CHUNK_SIZE - self._filled
            if rest < HEADER_SIZE:
                # No record fits: this one reaches through the next chunk.
                rest += chunks.CHUNK_SIZE
            self.buffer += padding(rest, now_ns=now_ns)
            self.seal(now_s)

    def finish(self, now_s: float) -> bool:
        """Write the last chunk and close; whether the part is now final."""
        self.seal(now_s)
        if not self.failure:
            self._write(self._encryptor.finalize())
        self.abandon()
        return not self.failure

    def abandon(self) -> None:
        """Close the file without a last chunk."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _write(self, sealed: bytes) -> None:
        rest = memoryview(sealed)
        try:
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            self.failure = errno.errorcode.get(error.errno or 0, "EIO")
            self.opened_s = 0.0
            self._cut_back()
        else:
            self.size_bytes += len(sealed)
            self._digest.update(sealed)

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._fd, self.size_bytes)
        except OSError:
            # The torn chunk stays; readers of unfinished parts ignore it.
            return
