"""One folder per recording: sealed octets and ids only.

    SPOOL/.lock                    held by the one tap that uses this spool
    SPOOL/.outbox/                 leaves that wait for the warden
    SPOOL/.reserve-0 … -3          room for the worst hour (`vault.spool.reserve`)
    SPOOL/.alarm                   why no new call is taken, while the disk has failed
    SPOOL/.ended/<recording id>    what is left to say after a folder was freed
    SPOOL/.shipping                how far the shipper is (`vault.spool.progress`)
    SPOOL/<recording id>/order     ids, day and start (`SpoolOrder`)
                        /envelope  the wrapped data key
                        /capture-0001, capture-0002.cut, session-0001,
                         signalling-0001, …
                        /manifest  written last: the commit point
                        /trouble   the last error of the shipper, while there is one

Guarantees:
    * `SessionFolder.write_once` returns when file and folder are durable, and
      never leaves half a file under the name.
    * Files are 0600, made with ``O_EXCL | O_NOFOLLOW``: a planted link is refused,
      and what is planted under our names is never read (`vault.spool.descriptors`).
    * Nothing here is plaintext of a call.

Left to others: all folders together (`vault.spool.spool`), what is in the files
(`vault.recorder`), getting them out (`vault.spool.shipper`).

Spec: docs/reference/formats/spool.md
"""

import contextlib
import errno
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import structlog

from vault.core.errors import (
    IntegrityError,
    NotFoundError,
    SpoolFullError,
    UnavailableError,
)
from vault.core.ids import RecordingId
from vault.spool import descriptors
from vault.spool.descriptors import CREATE, FULL, translated, write_whole
from vault.spool.disk import SpoolDisk
from vault.spool.order import SpoolOrder

ORDER: Final = "order"
ENVELOPE: Final = "envelope"
MANIFEST: Final = "manifest"
TROUBLE: Final = "trouble"
CUT: Final = ".cut"

FREED: Final = ".freed-"
_OBJECT: Final = re.compile(r"(?:capture|session|signalling)/[0-9]{4}(?:\.cut)?")
_FILE: Final = re.compile(r"(?:capture|session|signalling)-[0-9]{4}(?:\.cut)?")
_MAX_TROUBLE: Final = 500
_T = TypeVar("_T")
_log = structlog.get_logger()


class SessionFolder:
    """What the spool holds of one recording."""

    def __init__(
        self, path: Path, recording_id: RecordingId, disk: SpoolDisk | None = None
    ) -> None:
        """Look at *path*; without a *disk* each write is synced by itself."""
        self.path = path
        self.recording_id = recording_id
        self._disk = disk
        self._tainted: set[str] = set()

    def write_once(self, name: str, octets: bytes) -> None:
        """Store *octets* under *name* (``manifest``, ``session/0001``), durably.

        A call that was answered is sealed into the reserve, if it must be.

        Raises:
            ConflictError: There is one already.
            SpoolFullError: No room.
            UnavailableError: The disk failed.
        """
        if self._disk is None or self._disk.failure:
            self._roomy(lambda: self._write(name, octets, sync=True))
            return
        self._roomy(lambda: self.write_soon(name, octets))
        try:
            self._disk.settle()
        except UnavailableError:
            # What could not be synced is not synced again: another file is.
            with translated(f"{self.recording_id} {name}"):
                (self.path / _file_name(name)).unlink(missing_ok=True)
            self._roomy(lambda: self._write(name, octets, sync=True))

    def write_soon(self, name: str, octets: bytes) -> None:
        """As `write_once`, but durable only when the caller has settled the disk."""
        self._write(name, octets, sync=False)

    def _write(self, name: str, octets: bytes, *, sync: bool) -> None:
        with (
            translated(f"{self.recording_id} {name}"),
            descriptors.folder(self.path) as at,
        ):
            write_whole(at, _file_name(name), octets, replace=False, sync=sync)

    def _roomy(self, write: Callable[[], _T]) -> _T:
        """Do *write*; where the disk is full, again for each piece of the reserve."""
        while True:
            try:
                return write()
            except (SpoolFullError, OSError) as exc:
                code = exc if isinstance(exc, OSError) else exc.__cause__
                if (
                    getattr(code, "errno", None) not in FULL
                    or self._disk is None
                    or not self._disk.reserve.release(last=True)
                ):
                    raise

    def open_part(self, number: int) -> int:
        """Create capture part *number* and return a descriptor to append to.

        Its name is durable when the disk is settled next: with the answer to the
        session, or with the sync of what is written to it.

        Raises:
            OSError: As the media tap wants it: the part exists, no room, or no
                descriptors.
        """
        name = f"capture/{number:04d}"
        if number == 1 or self._disk is None:
            return self._create(name)
        # The part before it may have met a full disk.
        self._disk.reserve.ease()
        return self._roomy(lambda: self._create(name))

    def _create(self, name: str) -> int:
        with descriptors.folder(self.path) as at:
            return os.open(_file_name(name), CREATE | os.O_APPEND, 0o600, dir_fd=at)

    def sync(self, name: str) -> bool:
        """Make *name* durable; return False if the disk refused, now or before.

        Then the kernel may have forgotten octets and would say yes the next time:
        only `rescue` helps.
        """
        if name in self._tainted:
            return False
        with self.open(name) as file:
            try:
                os.fsync(file.fileno())
            except OSError as exc:
                self._tainted.add(name)
                if self._disk is not None:
                    code = errno.errorcode.get(exc.errno or 0, "?")
                    self._disk.fail(f"fsync: {code}")
        return name not in self._tainted

    def rescue(self, name: str) -> None:
        """Put a new, synced file with what can be read in the place of *name*.

        Raises:
            UnavailableError: The disk takes no copy; it is as it was.
        """
        with translated(f"{self.recording_id} {name}"):
            self._roomy(lambda: self._copy(_file_name(name)))
        self._tainted.discard(name)

    def keep(self, name: str) -> None:
        """Make durable what an earlier try may have written and not synced.

        Raises:
            SpoolFullError, UnavailableError: It is not, as far as anybody knows.
        """
        if not self.sync(name):
            self.rescue(name)
        with translated(f"{self.recording_id} {name}"):
            descriptors.sync_folder(self.path)

    def _copy(self, name: str) -> None:
        with descriptors.folder(self.path) as at:
            descriptors.copy_whole(at, name)

    @property
    def in_doubt(self) -> bool:
        """Whether the disk has failed since the process began."""
        return self._disk is not None and bool(self._disk.failure)

    def mark_cut(self, number: int) -> None:
        """Rename part *number* to ``.cut``: its last chunk was never written."""
        name = _file_name(f"capture/{number:04d}")
        with (
            translated(f"{self.recording_id} part {number}"),
            descriptors.folder(self.path) as at,
        ):
            if descriptors.is_file(at, name + CUT):
                raise IntegrityError(f"{self.recording_id} part {number} twice")
            os.rename(name, name + CUT, src_dir_fd=at, dst_dir_fd=at)
            os.fsync(at)

    def objects(self) -> list[str]:
        """Return the names of the sealed objects here, in order."""
        with translated(str(self.recording_id)), descriptors.folder(self.path) as at:
            names = descriptors.names(at)
        return sorted(name.replace("-", "/") for name in names if _FILE.fullmatch(name))

    def has(self, name: str) -> bool:
        """Return whether *name* is here; False also where the folder is not.

        Raises:
            UnavailableError, IntegrityError: That cannot be told; it MUST NOT be
                taken for a no.
        """
        try:
            with (
                translated(f"{self.recording_id} {name}"),
                descriptors.folder(self.path) as at,
            ):
                return descriptors.is_file(at, _file_name(name))
        except NotFoundError:
            return False

    def open(self, name: str) -> io.BufferedReader:
        """Open *name* for reading.

        Raises:
            NotFoundError: It is not here.
            IntegrityError: What is here was planted.
        """
        with (
            translated(f"{self.recording_id} {name}"),
            descriptors.folder(self.path) as at,
        ):
            return os.fdopen(descriptors.open_file(at, _file_name(name)), "rb")

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

    def replace_order(self, order: SpoolOrder) -> None:
        """Put *order* in the place of the one that the folder was made for.

        Durable on return; one of them is there at any moment.

        Raises:
            SpoolFullError, UnavailableError: The old one stays.
        """

        def write() -> None:
            with (
                translated(f"{self.recording_id} {ORDER}"),
                descriptors.folder(self.path) as at,
            ):
                before = os.stat(ORDER, dir_fd=at, follow_symlinks=False)
                write_whole(at, ORDER, bytes(order), replace=True, sync=True)
                # When the session began: the oldest goes to the store first.
                times = (before.st_atime_ns, before.st_mtime_ns)
                os.utime(ORDER, ns=times, dir_fd=at, follow_symlinks=False)

        self._roomy(write)

    def size_bytes(self) -> int:
        """Return the octets of all files here; 0 once it was freed."""
        total = 0
        with (
            contextlib.suppress(OSError, IntegrityError),
            descriptors.folder(self.path) as at,
        ):
            for name in descriptors.names(at):
                with contextlib.suppress(FileNotFoundError):
                    about = os.stat(name, dir_fd=at, follow_symlinks=False)
                    total += about.st_size
        return total

    def discard(self, name: str) -> None:
        """Take *name* away; it is none of what was promised."""
        with (
            translated(f"{self.recording_id} {name}"),
            descriptors.folder(self.path) as at,
        ):
            os.unlink(_file_name(name), dir_fd=at)

    def tell_trouble(self, text: str) -> None:
        """Leave *text* for `spool status`; an empty one takes it back."""
        with (
            contextlib.suppress(OSError, IntegrityError),  # a courtesy to the operator
            descriptors.folder(self.path) as at,
        ):
            if text:
                write_whole(at, TROUBLE, text.encode(), replace=True, sync=False)
            elif descriptors.is_file(at, TROUBLE):
                os.unlink(TROUBLE, dir_fd=at)

    def trouble(self) -> str:
        """Return what `tell_trouble` left, or an empty text."""
        with (
            contextlib.suppress(OSError, IntegrityError),
            descriptors.folder(self.path) as at,
            os.fdopen(descriptors.open_file(at, TROUBLE), "rb") as file,
        ):
            return file.read(_MAX_TROUBLE).decode(errors="replace")
        return ""

    def born_s(self) -> float:
        """Return when the session began, in seconds since the epoch."""
        # The folder's own time moves with every file; the order is written once.
        with translated(str(self.recording_id)), descriptors.folder(self.path) as at:
            return os.stat(ORDER, dir_fd=at, follow_symlinks=False).st_mtime

    def remove(self) -> None:
        """Free the folder.

        Callers MUST have seen every object durable in the store.
        """
        # Renamed first: a crash in between must not leave half a folder that
        # recovery would take for a call that was cut.
        freed = f"{FREED}{self.recording_id}"
        parent = self.path.parent
        with translated(str(self.recording_id)), descriptors.folder(parent) as at:
            os.rename(self.path.name, freed, src_dir_fd=at, dst_dir_fd=at)
            os.fsync(at)
            descriptors.clear(at, freed)


def _file_name(name: str) -> str:
    if name in {ORDER, ENVELOPE, MANIFEST}:
        return name
    if not _OBJECT.fullmatch(name):
        raise ValueError(f"no object of a spool folder: {name!r}")
    return name.replace("/", "-")
