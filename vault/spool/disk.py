"""The disk under a spool: many writes made durable by one sync, or none at all.

Sessions that arrive together are answered together: whoever needs durability asks
for a sync that *begins* after the asking, and one ``syncfs`` serves all who asked
while the one before it ran.

Guarantees:
    * A future of `settled` is done only after a sync that began later than every
      write before the call.
    * A sync that failed is never tried again.  The kernel may have dropped what it
      could not write and marked it clean, so that a second try would succeed
      without it.  From then on no new session is taken until the process starts
      anew; running calls go on, and their files are synced and looked at one by
      one (`vault.recorder.finish`).
    * While any piece of the reserve is in use, no new session is taken.

Left to others: the spool's files (`vault.spool.files`), the sync of what media
workers write (`vault.tap.syncer`).

Spec: syncfs(2), which reports write-back errors since Linux 5.8; fsync(2).
"""

import contextlib
import ctypes
import errno
import os
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import structlog

from vault.core import canonical
from vault.core.clock import rfc3339, system_clock_ns
from vault.core.errors import (
    IntegrityError,
    InvalidInputError,
    SpoolFullError,
    UnavailableError,
)
from vault.spool.config import SpoolConfig
from vault.spool.descriptors import FOLDER, write_durably
from vault.spool.reserve import Reserve

DISK_FAILED: Final = "spool.disk.failed"
ALARM: Final = ".alarm"
_RETRY_AFTER_S: Final = 30
_MAX_ALARM: Final = 500

_libc = ctypes.CDLL(None, use_errno=True)
_log = structlog.get_logger()


class SpoolDisk:
    """Syncs for everybody at once, keeps the reserve, and remembers a failure."""

    def __init__(self, config: SpoolConfig) -> None:
        self._config = config
        self.reserve = Reserve(config.directory, config.emergency_bytes)
        self._folder = -1
        self._news = threading.Condition()
        self._asked: list[Future[None]] = []
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._failure = ""
        self._failures = 0

    def open(self) -> None:
        """Begin; the spool's folder is there and locked."""
        self._folder = os.open(self._config.directory, FOLDER)
        # Opened before the first write: errors are reported from here on.
        with contextlib.suppress(FileNotFoundError):
            (self._config.directory / ALARM).unlink()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="settler", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after what was asked for is done."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    # -- durability -----------------------------------------------------------

    @property
    def failure(self) -> str:
        """What failed, or empty; it stays until the process starts anew."""
        return self._failure

    @property
    def failures(self) -> int:
        """Times that a sync was refused by the disk."""
        return self._failures

    def settled(self) -> "Future[None]":
        """Ask that everything written until now becomes durable.

        Returns:
            A future; it raises `UnavailableError` where that cannot be promised.
        """
        asked: Future[None] = Future()
        with self._news:
            if self._stopping or self._thread is None:
                raise RuntimeError("the spool is not open")
            self._asked.append(asked)
            self._news.notify_all()
        return asked

    def settle(self) -> None:
        """Return when everything written until now is durable.

        Raises:
            UnavailableError: That cannot be promised.
        """
        self.settled().result()

    def fail(self, what: str) -> None:
        """Take no new session any more: *what* was written may not be there."""
        self._failures += 1
        if self._failure:
            return
        self._failure = what
        _log.critical(DISK_FAILED, problem=what)
        text = canonical.dumps(
            {"v": 1, "since": rfc3339(system_clock_ns()), "problem": what}
        )
        # For `spool status` and the metrics, which are other processes; the log
        # has said it, if this disk takes nothing any more.
        with contextlib.suppress(OSError, IntegrityError):
            write_durably(self._config.directory, ALARM, text, replace=True)

    def check(self) -> None:
        """Find out whether what a new session needs can be promised.

        Raises:
            UnavailableError: A sync has failed since this process began.
            SpoolFullError: The reserve is in use and cannot be made whole yet.
        """
        if self._failure:
            raise UnavailableError(
                f"the spool's disk has failed ({self._failure}); see to it and "
                "start the tap anew",
                retry_after_s=_RETRY_AFTER_S,
            )
        if not self.reserve.whole and not self.reserve.restore(
            self._config.reserve_bytes
        ):
            raise SpoolFullError(
                "the spool's reserve is in use", retry_after_s=_RETRY_AFTER_S
            )

    # -- inside -----------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._asked or self._stopping)
                if not self._asked:
                    return
                # Everybody who has asked by now wrote before this sync begins.
                asked, self._asked = self._asked, []
                # Whoever does not wait any more must not end this thread.
                served = [one for one in asked if one.set_running_or_notify_cancel()]
            problem = self._sync()
            for one in served:
                if problem:
                    one.set_exception(UnavailableError(f"the spool: {problem}"))
                else:
                    one.set_result(None)

    def _sync(self) -> str:
        if not self._failure:
            error = _syncfs(self._folder)
            if error:
                self.fail(f"syncfs: {errno.errorcode.get(error, 'EIO')}")
        return self._failure


def read_alarm(directory: Path) -> str:
    """Return what a running tap says about the disk of its spool; empty if well.

    It takes no lock: an operator may look while a tap works.
    """
    try:
        if os.statvfs(directory).f_flag & os.ST_RDONLY:
            return "the file system is mounted read-only"
        members = canonical.parse((directory / ALARM).read_bytes()[:_MAX_ALARM])
    except FileNotFoundError:
        return ""
    except (OSError, InvalidInputError):
        return "its alarm cannot be read"
    return f"{members.get('problem', '?')} since {members.get('since', '?')}"


def _syncfs(descriptor: int) -> int:
    """Write the whole file system out; return an errno or 0."""
    return 0 if _libc.syncfs(descriptor) == 0 else ctypes.get_errno()
