"""The spool on disk: one folder per recording, sealed octets and ids only.

    SPOOL/.lock                    held by the one tap that uses this spool
    SPOOL/.outbox/                 leaves that wait for the warden
    SPOOL/.ended/<recording id>    what is left to say after a folder was freed
    SPOOL/<recording id>/order     ids, day and start (`SpoolOrder`)
                        /envelope  the wrapped data key
                        /capture-0001, capture-0002.cut, session-0001, …
                        /manifest  written last: the commit point
                        /trouble   the last error of the shipper, while there is one

Guarantees:
    * `SessionFolder.write_once` returns when file and folder are durable, and
      never leaves half a file under the name.
    * Files are 0600, made with ``O_EXCL | O_NOFOLLOW``: a planted link is refused.
    * Two processes never share a spool.
    * Nothing here is plaintext of a call.

Left to others: what is in the files (`vault.recorder`), getting them out
(`vault.spool.shipper`).

Spec: docs/reference/formats/spool.md
"""

import contextlib
import errno
import fcntl
import io
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Self

from vault.core.errors import (
    ConfigurationError,
    ConflictError,
    NotFoundError,
    SpoolFullError,
    UnavailableError,
)
from vault.core.ids import RecordingId, parse_recording_id
from vault.spool.config import SpoolConfig
from vault.spool.order import SpoolOrder

ORDER: Final = "order"
ENVELOPE: Final = "envelope"
MANIFEST: Final = "manifest"
TROUBLE: Final = "trouble"
_FREED: Final = ".freed-"
CUT: Final = ".cut"

_FULL: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.EFBIG}
)
_OBJECT: Final = re.compile(r"(?:capture|session)/[0-9]{4}(?:\.cut)?")
_FILE: Final = re.compile(r"(?:capture|session)-[0-9]{4}(?:\.cut)?")
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_USAGE_AGE_S: Final = 1.0


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn every `OSError` of the block into an error of the vault's tree."""
    try:
        yield
    except FileExistsError:
        raise ConflictError(f"{what}: it is there already") from None
    except FileNotFoundError:
        raise NotFoundError(f"{what}: not in the spool") from None
    except OSError as exc:
        name = errno.errorcode.get(exc.errno or 0, "?")
        if exc.errno in _FULL:
            raise SpoolFullError(f"{what}: {name}") from exc
        raise UnavailableError(f"{what}: {name}") from exc


def write_durably(folder: Path, name: str, octets: bytes, *, replace: bool) -> None:
    """Write *octets* as *name*, whole or not at all, and sync file and folder.

    Raises:
        FileExistsError: *name* is there and *replace* is not set.
        OSError: Whatever the disk says; nothing is under *name* then.
    """
    fresh = f".{name}.{os.getpid()}.new"
    at = os.open(folder, _FOLDER)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh, dir_fd=at)  # of a process that died here
        with os.fdopen(os.open(fresh, _CREATE, 0o600, dir_fd=at), "wb") as file:
            file.write(octets)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.rename(fresh, name, src_dir_fd=at, dst_dir_fd=at)
        else:
            # link() refuses an existing name where rename() would replace it.
            os.link(fresh, name, src_dir_fd=at, dst_dir_fd=at)
            os.unlink(fresh, dir_fd=at)
        os.fsync(at)
    finally:
        os.close(at)


class SessionFolder:
    """What the spool holds of one recording."""

    def __init__(self, path: Path, recording_id: RecordingId) -> None:
        self.path = path
        self.recording_id = recording_id

    def write_once(self, name: str, octets: bytes) -> None:
        """Store *octets* under *name* (``manifest``, ``session/0001``), durably.

        Raises:
            ConflictError: There is one already.
            SpoolFullError: No room.
            UnavailableError: The disk failed.
        """
        with translated(f"{self.recording_id} {name}"):
            write_durably(self.path, _file_name(name), octets, replace=False)

    def open_part(self, number: int) -> int:
        """Create capture part *number* and return a descriptor to append to.

        Raises:
            OSError: As the media tap wants it: the part exists, no room, or no
                descriptors.
        """
        name = _file_name(f"capture/{number:04d}")
        at = os.open(self.path, _FOLDER)
        try:
            part = os.open(name, _CREATE | os.O_APPEND, 0o600, dir_fd=at)
            try:
                os.fsync(at)
            except OSError:
                # The tap asks for the same number again: it must be free then.
                os.close(part)
                os.unlink(name, dir_fd=at)
                raise
        finally:
            os.close(at)
        return part

    def mark_cut(self, number: int) -> None:
        """Rename part *number* to ``.cut``: its last chunk was never written."""
        name = _file_name(f"capture/{number:04d}")
        with translated(f"{self.recording_id} part {number}"):
            (self.path / name).rename(self.path / (name + CUT))
            sync_folder(self.path)

    def objects(self) -> list[str]:
        """Return the names of the sealed objects here, in order."""
        with translated(str(self.recording_id)):
            names = [path.name for path in self.path.iterdir()]
        return sorted(name.replace("-", "/") for name in names if _FILE.fullmatch(name))

    def has(self, name: str) -> bool:
        """Return whether *name* is here."""
        return (self.path / _file_name(name)).is_file()

    def open(self, name: str) -> io.BufferedReader:
        """Open *name* for reading.  Raises `NotFoundError`."""
        with translated(f"{self.recording_id} {name}"):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.fdopen(os.open(self.path / _file_name(name), flags), "rb")

    def read(self, name: str) -> bytes:
        """Return the octets of *name*.  Raises `NotFoundError`."""
        with self.open(name) as file, translated(f"{self.recording_id} {name}"):
            return file.read()

    def order(self) -> SpoolOrder:
        """Return the order this folder was made for.

        Raises:
            NotFoundError: The process died before it was written.
            InvalidInputError: Somebody else wrote it.
        """
        return SpoolOrder.parse(self.read(ORDER))

    def size_bytes(self) -> int:
        """Return the octets of all files here; 0 once it was freed."""
        total = 0
        with contextlib.suppress(FileNotFoundError):
            for entry in os.scandir(self.path):
                with contextlib.suppress(FileNotFoundError):
                    total += entry.stat(follow_symlinks=False).st_size
        return total

    def tell_trouble(self, text: str) -> None:
        """Leave *text* for `spool status`; an empty one takes it back."""
        path = self.path / TROUBLE
        with contextlib.suppress(OSError):  # only a courtesy to the operator
            if text:
                write_durably(self.path, TROUBLE, text.encode(), replace=True)
            else:
                path.unlink(missing_ok=True)

    def remove(self) -> None:
        """Free the folder.

        Callers MUST have seen every object durable in the store.
        """
        # Renamed first: a crash in between must not leave half a folder that
        # recovery would take for a call that was cut.
        freed = self.path.with_name(f"{_FREED}{self.recording_id}")
        with translated(str(self.recording_id)):
            self.path.rename(freed)
            sync_folder(freed.parent)
            _clear(freed)


class Spool:
    """All folders, under one lock."""

    def __init__(self, config: SpoolConfig) -> None:
        self.config = config
        self._lock: int | None = None
        self._usage: tuple[float, int] = (-_USAGE_AGE_S, 0)

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
        for left in folder.glob(f"{_FREED}*"):
            with translated("a freed folder"):
                _clear(left)
        return self

    def close(self) -> None:
        """Let go of the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def create(self, order: SpoolOrder) -> SessionFolder:
        """Make the folder of a new recording and write its order, durably.

        Raises:
            SpoolFullError: No room.
            UnavailableError: The disk failed.
        """
        if self._lock is None:
            raise RuntimeError("the spool is not open")
        folder = self.folder(order.recording_id)
        with translated(str(order.recording_id)):
            folder.path.mkdir(mode=0o700)
            try:
                write_durably(folder.path, ORDER, bytes(order), replace=False)
                sync_folder(self.config.directory)
            except OSError:
                _clear(folder.path)
                raise
        return folder

    def folder(self, recording_id: RecordingId) -> SessionFolder:
        """Return the folder of a recording, whether it exists or not."""
        return SessionFolder(self.config.directory / recording_id, recording_id)

    def recordings(self) -> list[RecordingId]:
        """Return the ids of all folders; anything else in there is not ours."""
        found = []
        with translated("the spool"):
            entries = list(os.scandir(self.config.directory))
        for entry in entries:
            with contextlib.suppress(NotFoundError):
                recording_id = parse_recording_id(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    found.append(recording_id)
        return sorted(found)

    def used_bytes(self) -> int:
        """Return the octets that wait here; at most a second old."""
        now = time.monotonic()
        if now - self._usage[0] >= _USAGE_AGE_S:
            total = sum(self.folder(one).size_bytes() for one in self.recordings())
            self._usage = (now, total)
        return self._usage[1]

    def check_room(self) -> None:
        """Find out whether one more call may begin.

        Raises:
            SpoolFullError: The quota is used up, or the disk is down to the
                reserve that running calls need.
            UnavailableError: The disk does not answer.
        """
        with translated("the spool"):
            disk = os.statvfs(self.config.directory)
        if disk.f_bavail * disk.f_frsize < self.config.reserve_bytes:
            raise SpoolFullError("the disk of the spool is full", retry_after_s=30)
        if disk.f_files > 0 and disk.f_favail < self.config.reserve_inodes:
            raise SpoolFullError("the spool has no inodes left", retry_after_s=30)
        if self.used_bytes() >= self.config.quota_bytes:
            raise SpoolFullError("the quota of the spool is used", retry_after_s=30)


def sync_folder(path: Path) -> None:
    """Make the names in *path* durable."""
    at = os.open(path, _FOLDER)
    try:
        os.fsync(at)
    finally:
        os.close(at)


def _clear(path: Path) -> None:
    for entry in path.iterdir():
        entry.unlink(missing_ok=True)
    path.rmdir()


def _file_name(name: str) -> str:
    if name in {ORDER, ENVELOPE, MANIFEST}:
        return name
    if not _OBJECT.fullmatch(name):
        raise ValueError(f"no object of a spool folder: {name!r}")
    return name.replace("/", "-")
