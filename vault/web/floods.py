"""Refusals that come by the hundred: told to the trail in sums.

Each leaf is made durable before the next; a flood that wrote one for every sign-in
that was not even looked at would keep everybody else's leaves waiting.

Guarantees: the first refusal has its leaf at once, those after it one a second with
their number; the last ones are told within seconds, and none is counted twice.

Left to others: when to tell the rest (`vault.web.app`), what was looked at and was
wrong: each of those has its own leaf (`vault.web.entrance`).
"""

import threading
import time
from collections.abc import Callable
from typing import Final

EVERY_S: Final = 1.0


class Floods:
    """Counts what is not told yet; safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with nothing to tell; *clock* says monotonic seconds."""
        self._clock = clock
        self._lock = threading.Lock()
        self._untold = 0
        self._told_s = float("-inf")

    def count(self) -> None:
        """Count one refusal, for whoever tells next."""
        with self._lock:
            self._untold += 1

    def note(self) -> int:
        """Count one refusal; return how many to tell of now, which may be none."""
        with self._lock:
            self._untold += 1
            return self._due()

    def rest(self) -> int:
        """Return how many are to be told of now, though no other one came."""
        with self._lock:
            return self._due()

    def _due(self) -> int:
        now_s = self._clock()
        if not self._untold or now_s - self._told_s < EVERY_S:
            return 0
        due, self._untold, self._told_s = self._untold, 0, now_s
        return due
