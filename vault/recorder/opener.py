"""Tells the catalog that calls have begun, without any call waiting for it.

Guarantees: each row is tried until it is committed, or until the shipper (which
opens the row itself, too) has taken the recording away.

Left to others: the row (`vault.catalog`).
"""

import contextlib
import queue
import threading
from typing import Final

import structlog

from vault.core.errors import NotFoundError, UnavailableError, VaultError
from vault.spool.backoff import Backoff
from vault.spool.files import ENVELOPE, SessionFolder
from vault.spool.interfaces import CatalogIntake
from vault.spool.spool import Spool

CATALOG_UNREACHABLE: Final = "opener.catalog.unreachable"
ROW_REFUSED: Final = "opener.row.refused"
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
        while (folder := self._queue.get()) is not None:
            pace = Backoff(first_s=0.5, longest_s=15.0)
            while not self._stopping.is_set():
                try:
                    self._open(folder)
                    break
                except (UnavailableError, OSError) as exc:
                    _log.warning(CATALOG_UNREACHABLE, problem=type(exc).__name__)
                    self._stopping.wait(pace.next_s())
                except VaultError as exc:
                    # Trying again would not help; the shipper says it, too.
                    _log.error(
                        ROW_REFUSED,
                        recording=folder.recording_id,
                        problem=type(exc).__name__,
                    )
                    break

    def _open(self, folder: SessionFolder) -> None:
        with contextlib.suppress(NotFoundError):  # shipped meanwhile
            self._catalog.opened(folder.order(), folder.read(ENVELOPE))
