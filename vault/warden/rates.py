"""How many keys one actor may have in an hour.

A moving window over the monotonic clock, per actor: 60 releases within an hour
raise an alarm, 600 end in a refusal.  A listener who is quick opens some 20.

Guarantees: memory is bounded by the actors of the last hour times 600; a step
of the wall clock neither opens nor closes the window.

Left to others: the leaf about a refusal (`vault.warden.service`).

Not the ``limits`` package, which the web uses: its memory store counts by the
wall clock and starts a timer thread, and this process is to be read in an
evening.
"""

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum, auto, unique
from typing import Final

ALARM_PER_HOUR: Final = 60
LIMIT_PER_HOUR: Final = 600
WINDOW_S: Final = 3600.0
_LEAF_INTERVAL_S: Final = 60.0
_SWEEP_INTERVAL_S: Final = 600.0


@unique
class Verdict(Enum):
    """What the window says about one more release."""

    ADMITTED = auto()
    ADMITTED_WITH_ALARM = auto()
    REFUSED = auto()
    REFUSED_AGAIN = auto()
    "Refused less than a minute ago, too: no second leaf, or refusals flood the log."


class _Window:
    __slots__ = ("alarmed", "refused_s", "times")

    def __init__(self) -> None:
        self.times: deque[float] = deque()
        self.alarmed = False
        self.refused_s = float("-inf")


class ReleaseRates:
    """Counts releases per actor; thread-safe."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Use *monotonic* (seconds) as the clock."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}
        self._swept_s = monotonic()

    def count(self, actor: str) -> Verdict:
        """Count one more release for *actor*, unless the window is full."""
        with self._lock:
            now_s = self._monotonic()
            self._sweep(now_s)
            window = self._windows.setdefault(actor, _Window())
            _forget_old(window, now_s)
            if len(window.times) >= LIMIT_PER_HOUR:
                again = now_s - window.refused_s < _LEAF_INTERVAL_S
                if not again:
                    window.refused_s = now_s
                return Verdict.REFUSED_AGAIN if again else Verdict.REFUSED
            window.times.append(now_s)
            if len(window.times) < ALARM_PER_HOUR:
                window.alarmed = False
                return Verdict.ADMITTED
            if window.alarmed:
                return Verdict.ADMITTED
            window.alarmed = True
            return Verdict.ADMITTED_WITH_ALARM

    def retry_after_s(self, actor: str) -> int:
        """Return whole seconds until *actor*'s oldest release leaves the window."""
        with self._lock:
            window = self._windows.get(actor)
            if window is None or not window.times:
                return 1
            return max(1, int(window.times[0] + WINDOW_S - self._monotonic()) + 1)

    def _sweep(self, now_s: float) -> None:
        if now_s - self._swept_s < _SWEEP_INTERVAL_S:
            return
        self._swept_s = now_s
        for window in self._windows.values():
            _forget_old(window, now_s)
        self._windows = {
            actor: window for actor, window in self._windows.items() if window.times
        }


def _forget_old(window: _Window, now_s: float) -> None:
    while window.times and window.times[0] <= now_s - WINDOW_S:
        window.times.popleft()
