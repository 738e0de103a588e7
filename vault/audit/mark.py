"""The signer's high-water mark: a memory that no restore of the database undoes.

The mark is a small file outside the database, beside the keys.  It says how far
the signer has signed.  A database that is behind it was restored, truncated or
swapped, and the signer refuses to go on: two different logs of one size would
both bear its signature.

Guarantees:
    * `write` returns when the new mark is durable; a crash leaves the old or the
      new one, never a mixture.
    * Only one process at a time holds a mark's lock.

Left to others: what a mark means for the log (`vault.audit.log`).
"""

import base64
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from vault import durable
from vault.audit.checkpoint import Checkpoint
from vault.audit.tree import EMPTY_ROOT
from vault.core import canonical
from vault.core.errors import (
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    TrailBrokenError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """The newest checkpoint that this signer has made durable."""

    size: int
    root: bytes
    note: str
    "The signed note; empty for the log that has no entry yet."

    @classmethod
    def of(cls, checkpoint: Checkpoint, note: str) -> Self:
        """Return the mark for *checkpoint*, signed as *note*."""
        return cls(size=checkpoint.size, root=checkpoint.root, note=note)

    def __bytes__(self) -> bytes:
        root = base64.b64encode(self.root).decode()
        return canonical.dumps({"note": self.note, "root": root, "size": self.size})

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read a mark.

        Raises:
            TrailBrokenError: Not a mark.
        """
        try:
            match canonical.parse(octets):
                case {"size": int(size), "root": str(root), "note": str(note)}:
                    digest = base64.b64decode(root)
                    mark = cls(size=int(size), root=digest, note=note)
                case _:
                    mark = cls(size=0, root=b"", note="")
        except (InvalidInputError, ValueError):
            raise TrailBrokenError("the high-water mark cannot be read") from None
        # Whatever was not read, or read too kindly, is not spelled the same.
        if bytes(mark) != octets:
            raise TrailBrokenError("the high-water mark cannot be read")
        return mark


NOTHING_YET: Final = Mark(size=0, root=EMPTY_ROOT, note="")
"The mark of a log whose first entry is about to be written."


def read(path: Path) -> Mark | None:
    """Return the mark at *path*; None where there is none.

    Raises:
        TrailBrokenError: The file is not a mark.
        AuditUnavailableError: The file cannot be read.
    """
    try:
        return Mark.parse(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise AuditUnavailableError(
            f"the high-water mark cannot be read ({exc.strerror})"
        ) from None


def write(path: Path, mark: Mark) -> None:
    """Replace the mark at *path* and return when that is durable.

    Raises:
        AuditUnavailableError: The disk failed; the old mark stands.
    """
    try:
        durable.replace_file(path, bytes(mark))
    except OSError as exc:
        raise AuditUnavailableError(
            f"the high-water mark cannot be written ({exc.strerror})"
        ) from None


class WriterLock:
    """The right to write one log, held by one process at a time."""

    def __init__(self, mark_path: Path) -> None:
        """Lock beside *mark_path* (``….lock``).

        Raises:
            ConflictError: Another process holds it.
            AuditUnavailableError: The folder cannot be written.
        """
        path = mark_path.with_name(mark_path.name + ".lock")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._descriptor = os.open(path, flags, durable.PRIVATE)
        except OSError as exc:
            raise AuditUnavailableError(
                f"the lock of the log cannot be opened ({exc.strerror})"
            ) from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise ConflictError("another process writes this log") from None

    def release(self) -> None:
        """Let the next writer in."""
        os.close(self._descriptor)
