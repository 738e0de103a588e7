"""Files of the spool by descriptor: no name is ever followed to somewhere else.

Whoever can write into the spool's folder may plant links, pipes and files of other
users.  So every step goes through the descriptor of a folder that was opened as a
folder, and what is opened is looked at before a single octet of it counts.

Guarantees:
    * No symbolic link below the spool is followed, and no pipe is waited for.
    * What is read is a regular file of this user with one name.
    * A name shows a whole file or none while the machine runs; after a power cut
      only what was synced counts (`vault.spool.disk`).

Left to others: when to sync (`vault.spool.disk`), what the files are.

Spec: open(2), link(2), fsync(2)
"""

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from vault.core.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    SpoolFullError,
    UnavailableError,
)

NOT_FREED: Final = "spool.folder.not-freed"
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
"What freeing room helps against."

CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK: Final = 1 << 20
_log = structlog.get_logger()
_NO_ROOM: Final = FULL | {errno.EMFILE, errno.ENFILE, errno.EFBIG}
_PLANTED: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENXIO})


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
        if exc.errno in _NO_ROOM:
            raise SpoolFullError(f"{what}: {name}") from exc
        if exc.errno in _PLANTED:
            raise IntegrityError(f"{what}: not a file of the spool") from exc
        raise UnavailableError(f"{what}: {name}") from exc


@contextlib.contextmanager
def folder(path: Path) -> Iterator[int]:
    """Yield a descriptor of the folder *path*, which is no link and ours.

    Raises:
        OSError: It cannot be opened, or is a link.
        IntegrityError: It belongs to somebody else.
    """
    at = os.open(path, FOLDER)
    try:
        if os.fstat(at).st_uid != os.geteuid():
            raise IntegrityError(f"{path.name[:40]!a} is somebody else's folder")
        yield at
    finally:
        os.close(at)


def open_file(at: int, name: str) -> int:
    """Return a descriptor to read file *name* of folder *at*.

    Raises:
        OSError: It cannot be opened.
        IntegrityError: It is no plain file of ours: a planted one, maybe.
    """
    found = os.open(name, _READ, dir_fd=at)
    about = os.fstat(found)
    if (
        not stat.S_ISREG(about.st_mode)
        or about.st_uid != os.geteuid()
        # A second name is another way in.  Ours has two only between link and
        # unlink in `write_whole`, and `tidy` removes what a crash left of that.
        or about.st_nlink != 1
    ):
        os.close(found)
        raise IntegrityError(f"{name[:40]!a} is not a file of the spool")
    return found


def names(at: int) -> list[str]:
    """Return the names in folder *at*."""
    return os.listdir(at)


def is_file(at: int, name: str) -> bool:
    """Return whether *name* in folder *at* is a regular file."""
    try:
        return stat.S_ISREG(os.stat(name, dir_fd=at, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def write_whole(
    at: int, name: str, octets: bytes, *, replace: bool, sync: bool
) -> None:
    """Write *octets* as *name* into folder *at*, whole or not at all.

    Args:
        at: Descriptor of the folder.
        name: What it is called.
        octets: All of it.
        replace: Whether it takes the place of an older one.
        sync: Whether file and folder are durable on return.

    Raises:
        FileExistsError: *name* is there and *replace* is not set.
        OSError: Whatever the disk says; nothing new is under *name* then.
    """
    fresh = _fresh(name)
    made = False
    try:
        try:
            _write_new(at, fresh, octets, sync=sync)
        except FileExistsError:
            os.unlink(fresh, dir_fd=at)  # of a process that died here
            _write_new(at, fresh, octets, sync=sync)
        if replace:
            os.rename(fresh, name, src_dir_fd=at, dst_dir_fd=at)
        else:
            # link() refuses an existing name where rename() would replace it.
            os.link(fresh, name, src_dir_fd=at, dst_dir_fd=at)
            made = True
            os.unlink(fresh, dir_fd=at)
        if sync:
            os.fsync(at)
    except OSError:
        # Whoever tries again must find the name free, and a file that could not
        # be synced is never synced again.
        for left in (fresh, name) if made else (fresh,):
            with contextlib.suppress(OSError):
                os.unlink(left, dir_fd=at)
        raise


def _write_new(at: int, name: str, octets: bytes, *, sync: bool) -> None:
    # A file object would ask the kernel four things more; each call that begins
    # writes six files.
    made = os.open(name, CREATE, 0o600, dir_fd=at)
    try:
        left = memoryview(octets)
        while left:
            left = left[os.write(made, left) :]
        if sync:
            os.fsync(made)
    finally:
        os.close(made)


def copy_whole(at: int, name: str) -> None:
    """Put a synced copy of file *name* of folder *at* in its place.

    What lies behind an octet that cannot be read is not in the copy.

    Raises:
        OSError: The disk takes no copy; *name* is as it was.
    """
    fresh = _fresh(name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(fresh, dir_fd=at)
    try:
        with (
            os.fdopen(open_file(at, name), "rb", buffering=0) as file,
            os.fdopen(os.open(fresh, CREATE, 0o600, dir_fd=at), "wb") as copy,
        ):
            while block := _readable(file):
                copy.write(block)
            copy.flush()
            os.fsync(copy.fileno())
        os.rename(fresh, name, src_dir_fd=at, dst_dir_fd=at)
        os.fsync(at)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(fresh, dir_fd=at)
        raise


def _readable(file: io.FileIO) -> bytes:
    try:
        return file.read(_BLOCK) or b""
    except OSError:
        return b""


def write_durably(path: Path, name: str, octets: bytes, *, replace: bool) -> None:
    """Write *octets* as *name* into the folder *path*, and sync both.

    Raises:
        FileExistsError: *name* is there and *replace* is not set.
        OSError: Whatever the disk says; nothing new is under *name* then.
    """
    with folder(path) as at:
        write_whole(at, name, octets, replace=replace, sync=True)


def sync_folder(path: Path) -> None:
    """Make the names in *path* durable."""
    with folder(path) as at:
        os.fsync(at)


def tidy(at: int) -> None:
    """Remove from folder *at* what a crash left half written."""
    for name in names(at):
        if name.startswith(".") and name.endswith(".new"):
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=at)


def clear(at: int, name: str) -> None:
    """Delete the folder *name* in folder *at* with all its files.

    What is no folder, or holds one, is none of ours: it stays, and is said.
    """
    try:
        _clear(at, name)
    except OSError as exc:
        problem = errno.errorcode.get(exc.errno or 0, "?")
        _log.error(NOT_FREED, folder=ascii(name[:80]), problem=problem)


def _clear(at: int, name: str) -> None:
    inner = os.open(name, FOLDER, dir_fd=at)
    try:
        for entry in names(inner):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry, dir_fd=inner)
    finally:
        os.close(inner)
    os.rmdir(name, dir_fd=at)


def _fresh(name: str) -> str:
    return f".{name}.{os.getpid()}.new"
