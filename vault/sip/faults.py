"""Bugs of ours that a message has found: written down, one line a second at most.

Guarantees: nothing that a peer sent is in the line, neither is the error's own text,
which could quote it; a flood of messages makes no flood of lines.
"""

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

FAULT: Final = "sip.fault"
_EVERY_S: Final = 1.0

log = structlog.get_logger()


class Faults:
    """Writes them down."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        """Tell the time by *clock*, monotonic seconds."""
        self._clock = clock
        self._last_s = -_EVERY_S
        self.count = 0

    def note(self, error: Exception) -> None:
        """Say where *error* was raised, and its class."""
        self.count += 1
        now_s = self._clock()
        if now_s - self._last_s < _EVERY_S:
            return
        self._last_s = now_s
        frame = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(frame.filename).name}:{frame.lineno}"
        log.error(FAULT, problem=type(error).__name__, where=where)
