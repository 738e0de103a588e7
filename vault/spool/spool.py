"""The spool of one tap: all session folders, under one lock.

Guarantees:
    * Two processes never share a spool; the lock ends with the process.
    * What crashes left half made is removed; what is not ours is said and left alone.
    * What cannot be kept is refused before anything exists: see `Spool.check_room`.

Left to others: what a folder holds (`vault.spool.files`), its disk
(`vault.spool.disk`), getting recordings out (`vault.spool.shipper`).

Spec: docs/reference/formats/spool.md
"""

import contextlib
import fcntl
import os
import stat
import time
from typing import Final, Self

import structlog

from vault.core.errors import (
    ConfigurationError,
    IntegrityError,
    NotFoundError,
    SpoolFullError,
)
from vault.core.ids import RecordingId, parse_recording_id
from vault.spool import descriptors
from vault.spool.config import SpoolConfig
from vault.spool.descriptors import translated, write_whole
from vault.spool.disk import SpoolDisk
from vault.spool.files import FREED, ORDER, SessionFolder
from vault.spool.order import SpoolOrder

STRANGERS: Final = "spool.strangers.ignored"
_USAGE_AGE_S: Final = 1.0
_USAGE_SHARE: Final = 0.05
"Of the time that may go into looking."
_SHOWN: Final = 5
_OWN: Final = frozenset(
    {".lock", ".outbox", ".ended", ".shipping", ".alarm", "lost+found"}
)
_log = structlog.get_logger()


class Spool:
    """All folders, under one lock."""

    def __init__(self, config: SpoolConfig) -> None:
        self.config = config
        self.disk = SpoolDisk(config)
        self._lock: int | None = None
        self._usage: tuple[float, int] = (0.0, 0)
        "When to look again, and what was found."

    def open(self) -> Self:
        """Make the folder if needed and take its lock.

        Raises:
            ConfigurationError: Another process has it, or the folder is a link,
                is somebody else's, or can be written by others.
        """
        folder = self.config.directory
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            about = folder.lstat()
            if (
                not stat.S_ISDIR(about.st_mode)
                or about.st_uid != os.geteuid()
                or about.st_mode & 0o022
            ):
                raise ConfigurationError(f"the spool {folder} is not a private folder")
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            lock = os.open(folder / ".lock", flags, 0o600)
        except OSError as exc:
            raise ConfigurationError(f"the spool {folder} cannot be used") from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise ConfigurationError(f"another tap uses the spool {folder}") from None
        self._lock = lock
        self._usage = (0.0, 0)
        with translated("the spool"):
            self._sweep()
            self.disk.open()
            self.disk.reserve.open(self.config.reserve_bytes)
        return self

    def _sweep(self) -> None:
        """Remove what crashes left; say what is not ours and leave it alone."""
        strangers = []
        for name in (".outbox", ".ended"):
            with (
                contextlib.suppress(OSError, IntegrityError),
                descriptors.folder(self.config.directory / name) as inner,
            ):
                descriptors.tidy(inner)
        with descriptors.folder(self.config.directory) as at:
            descriptors.tidy(at)
            for name in descriptors.names(at):
                if name.startswith(FREED):
                    descriptors.clear(at, name)
                elif not self._is_ours(at, name):
                    strangers.append(name)
        if strangers:
            # ascii(): whoever plants a file may name it after a line of our log.
            shown = [ascii(name[:80]) for name in sorted(strangers)[:_SHOWN]]
            _log.error(STRANGERS, count=len(strangers), some=shown)

    def _is_ours(self, at: int, name: str) -> bool:
        if name in _OWN:
            return True
        if name.startswith(".reserve-"):
            return descriptors.is_file(at, name)
        try:
            parse_recording_id(name)
            with descriptors.folder(self.config.directory / name) as inner:
                descriptors.tidy(inner)
        except (OSError, NotFoundError, IntegrityError):
            return False
        return True

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            self.disk.close()
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def create(self, order: SpoolOrder) -> SessionFolder:
        """Make the folder of a new recording and write its order.

        It is durable when the disk is settled next (`SpoolDisk.settled`), which
        MUST be before the session is answered.

        Raises:
            SpoolFullError: No room.
            UnavailableError: The disk failed.
        """
        if self._lock is None:
            raise RuntimeError("the spool is not open")
        made = self.folder(order.recording_id)
        with (
            translated(str(order.recording_id)),
            descriptors.folder(self.config.directory) as at,
        ):
            os.mkdir(order.recording_id, mode=0o700, dir_fd=at)
            try:
                # Not into the reserve: this call was not answered yet.
                with descriptors.folder(made.path) as inner:
                    write_whole(inner, ORDER, bytes(order), replace=False, sync=False)
            except OSError:
                descriptors.clear(at, order.recording_id)
                raise
        return made

    def folder(self, recording_id: RecordingId) -> SessionFolder:
        """Return the folder of a recording, whether it exists or not."""
        path = self.config.directory / recording_id
        return SessionFolder(path, recording_id, self.disk)

    def recordings(self) -> list[RecordingId]:
        """Return the ids of all folders; anything else in there is not ours."""
        found = []
        with translated("the spool"):
            entries = list(os.scandir(self.config.directory))
        for entry in entries:
            with (
                translated("the spool"),
                contextlib.suppress(NotFoundError, FileNotFoundError),
            ):
                recording_id = parse_recording_id(entry.name)
                if (
                    entry.is_dir(follow_symlinks=False)
                    and entry.stat(follow_symlinks=False).st_uid == os.geteuid()
                ):
                    found.append(recording_id)
        return sorted(found)

    def used_bytes(self) -> int:
        """Return the octets that wait here.

        At most a second old, or longer where many thousand files are looked at.
        """
        now_s = time.monotonic()
        if now_s >= self._usage[0]:
            total = sum(self.folder(one).size_bytes() for one in self.recordings())
            took_s = time.monotonic() - now_s
            due_s = now_s + max(_USAGE_AGE_S, took_s / _USAGE_SHARE)
            self._usage = (due_s, total)
        return self._usage[1]

    def check_room(self) -> None:
        """Find out whether one more call may begin.

        Raises:
            SpoolFullError: The quota is used up, or the disk is down to the
                reserve that running calls need.
            UnavailableError: The disk has failed, or does not answer.
        """
        with translated("the spool"):
            self.disk.check()
            disk = os.statvfs(self.config.directory)
        if disk.f_bavail * disk.f_frsize < self.config.reserve_bytes:
            raise SpoolFullError("the disk of the spool is full", retry_after_s=30)
        if disk.f_files > 0 and disk.f_favail < self.config.reserve_inodes:
            raise SpoolFullError("the spool has no inodes left", retry_after_s=30)
        if self.used_bytes() >= self.config.quota_bytes:
            raise SpoolFullError("the quota of the spool is used", retry_after_s=30)
