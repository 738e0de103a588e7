"""What a check of the log has found, and who goes along with one.

Left to others: checking (`vault.audit.fsck`, `vault.auditor.monitoring`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong."""

    what: str
    "A word for it: ``entry``, ``column``, ``node``, ``root``, ``signature``, …"
    text: str
    "What is wrong, and what it means."
    entry: int | None = None
    "Index of the first entry that it is about, where it is about one."


class Watcher(Protocol):
    """Who goes along with the walk: the store's tiles are compared meanwhile."""

    def entry(self, octets: bytes) -> Iterator[Finding]:
        """Take the next entry."""
        ...

    def grown(self, size: int, root: Callable[[], bytes]) -> Iterator[Finding]:
        """The walk has come to *size* entries; the root can be asked for."""
        ...
