"""The octets of one object on their way: given up when the process ends.

Guarantees: no further octet is read once stopping was said; the put fails, nothing is
committed, and the next process begins it anew.

Left to others: reading at a pace (`vault.objects.pace`).
"""

import io
from collections.abc import Callable
from typing import BinaryIO

from vault.core.errors import UnavailableError


class StoppableBody(io.RawIOBase):
    """A body that is not read on once the shipper stops."""

    def __init__(self, body: BinaryIO, stopping: Callable[[], bool]) -> None:
        self._body = body
        self._stopping = stopping

    def readable(self) -> bool:
        """Say that it is."""
        return True

    def seekable(self) -> bool:
        """Say that it is: a store may read twice."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move, and return where to."""
        return self._body.seek(offset, whence)

    def tell(self) -> int:
        """Return where it stands."""
        return self._body.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # what BufferedReader gives
        """Read the next octets; raise `UnavailableError` once it is stopping."""
        if self._stopping():
            raise UnavailableError("the shipper stops")
        octets = self._body.read(len(buffer))
        buffer[: len(octets)] = octets
        return len(octets)
