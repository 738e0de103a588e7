"""An object store in a folder of a local disk; no server needed.

Each object is one file, in folders named like its key.  A new object is written
to a file of its own under ``.incoming``, synced, and then linked to its name:
a link fails where the name is taken, which makes `put_once` atomic.

Guarantees:
    * A name shows a whole object or none, across power cuts too.
    * No symbolic link below the store's folder is ever followed, so nobody who
      can plant one reads or overwrites what lies outside.
    * Files are private to the store's user (0600, folders 0700).

Left to others: what the octets mean; a local disk whose fsync means it.

Spec: open(2), link(2), rename(2), fsync(2)
"""

import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from vault.core.errors import (
    ConflictError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    StoreUnavailableError,
)
from vault.core.ranges import ByteRange
from vault.objects.interfaces import ObjectStat
from vault.objects.keys import ObjectKey

_BLOCK: Final = 1024 * 1024
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ROOT: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_INCOMING: Final = ".incoming"
_SWEEP_AGE_S: Final = 86_400
_REMEMBERED: Final = 10_000
_ATTEMPTS: Final = 8
"Times that a folder may vanish under a put because the last object in it went."


class DirectoryStore:
    """Implements `vault.objects.interfaces.ObjectStore` on a folder."""

    def __init__(self, folder: Path) -> None:
        """Use *folder*, made (0700) where it is missing.

        Raises:
            StoreUnavailableError: It cannot be made.
        """
        self._folder = folder
        self._durable = set[str]()
        "Folders that are known to be."
        with _translated("the store's folder"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(FileExistsError):
                (folder / _INCOMING).mkdir(mode=0o700)
            self._sweep()

    def __repr__(self) -> str:
        return f"DirectoryStore({str(self._folder)!r})"

    def put_once(
        self,
        key: ObjectKey,
        body: BinaryIO,
        *,
        size: int,
        sha256: bytes,
        mend: bool = False,
    ) -> None:
        """See `ObjectStore`."""

        def publish(incoming: int, name: str, folder: int, target: str) -> None:
            os.link(name, target, src_dir_fd=incoming, dst_dir_fd=folder)
            os.unlink(name, dir_fd=incoming)
            with _undone(target, folder):
                os.fsync(folder)

        def fill(file: BinaryIO) -> None:
            found = _copy(body, file, size)
            if found != (size, sha256):
                raise IntegrityError(f"{key}: not the {size} octets announced")

        with _translated(str(key)):
            try:
                if self._holds(key, size=size, sha256=sha256):
                    return
            except ConflictError:
                if not mend:
                    raise
                self._write(key, fill, _take_over)
                return
            try:
                self._write(key, fill, publish)
            except FileExistsError:
                # Somebody else was faster; if it is the same, all is well.
                if not self._holds(key, size=size, sha256=sha256):
                    raise StoreUnavailableError(f"{key} is taken") from None

    def replace(self, key: ObjectKey, octets: bytes) -> None:
        """See `ObjectStore`."""
        with _translated(str(key)):
            self._write(key, lambda file: _all_of(file, octets), _take_over)

    def read(self, key: ObjectKey, span: ByteRange | None = None) -> bytes:
        """See `ObjectStore`."""
        with _translated(str(key)), self._opened(key) as (descriptor, size):
            if span is None:
                return _pread(descriptor, 0, size)
            return _pread(descriptor, span.start, min(span.stop, size))

    def stat(self, key: ObjectKey) -> ObjectStat:
        """See `ObjectStore`."""
        with _translated(str(key)), self._opened(key) as (_, size):
            return ObjectStat(size=size)

    def keys(self, prefix: str = "") -> Iterator[ObjectKey]:
        """See `ObjectStore`."""
        with _translated("the store's folder"):
            found = list(self._walk("", prefix))
        yield from found

    def delete(self, key: ObjectKey) -> None:
        """See `ObjectStore`."""
        with _translated(str(key)), suppress(NotFoundError, FileNotFoundError):
            with self._parent(key, make=False) as (folder, name):
                os.unlink(name, dir_fd=folder)
                os.fsync(folder)
            self._drop_empty_folders(key)

    def check(self) -> None:
        """See `ObjectStore`."""
        probe = f"probe-{secrets.token_hex(8)}"
        with _translated("the store's folder"), self._incoming() as incoming:
            with os.fdopen(os.open(probe, _MAKE, 0o600, dir_fd=incoming), "wb") as file:
                os.fsync(file.fileno())
            os.unlink(probe, dir_fd=incoming)

    def _holds(self, key: ObjectKey, *, size: int, sha256: bytes) -> bool:
        try:
            with self._opened(key) as (descriptor, found):
                same = found == size and _digest(descriptor) == sha256
                if same:
                    self._sync_held(key, descriptor)
        except NotFoundError:
            return False
        if not same:
            raise ConflictError(f"{key} holds other content")
        return True

    def _sync_held(self, key: ObjectKey, descriptor: int) -> None:
        """Make an object durable: a crash may have come between link and sync."""
        with (
            self._parent(key, make=True) as (folder, name),
            _undone(name, folder),
        ):
            os.fsync(descriptor)
            os.fsync(folder)

    def _write(
        self,
        key: ObjectKey,
        fill: Callable[[BinaryIO], None],
        publish: Callable[[int, str, int, str], None],
    ) -> None:
        fresh = secrets.token_hex(16)
        with self._incoming() as incoming:
            try:
                made = os.open(fresh, _MAKE, 0o600, dir_fd=incoming)
                with os.fdopen(made, "wb", buffering=0) as file:
                    fill(file)
                    os.fsync(file.fileno())
                self._publish(key, lambda *to: publish(incoming, fresh, *to))
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(fresh, dir_fd=incoming)

    def _publish(self, key: ObjectKey, into: Callable[[int, str], None]) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                with self._parent(key, make=True) as (folder, name):
                    into(folder, name)
            except (FileNotFoundError, NotFoundError):
                # Its folder was empty and somebody's delete took it away.
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return

    @contextmanager
    def _opened(self, key: ObjectKey) -> Iterator[tuple[int, int]]:
        with self._parent(key, make=False) as (folder, name):
            try:
                descriptor = os.open(name, _READ, dir_fd=folder)
            except FileNotFoundError:
                raise NotFoundError(f"no object {key}") from None
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                raise NotFoundError(f"no object {key}")
            if not stat.S_ISREG(found.st_mode):
                raise StoreUnavailableError(f"{key} is not a plain file")
            yield descriptor, found.st_size
        finally:
            os.close(descriptor)

    @contextmanager
    def _parent(self, key: ObjectKey, *, make: bool) -> Iterator[tuple[int, str]]:
        """Open the folder of *key*, one step at a time and through no link."""
        *steps, name = str(key).split("/")
        folder, path = os.open(self._folder, _ROOT), ""
        try:
            for step in steps:
                path += f"{step}/"
                if make and path not in self._durable:
                    self._make(folder, step, path)
                folder = self._step(folder, step, path)
            yield folder, name
        finally:
            os.close(folder)

    def _make(self, folder: int, step: str, path: str) -> None:
        """Make folder *step* in *folder*, durably."""
        with suppress(FileExistsError):
            os.mkdir(step, 0o700, dir_fd=folder)
        try:
            # Where it is there already, too: who made it may have died before this.
            os.fsync(folder)
        except OSError:
            with suppress(OSError):
                os.rmdir(step, dir_fd=folder)
            raise
        if len(self._durable) > _REMEMBERED:
            self._durable.clear()
        self._durable.add(path)

    def _step(self, folder: int, step: str, path: str) -> int:
        """Open *step* inside *folder*, which is closed; the new one is the caller's."""
        try:
            inner = os.open(step, _FOLDER, dir_fd=folder)
        except FileNotFoundError:
            self._durable.discard(path)
            raise NotFoundError("no such object") from None
        os.close(folder)
        return inner

    def _incoming(self) -> AbstractContextManager[int]:
        return _closing(os.open(self._folder / _INCOMING, _FOLDER))

    def _sweep(self) -> None:
        """Remove what writers that died left; a day is longer than any put."""
        oldest = time.time() - _SWEEP_AGE_S
        with self._incoming() as incoming, os.scandir(incoming) as left:
            for entry in left:
                with suppress(FileNotFoundError):
                    if entry.stat(follow_symlinks=False).st_mtime < oldest:
                        os.unlink(entry.name, dir_fd=incoming)

    def _drop_empty_folders(self, key: ObjectKey) -> None:
        steps = str(key).split("/")[:-1]
        while steps:
            with self._parent(ObjectKey("/".join(steps)), make=False) as (up, name):
                try:
                    os.rmdir(name, dir_fd=up)
                except OSError:
                    return  # not empty, or gone: either is fine
                os.fsync(up)
            steps.pop()

    def _walk(self, inside: str, prefix: str) -> Iterator[ObjectKey]:
        # "a.b" comes before "a/b" in a store's order of keys, so folders are
        # sorted with their slash on.
        with os.scandir(self._folder / inside) as entries:
            names = sorted(
                entry.name + "/" * entry.is_dir(follow_symlinks=False)
                for entry in entries
                if not entry.name.startswith(".") and not entry.is_symlink()
            )
        for name in names:
            path = inside + name
            if not path.startswith(prefix[: len(path)]):
                continue
            if name.endswith("/"):
                with suppress(FileNotFoundError):
                    yield from self._walk(path, prefix)
            elif path.startswith(prefix):
                with suppress(InvalidInputError):
                    yield ObjectKey(path)


def _take_over(incoming: int, name: str, folder: int, target: str) -> None:
    os.rename(name, target, src_dir_fd=incoming, dst_dir_fd=folder)
    os.fsync(folder)


@contextmanager
def _undone(name: str, folder: int) -> Iterator[None]:
    """Take *name* away where it cannot be made durable.

    Asked again, the kernel would say yes, whether it has the octets or not.  So whoever
    puts them puts another file the next time.
    """
    try:
        yield
    except OSError:
        with suppress(OSError):
            os.unlink(name, dir_fd=folder)
        raise


@contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreUnavailableError(f"{what}: {error.strerror}") from None


def _copy(body: BinaryIO, file: BinaryIO, size: int) -> tuple[int, bytes]:
    digest = hashlib.sha256()
    total = 0
    # One octet more than announced is asked for, so that more is noticed.
    while block := body.read(min(_BLOCK, size + 1 - total)):
        digest.update(block)
        total += len(block)
        if total > size:
            break
        _all_of(file, block)
    return total, digest.digest()


def _all_of(file: BinaryIO, octets: bytes) -> None:
    left = memoryview(octets)
    while left:
        left = left[file.write(left) :]


def _digest(descriptor: int) -> bytes:
    digest = hashlib.sha256()
    offset = 0
    while block := os.pread(descriptor, _BLOCK, offset):
        digest.update(block)
        offset += len(block)
    return digest.digest()


def _pread(descriptor: int, start: int, stop: int) -> bytes:
    pieces: list[bytes] = []
    while start < stop and (piece := os.pread(descriptor, stop - start, start)):
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)
