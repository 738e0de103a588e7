"""A data key for a few minutes, and the readers that were made with it.

Guarantees: of several requests that need the same key at once, one asks for it; when
a lease is dropped, the key and everything derived from it are forgotten.

Left to others: the leaf that comes first (the warden), when a lease has lapsed
(`vault.playback.service`).
"""

import threading
from collections.abc import Callable

from vault.core.secrets import SecretBytes
from vault.sealing.reader import SealedReader


class Lease:
    """A data key and the readers made with it, for a few minutes."""

    def __init__(self, *, until_ns: int) -> None:
        self.until_ns = until_ns
        self._lock = threading.Lock()
        self._key: SecretBytes | None = None
        self._readers: dict[str, SealedReader] = {}

    def key(self, release: Callable[[], SecretBytes]) -> SecretBytes:
        """Return the key; the first of several requests asks for it."""
        with self._lock:
            if self._key is None:
                self._key = release()
            return self._key

    def reader(self, name: str, opened: Callable[[], SealedReader]) -> SealedReader:
        """Return the reader of one object; the first request opens it."""
        with self._lock:
            reader = self._readers.get(name)
        if reader is None:
            reader = opened()
            with self._lock:
                if self._key is not None:
                    self._readers[name] = reader
        return reader

    def drop(self) -> None:
        """Forget the key and everything derived from it."""
        with self._lock:
            self._key = None
            self._readers.clear()
