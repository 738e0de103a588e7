"""Being asked to stop, by a signal, without a lock.

`threading.Event.set` in a signal handler can wait for the very lock that the
interrupted `wait` holds, and then nothing but SIGKILL ends the process.  A flag and
a pipe need no lock.

Guarantees: after SIGTERM or SIGINT, `is_set` is true and every `wait` returns at
once, however often and whenever the signals come.

Spec: signal-safety(7), "the self-pipe trick".
"""

import os
import select
import signal
from contextlib import suppress


class StopRequest:
    """Takes over SIGTERM and SIGINT of this process; make it in the main thread."""

    def __init__(self) -> None:
        self._asked = 0
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def is_set(self) -> bool:
        """Tell whether somebody has asked."""
        return self._asked > 0

    @property
    def times(self) -> int:
        """How often somebody has asked: twice means now."""
        return self._asked

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until somebody asks, *timeout* seconds at most; tell whether."""
        if not self._asked:
            poller = select.poll()
            poller.register(self._read, select.POLLIN)
            poller.poll(None if timeout is None else max(0.0, timeout) * 1000)
        return self._asked > 0

    def _ask(self, *_: object) -> None:
        self._asked += 1
        # Never read: from now on every wait ends at once.  A full pipe is fine.
        with suppress(OSError):
            os.write(self._write, b".")
