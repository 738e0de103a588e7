"""Reading and writing the keyring's file so that only its owner ever can.

Guarantees: what is read is a plain file that nobody else can read or write and
no symbolic link; what is written is durable when the call returns, has mode
0600 from its first octet, and replaces the old file whole or not at all.

Left to others: what is in it (`vault.sealing.keyring`).

Spec: open(2), rename(2), link(2), fsync(2)
"""

import os
import secrets
import stat
from pathlib import Path
from typing import Final

from vault.core.errors import ConfigurationError
from vault.durable import sync_folder

_MAX_OCTETS: Final = 4 * 1024 * 1024
_PRIVATE: Final = 0o600
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MAKE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read_private(path: Path) -> bytes:
    """Return the content of a private file.

    Raises:
        ConfigurationError: It is missing, no plain file, too large, somebody
            else's, or readable by others.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise ConfigurationError(f"cannot open {path}: {error.strerror}") from None
    try:
        _refuse_shared(path, os.fstat(descriptor))
        return _all_of(descriptor)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    finally:
        os.close(descriptor)


def write_private(path: Path, octets: bytes, *, replace: bool) -> None:
    """Write a private file durably.

    Args:
        path: Where; the folder exists.
        octets: The whole content.
        replace: Whether a file that exists is replaced or is an error.

    Raises:
        ConfigurationError: It exists and is not to be replaced, or it cannot
            be written; the old content, if any, is unchanged.
    """
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            _write(fresh, octets)
            if replace:
                fresh.replace(path)
            else:
                # A link fails where the name is taken; a rename would not.
                path.hardlink_to(fresh)
        finally:
            fresh.unlink(missing_ok=True)
        sync_folder(path.parent)
    except FileExistsError:
        raise ConfigurationError(f"{path} exists already") from None
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from None


def _refuse_shared(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_size > _MAX_OCTETS:
        raise ConfigurationError(f"{path} is not a key file")
    if found.st_uid not in (0, os.geteuid()):
        raise ConfigurationError(f"{path} belongs to another user")
    if found.st_mode & 0o077:
        raise ConfigurationError(
            f"{path} can be read by others: chmod 600 it, and change its passphrase"
        )


def _all_of(descriptor: int) -> bytes:
    pieces: list[bytes] = []
    while piece := os.read(descriptor, _MAX_OCTETS):
        pieces.append(piece)
    return b"".join(pieces)


def _write(path: Path, octets: bytes) -> None:
    with os.fdopen(os.open(path, _MAKE, _PRIVATE), "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(file.fileno())
