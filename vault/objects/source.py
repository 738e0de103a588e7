"""One object as octets at any offset: the shape that sealed readers read from.

Guarantees: the size is asked for once, so one reader sees one size.

Left to others: proving that size (`vault.sealing.reader`).
"""

from vault.core.ranges import ByteRange
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey


class StoreSource:
    """Reads spans of one object; has the shape of sealing's ``RangeSource``."""

    def __init__(self, store: ObjectStore, key: ObjectKey) -> None:
        """Take *key* of *store*.

        Raises:
            NotFoundError: No such object.
            StoreUnavailableError: Safe to retry.
        """
        self._store = store
        self._key = key
        self._size = store.stat(key).size

    @property
    def size(self) -> int:
        """Octets of the object, as the store says."""
        return self._size

    def read(self, start: int, stop: int) -> bytes:
        """Return the octets ``[start, stop)``; fewer where they do not exist."""
        if start >= stop:
            return b""
        return self._store.read(self._key, ByteRange(start=start, stop=stop))
