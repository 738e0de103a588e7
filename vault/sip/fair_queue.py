"""What waits to be worked on, one address after the other.

    put("a", 1) put("a", 2) put("a", 3) put("b", 4)   take: 1 4 2 3

A flood fills the queue of its own address; a message of any other address waits for
one message of each address before it, and for no more.

Guarantees: what waits is bounded in octets, in all and by address; putting and
taking cost the same however much waits.

Left to others: whose messages come first (`vault.sip.datagrams`), budgets
(`vault.sip.limits`).
"""

from collections import OrderedDict, deque
from typing import Final, Generic, TypeVar

_T = TypeVar("_T")

_OVERHEAD_BYTES: Final = 512
"Of an item beside its octets, about."


class FairQueue(Generic[_T]):
    """Items by key, taken in turns."""

    def __init__(self, *, max_bytes: int, max_bytes_each: int) -> None:
        """Hold *max_bytes* in all, *max_bytes_each* of them of one key."""
        self._max_bytes = max_bytes
        self._max_bytes_each = max_bytes_each
        self._bytes = 0
        self._waiting: OrderedDict[str, deque[tuple[_T, int]]] = OrderedDict()
        "Whose turn is next, first."
        self._bytes_of: dict[str, int] = {}

    def put(self, key: str, item: _T, size_bytes: int) -> bool:
        """Queue *item* behind others of *key*; return False where there is no room."""
        size_bytes += _OVERHEAD_BYTES
        held = self._bytes_of.get(key, 0)
        if (
            held + size_bytes > self._max_bytes_each
            or self._bytes + size_bytes > self._max_bytes
        ):
            return False
        self._bytes += size_bytes
        self._bytes_of[key] = held + size_bytes
        self._waiting.setdefault(key, deque()).append((item, size_bytes))
        return True

    def take(self) -> _T | None:
        """Return the item whose turn it is; None where nothing waits."""
        if not self._waiting:
            return None
        key, items = self._waiting.popitem(last=False)
        item, size_bytes = items.popleft()
        self._bytes -= size_bytes
        if items:
            self._waiting[key] = items
            self._bytes_of[key] -= size_bytes
        else:
            del self._bytes_of[key]
        return item

    def drop(self, key: str) -> int:
        """Forget what waits of *key*; return how many items that were."""
        items = self._waiting.pop(key, None)
        self._bytes -= self._bytes_of.pop(key, 0)
        return len(items) if items else 0

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        self._bytes_of.clear()
        self._bytes = 0

    def __len__(self) -> int:
        """Return how many keys have something waiting."""
        return len(self._waiting)
