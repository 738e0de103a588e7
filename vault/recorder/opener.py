"""Tells the catalog that calls have begun, without any call waiting for it.

Guarantees: each row is tried until it is committed, or until the shipper (which
opens the row itself, too) has taken the recording away.

Left to others: the row (`vault.catalog`).
"""

import contextlib
import queue
import threading
from collections.abc import Sequence
from typing import Final

import structlog

from vault.core.errors import NotFoundError, UnavailableError, VaultError
from vault.spool.backoff import Backoff
from vault.spool.files import ENVELOPE, SessionFolder
from vault.spool.interfaces import CatalogIntake
from vault.spool.spool import Spool

CATALOG_UNREACHABLE: Final = "opener.catalog.unreachable"
ROW_REFUSED: Final = "opener.row.refused"
_MOST_TOGETHER: Final = 64
_TOGETHER_S: Final = 0.1
_log = structlog.get_logger()


class Opener:
    """A thread that opens rows."""

    def __init__(self, catalog: CatalogIntake) -> None:
        self._catalog = catalog
        self._queue: queue.SimpleQueue[SessionFolder | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, spool: Spool) -> None:
        """Begin, with what an earlier process may not have opened."""
        for recording_id in spool.recordings():
            self.opened(spool.folder(recording_id))
        self._thread = threading.Thread(target=self._run, name="opener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; what is left is opened by the shipper."""
        self._stopping.set()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def opened(self, folder: SessionFolder) -> None:
        """Queue the row of the recording in *folder*."""
        self._queue.put(folder)

    def _run(self) -> None:
        while batch := self._waiting():
            self._try(batch)
            # Calls that begin meanwhile share a transaction, and its sync.
            self._stopping.wait(_TOGETHER_S)

    def _waiting(self) -> list[SessionFolder]:
        """Wait for a folder; return it with those behind it, none at the end."""
        batch: list[SessionFolder] = []
        folder = self._queue.get()
        while folder is not None:
            batch.append(folder)
            if len(batch) == _MOST_TOGETHER:
                return batch
            try:
                folder = self._queue.get_nowait()
            except queue.Empty:
                return batch
        # `stop` has put it: whatever waits is the shipper's.
        return []

    def _try(self, batch: Sequence[SessionFolder]) -> None:
        pace = Backoff(first_s=0.5, longest_s=15.0)
        while not self._stopping.is_set():
            try:
                self._open(batch)
            except (UnavailableError, OSError) as exc:
                _log.warning(CATALOG_UNREACHABLE, problem=type(exc).__name__)
                self._stopping.wait(pace.next_s())
            except VaultError as exc:
                if len(batch) > 1:
                    # One of them is refused, and must not hold up the others.
                    for folder in batch:
                        self._try([folder])
                    return
                # Trying again would not help; the shipper says it, too.
                _log.error(
                    ROW_REFUSED,
                    recording=batch[0].recording_id,
                    problem=type(exc).__name__,
                )
                return
            else:
                return

    def _open(self, batch: Sequence[SessionFolder]) -> None:
        begun = []
        for folder in batch:
            with contextlib.suppress(NotFoundError):  # shipped meanwhile
                begun.append((folder.order(), folder.read(ENVELOPE)))
        if begun:
            self._catalog.opened_together(begun)
