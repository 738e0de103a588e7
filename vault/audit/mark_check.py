"""Comparing the log with the signer's high-water mark, along a walk over its entries.

Guarantees: a log that is shorter than the mark, or has another root at its size, is
found without any key.

Left to others: reading the mark (`vault.audit.mark`), the walk (`vault.audit.fsck`).
"""

from collections.abc import Callable, Iterator

from vault.audit.findings import Finding
from vault.audit.mark import Mark


class MarkCheck:
    """Implements `vault.audit.findings.Watcher`."""

    def __init__(self, mark: Mark) -> None:
        self._mark = mark

    def entry(self, octets: bytes) -> Iterator[Finding]:
        """See `Watcher`."""
        del octets
        return iter(())

    def grown(self, size: int, root: Callable[[], bytes]) -> Iterator[Finding]:
        """See `Watcher`."""
        if size == self._mark.size and root() != self._mark.root:
            text = (
                f"the signer remembers another log of {size} entries: the database was "
                "swapped"
            )
            yield Finding(what="mark", text=text, entry=size - 1)

    def end(self, size: int) -> Iterator[Finding]:
        """Say whether the *size* entries of the walk are fewer than were signed."""
        if size < self._mark.size:
            text = (
                f"the log has {size} entries, and {self._mark.size} were signed: it "
                "was cut, or restored from a backup"
            )
            yield Finding(what="cut", text=text, entry=size)
