"""How many media answers one session may have open at once.

Guarantees: one listener, or a stolen session, cannot occupy every thread.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vault.core.errors import ThrottledError


@dataclass(frozen=True, slots=True, kw_only=True)
class TailPace:
    """How often who follows the trail looks, and how long that lives."""

    look_every_s: float = 2.0
    life_s: float = 600.0


class StreamSlots:
    """Counts open streams by session; safe to share between threads."""

    def __init__(self, *, per_session: int) -> None:
        self._per_session = per_session
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, session_id: str) -> Iterator[None]:
        """Hold one slot.

        Raises:
            ThrottledError: The session has all of its slots open.
        """
        with self._lock:
            if self._open[session_id] >= self._per_session:
                raise ThrottledError("too many streams at once", retry_after_s=1)
            self._open[session_id] += 1
        try:
            yield
        finally:
            with self._lock:
                self._open[session_id] -= 1
                if not self._open[session_id]:
                    del self._open[session_id]
