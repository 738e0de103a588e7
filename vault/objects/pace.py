"""A limit on octets per second, for uploads beside calls on one line.

Guarantees: over any longer time no more than the rate is read through a pace; what
shares a pace shares the rate.

Left to others: what is read (`vault.objects.s3`).
"""

import io
import threading
import time
from typing import BinaryIO, Final

_STEPS_PER_S: Final = 8
_LEAST: Final = 4096


class Pace:
    """A line's share, in octets per second."""

    def __init__(self, bytes_per_s: int) -> None:
        if bytes_per_s <= 0:
            raise ValueError("a pace is more than nothing")
        self._bytes_per_s = bytes_per_s
        self._lock = threading.Lock()
        self._free_s = 0.0
        "By the monotonic clock: when the line has carried all that was taken."

    @property
    def step(self) -> int:
        """Octets to take at a time, so that nobody waits long."""
        return max(_LEAST, self._bytes_per_s // _STEPS_PER_S)

    def take(self, octets: int) -> None:
        """Wait until the line is free, and take it for *octets*."""
        with self._lock:
            now_s = time.monotonic()
            wait_s = max(0.0, self._free_s - now_s)
            self._free_s = now_s + wait_s + octets / self._bytes_per_s
        time.sleep(wait_s)

    def read_through(self, body: BinaryIO) -> BinaryIO:
        """Return *body* as something that is read no faster than the pace."""
        return io.BufferedReader(_Paced(body, self), buffer_size=_LEAST)


class _Paced(io.RawIOBase):
    def __init__(self, body: BinaryIO, pace: Pace) -> None:
        self._body = body
        self._pace = pace

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview") -> int:  # type: ignore[override] # what BufferedReader gives
        octets = self._body.read(min(len(buffer), self._pace.step))
        self._pace.take(len(octets))
        buffer[: len(octets)] = octets
        return len(octets)
