"""When things are due: many timers, of which one at a time is waited for.

Guarantees: setting, dropping and taking one costs O(log n); memory follows the
number of timers that stand, however often they were set anew.
"""

import heapq
import itertools
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

_K = TypeVar("_K", bound=Hashable)

_SPARE: Final = 1024
"Outdated entries that are not worth tidying up."


class Deadlines(Generic[_K]):
    """One due time per key, by a clock of the caller's."""

    __slots__ = ("_count", "_due", "_heap")

    def __init__(self) -> None:
        self._due: dict[_K, float] = {}
        self._heap: list[tuple[float, int, _K]] = []
        self._count = itertools.count()

    def set(self, key: _K, due_s: float) -> None:
        """Make *key* due at *due_s*, instead of whenever it was."""
        if self._due.get(key) == due_s:
            return
        self._due[key] = due_s
        # Entries of before stay where they are and mean nothing any more.
        if len(self._heap) > 2 * len(self._due) + _SPARE:
            self._heap = [
                (due, next(self._count), key) for key, due in self._due.items()
            ]
            heapq.heapify(self._heap)
        else:
            heapq.heappush(self._heap, (due_s, next(self._count), key))

    def drop(self, key: _K) -> None:
        """Forget *key*, if it is known."""
        self._due.pop(key, None)

    def take(self, now_s: float) -> _K | None:
        """Return, and forget, the key that has been due longest; None if none is."""
        due_s = self.next_s
        if due_s is None or due_s > now_s:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._due[key]
        return key

    @property
    def next_s(self) -> float | None:
        """When the first of them is due; None where there is none."""
        heap = self._heap
        while heap:
            due_s, _, key = heap[0]
            if self._due.get(key) == due_s:
                return due_s
            heapq.heappop(heap)
        return None

    def __len__(self) -> int:
        return len(self._due)
