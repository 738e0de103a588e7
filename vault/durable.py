"""Small files that are replaced whole, and are durable when that returns.

Guarantees: a crash leaves the old content or the new one, never a mixture; a link that
somebody planted under the name of the unfinished file is not followed.

Left to others: what is in a file, and what its absence means; the spool, which works on
open folders (`vault.spool.descriptors`).

Spec: rename(2), fsync(2)
"""

import os
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600
_FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def replace_file(path: Path, octets: bytes, *, mode: int = PRIVATE) -> None:
    """Replace the file at *path*, whose folder exists, by *octets*.

    One writer at a time: the unfinished file has one name, ``<name>.new``.

    Args:
        path: Where.
        octets: The whole content.
        mode: Of a file that is new, less the umask.

    Raises:
        OSError: The disk failed; the old content stands, unless it was the last step
            that failed: then it is not known which of both a power cut would leave.
    """
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, _FLAGS, mode)
    try:
        write_all(descriptor, octets)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)
    sync_folder(path.parent)


def write_all(descriptor: int, octets: bytes) -> None:
    """Write *octets*, however often the kernel takes only some of them."""
    # A short write on a full disk must not become a short file under its name.
    while octets:
        octets = octets[os.write(descriptor, octets) :]


def sync_folder(folder: Path) -> None:
    """Make the names in *folder* durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
