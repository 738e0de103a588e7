"""Makes what media workers write durable: ``syncfs`` in a process of its own.

A media worker never syncs (it took 5 to 93 ms here, and packets would wait).
This small process syncs the spool's file system twice a second and says how
long it took; `Syncer` in the supervisor listens.

Guarantees: while syncs take longer than two seconds or are not heard of,
`Syncer.check` raises, and no new session is accepted.  Once a sync has failed it
raises until the supervisor starts anew: the kernel may have dropped what it could
not write, and the next sync would succeed without it.

Left to others: refusing (`vault.recorder`), syncing at the end of a call
(`vault.spool`).

Spec: syncfs(2); since Linux 5.8 it reports write-back errors.
"""

import asyncio
import ctypes
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from vault.core.errors import SpoolFullError
from vault.process import die_with_parent, harden
from vault.tap.config import SyncConfig

SYNC_FAILED: Final = "spool-sync-failed"
SYNC_SLOW: Final = "spool-sync-slow"
SYNCER_DIED: Final = "spool-syncer-died"

_RESTART_S: Final = 1.0
_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]

_log = structlog.get_logger()


class Syncer:
    """The supervisor's view of the process that syncs."""

    def __init__(self, config: SyncConfig) -> None:
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._unread = b""
        self._trouble = ""
        self._failure = ""
        self._tell: Callable[[str], None] | None = None
        self._heard_s = 0.0
        self._restart: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Start the process; the first `check` waits for nothing."""
        self._begin()

    async def stop(self) -> None:
        """End the process."""
        if self._restart is not None:
            self._restart.cancel()
        process, self._process = self._process, None
        if process is not None:
            assert process.stdout is not None
            asyncio.get_running_loop().remove_reader(process.stdout)
            process.kill()
            await asyncio.to_thread(process.wait)
            process.stdout.close()

    def tell(self, failed: Callable[[str], None]) -> None:
        """Call *failed* with the reason when a sync fails."""
        self._tell = failed

    @property
    def failure(self) -> str:
        """Why a sync has failed, or empty; it stays."""
        return self._failure

    def check(self) -> None:
        """Return if what is written becomes durable in time.

        Raises:
            SpoolFullError: A sync has failed, the last one was slow, or none was
                heard of.
        """
        if self._failure:
            raise SpoolFullError(
                f"a sync of the spool has failed ({self._failure}): see to its disk "
                "and start the tap anew",
                retry_after_s=30,
            )
        if self._trouble:
            raise SpoolFullError(f"the spool is not synced: {self._trouble}")
        silent_s = time.monotonic() - self._heard_s
        if silent_s > self._config.alarm_s + self._config.interval_s:
            raise SpoolFullError(f"the spool was not synced for {silent_s:.1f} s")

    def _begin(self) -> None:
        self._heard_s = time.monotonic()
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [
                *(sys.executable, "-m", "vault.tap.syncer"),
                *(str(self._config.folder.resolve()), str(self._config.interval_s)),
            ],
            cwd=_PACKAGE_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        asyncio.get_running_loop().add_reader(self._process.stdout, self._read)

    def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        octets = os.read(self._process.stdout.fileno(), 4096)
        if not octets:
            self._died()
            return
        *lines, self._unread = (self._unread + octets).split(b"\n")
        for line in lines:
            self._take(line.decode())

    def _take(self, line: str) -> None:
        self._heard_s = time.monotonic()
        outcome, _, detail = line.partition(" ")
        self._trouble = ""
        if outcome == "failed":
            self._fail(detail)
        elif float(detail) > self._config.alarm_s:
            self._trouble = f"it took {detail} s"
            _log.error(SYNC_SLOW, took_s=float(detail))

    def _fail(self, error: str) -> None:
        if not self._failure:
            self._failure = error
            _log.critical(SYNC_FAILED, error=error)
        if self._tell is not None:
            self._tell(f"syncfs: {error}")

    def _died(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._process.stdout)
        self._process.stdout.close()
        self._trouble = "its process ended"
        _log.error(SYNCER_DIED)
        loop.run_in_executor(None, self._process.wait)
        self._process = None
        self._restart = loop.call_later(_RESTART_S, self._begin)


def sync_forever(folder: Path, interval_s: float) -> None:
    """Sync the file system of *folder* every *interval_s*, and say so on stdout."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    while True:
        start_s = time.monotonic()
        if libc.syncfs(fd) == 0:
            said = f"synced {time.monotonic() - start_s:.3f}"
        else:
            said = f"failed {errno.errorcode.get(ctypes.get_errno(), 'EIO')}"
        os.write(1, f"{said}\n".encode())
        time.sleep(max(0.0, start_s + interval_s - time.monotonic()))


def main() -> None:
    """Sync until the supervisor ends: it has nothing to finish."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    die_with_parent(signal.SIGKILL)
    harden()
    try:
        sync_forever(Path(sys.argv[1]), float(sys.argv[2]))
    except BrokenPipeError:
        return


if __name__ == "__main__":
    main()
