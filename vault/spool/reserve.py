"""Room set aside for the worst hour: what running calls are sealed into.

Other programs fill disks, too.  So a spool holds a few files of allocated blocks,
and gives them up when a call that was answered meets a full disk: pieces for going
on, and the last one only for ending calls.

Guarantees: a piece has its blocks when it is there; pieces come back only where
more than the configured room stays free beside them.

Left to others: refusing new sessions meanwhile (`vault.spool.disk`).

Spec: posix_fallocate(3)
"""

import contextlib
import os
import stat
import threading
from pathlib import Path
from typing import Final

import structlog

from vault.spool.descriptors import CREATE, FOLDER

RELEASED: Final = "spool.reserve.released"
RESTORED: Final = "spool.reserve.restored"
PIECES: Final = 4
_NAME: Final = ".reserve-{}"
_BLOCK_BYTES: Final = 512
"Of ``st_blocks``, whatever the file system's own are."
_log = structlog.get_logger()


class Reserve:
    """The pieces of one spool."""

    def __init__(self, directory: Path, size_bytes: int) -> None:
        """Look after *size_bytes* in *directory*; 0 means that there is none."""
        self._directory = directory
        self._piece_bytes = -(-size_bytes // PIECES)
        self._lock = threading.Lock()
        self._there: set[int] = set()

    def open(self, beside_bytes: int) -> None:
        """Take the pieces that an earlier process left; make those that are missing.

        Args:
            beside_bytes: Room that has to stay free on the disk.
        """
        self._there = {number for number in range(PIECES) if self._is_there(number)}
        if not self.whole:
            self.restore(beside_bytes)

    @property
    def whole(self) -> bool:
        """Whether nothing of it is in use."""
        return not self._piece_bytes or len(self._there) == PIECES

    def release(self, *, last: bool) -> bool:
        """Free one piece; the last one only if *last*.  Return whether it was."""
        with self._lock:
            if len(self._there) <= (0 if last else 1):
                return False
            number = self._there.pop()
            with contextlib.suppress(OSError):
                (self._directory / _NAME.format(number)).unlink()
            _log.error(RELEASED, left=len(self._there), bytes=self._piece_bytes)
            return True

    def ease(self) -> None:
        """Free a piece, not the last, where less than one is free on the disk."""
        disk = os.statvfs(self._directory)
        if disk.f_bavail * disk.f_frsize < self._piece_bytes:
            self.release(last=False)

    def restore(self, beside_bytes: int) -> bool:
        """Make the missing pieces if *beside_bytes* stay free; return if all are."""
        with self._lock:
            missing = set(range(PIECES)) - self._there
            disk = os.statvfs(self._directory)
            free = disk.f_bavail * disk.f_frsize
            if free < beside_bytes + len(missing) * self._piece_bytes:
                return False
            for number in sorted(missing):
                if not self._make(number):
                    return False
        _log.info(RESTORED, bytes=self._piece_bytes * PIECES)
        return True

    def _is_there(self, number: int) -> bool:
        try:
            about = (self._directory / _NAME.format(number)).lstat()
        except OSError:
            return False
        return (
            stat.S_ISREG(about.st_mode)
            and about.st_uid == os.geteuid()
            and about.st_size == self._piece_bytes
            and about.st_blocks * _BLOCK_BYTES >= self._piece_bytes
        )

    def _make(self, number: int) -> bool:
        name = _NAME.format(number)
        at = os.open(self._directory, FOLDER)
        try:
            # Made anew each time: what lies there may be planted, or too small.
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=at)
            piece = os.open(name, CREATE, 0o600, dir_fd=at)
            try:
                os.posix_fallocate(piece, 0, self._piece_bytes)
            except OSError:
                os.unlink(name, dir_fd=at)
                raise
            finally:
                os.close(piece)
        except OSError:
            return False
        finally:
            os.close(at)
        self._there.add(number)
        return True
