"""Files that commands make: an export, of a recording or of the trail.

Guarantees: a file is there whole or not at all, private until its owner decides
otherwise, and durable before the command says that it is there.  What lies under its
name already stays, unless somebody asks for its place: an earlier export is evidence.
A command that is killed may leave ``.NAME.PID`` beside it: half a file, or, between
link and unlink, a second name of the whole one; either may be removed by hand.

Spec: link(2)
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, BinaryIO, Final, TypeAlias

import typer

from vault.core.errors import ConflictError, InvalidInputError
from vault.durable import sync_folder

Overwrite: TypeAlias = Annotated[
    bool, typer.Option("--overwrite", help="Replace a file that is there already.")
]

_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
)


def check_free(output: Path, *, overwrite: bool) -> None:
    """Refuse a name that is taken, before anything is read or written down.

    Raises:
        ConflictError: Something has that name, and *overwrite* is not set.
    """
    if not overwrite and os.path.lexists(output):
        raise _taken(output)


@contextmanager
def whole_file(output: Path, *, overwrite: bool) -> Iterator[BinaryIO]:
    """Give a private file that gets the name *output* when all went well.

    Raises:
        ConflictError: Something has that name, and *overwrite* is not set.
        InvalidInputError: The system does not let it be made there.
    """
    check_free(output, overwrite=overwrite)
    fresh = output.with_name(f".{output.name}.{os.getpid()}")
    try:
        file = open(fresh, "xb", opener=_private)  # noqa: SIM115 - the next block closes it
    except OSError as exc:
        # Not ours to remove: somebody laid it there.
        raise _refused(output, exc) from None
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            fresh.replace(output)
        else:
            _name(fresh, output)
        sync_folder(output.parent)
    except OSError as exc:
        raise _refused(output, exc) from None
    finally:
        fresh.unlink(missing_ok=True)


def _name(fresh: Path, output: Path) -> None:
    """Give *fresh* the name *output*, which nothing may have at this moment."""
    try:
        os.link(fresh, output, follow_symlinks=False)
    except FileExistsError:
        raise _taken(output) from None
    except OSError as exc:
        if exc.errno not in _NO_LINKS:
            raise
        # A file system without links: an empty file of ours takes the name first.
        try:
            os.close(_private(str(output), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            raise _taken(output) from None
        fresh.replace(output)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _taken(output: Path) -> ConflictError:
    return ConflictError(
        f"{output} is there already, and stays: name another file, or say --overwrite"
    )


def _refused(output: Path, exc: OSError) -> InvalidInputError:
    return InvalidInputError(f"{output}: {exc.strerror or exc}")
