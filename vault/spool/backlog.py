"""What waits in a spool for its way to the store, oldest first.

Guarantees: looking through the spool takes a tenth of the time at most.  After an
outage it holds tens of thousands of recordings; what was found at one look is gone
through before the next one, however often somebody asks.

Left to others: the way itself, and when to try again (`vault.spool.shipper`).
"""

import contextlib
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from vault.core.errors import VaultError
from vault.core.ids import RecordingId
from vault.spool.files import MANIFEST
from vault.spool.spool import Spool

_REST: Final = 9
"Times as long as a look took, before the next one."


class Backlog:
    """The recordings of one spool that have a manifest."""

    def __init__(
        self, spool: Spool, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._spool = spool
        self._clock = clock
        self._started: dict[RecordingId, str] = {}
        self._found: deque[RecordingId] = deque()
        self._look_s = 0.0
        "By the clock: when to look again."

    def waiting(self) -> list[RecordingId]:
        """Return what has a manifest and was not freed yet, oldest first.

        What cannot be looked at now is looked at the next time.
        """
        found: list[RecordingId] = []
        with contextlib.suppress(VaultError):
            for recording_id in self._spool.recordings():
                with contextlib.suppress(VaultError):
                    if self._spool.folder(recording_id).has(MANIFEST):
                        found.append(recording_id)
        self._started = {one: self._start_of(one) for one in found}
        return sorted(found, key=self._started.__getitem__)

    @property
    def look_in_s(self) -> float:
        """Seconds until `look` looks."""
        return max(0.0, self._look_s - self._clock())

    def look(self) -> bool:
        """Look through the spool if it is time to; return whether it was."""
        began_s = self._clock()
        if began_s < self._look_s:
            return False
        self._found = deque(self.waiting())
        ended_s = self._clock()
        self._look_s = ended_s + _REST * (ended_s - began_s)
        return True

    def take(self) -> RecordingId | None:
        """Return the next one that was found; None where there is none left."""
        return self._found.popleft() if self._found else None

    def _start_of(self, recording_id: RecordingId) -> str:
        if recording_id not in self._started:
            with contextlib.suppress(VaultError):
                return self._spool.folder(recording_id).order().started
        return self._started.get(recording_id, "")
