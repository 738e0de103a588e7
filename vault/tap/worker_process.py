"""A media worker as an operating system process: started here, or found running.

Guarantees: a signal reaches the worker it is meant for and no later process with its
number (pidfd); a child is reaped; a worker that was adopted needs no reaping.

Left to others: what is said to it (`vault.tap.link`).

Spec: pidfd_open(2), sched(7), clock_getcpuclockid(3).
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Final

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]
"Where ``-m`` finds this very package, installed or not."

_CPUCLOCK_SCHED: Final = 2
_WAITS_FOR_DISK: Final = "D"


class WorkerProcess:
    """One worker process, from start or adoption to end."""

    def __init__(
        self, pid: int, popen: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        """Hold on to the process *pid*.

        Raises:
            ProcessLookupError: There is none.
        """
        self.pid = pid
        self._popen = popen
        self._pidfd = os.pidfd_open(pid)
        self._lock = threading.Lock()

    @classmethod
    def start(cls, end_fd: int) -> "WorkerProcess":
        """Start a worker whose end of the control socket is *end_fd*.

        In this thread and not in a helper's: it takes a few milliseconds, once.
        """
        popen = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "vault.tap.worker", str(end_fd)],
            cwd=_PACKAGE_ROOT,
            pass_fds=(end_fd,),
            stdin=subprocess.DEVNULL,
        )
        return cls(popen.pid, popen)

    def kill(self) -> None:
        """End it now, if it still runs."""
        with contextlib.suppress(OSError):
            # No process any more, or reaped in another thread at this moment.
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for its end and reap it; whether it has ended."""
        with self._lock:
            if self._pidfd < 0:
                return True
            poller = select.poll()
            poller.register(self._pidfd, select.POLLIN)
            if not poller.poll(None if timeout_s is None else timeout_s * 1000):
                return False
            if self._popen is not None:
                self._popen.wait()
            os.close(self._pidfd)
            self._pidfd = -1
            return True

    def pin(self, core: int) -> None:
        """Keep it on one core, where that is allowed."""
        with contextlib.suppress(OSError):
            os.sched_setaffinity(self.pid, {core})

    def core(self) -> int | None:
        """Return the core that it is kept on, if it is."""
        with contextlib.suppress(OSError):
            cores = os.sched_getaffinity(self.pid)
            if len(cores) == 1:
                return cores.pop()
        return None

    def cpu_s(self) -> float:
        """Return the seconds of CPU time that it has used; 0 if nobody says."""
        # The clock of another process, as clock_getcpuclockid(3) makes its number.
        # Not /proc, which ProtectProc= hides from a process's own siblings.
        with contextlib.suppress(OSError):
            return time.clock_gettime((~self.pid << 3) | _CPUCLOCK_SCHED)
        return 0.0

    def waits_for_disk(self) -> bool:
        """Tell whether it sits in the kernel until a disk answers, as far as known."""
        with contextlib.suppress(OSError):
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2]
            return state.split()[0] == _WAITS_FOR_DISK
        return False
