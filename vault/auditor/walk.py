"""A walk over the log by way of the warden: some entries each time, all checked.

Guarantees: entries, leaves, the hashes of full tiles, every checkpoint on the way, and
the columns that searches go by are compared with what the entries give; a walk that
meets a contradiction stays where it is, and meets it again.

Left to others: how often and how far (`vault.auditor.monitoring`); rows that no reader
can ask for, as the whole of `log_node` (`vault.audit.fsck`).
"""

from collections.abc import Sequence
from typing import Final

from vault.audit.checkpoint import Verifier
from vault.audit.findings import Watcher
from vault.audit.lineage import open_checkpoint
from vault.audit.query import EVERYTHING
from vault.audit.source import MAX_PAGE, TrailSource
from vault.audit.tiles import parse_hashes
from vault.audit.tiling import Tile, Tiling
from vault.core.errors import TrailBrokenError

_CHUNK: Final = 256


class Walk:
    """How far it is, and the tree until there."""

    def __init__(
        self,
        trail: TrailSource,
        verifier: Verifier,
        *,
        tiling: Tiling | None = None,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        """Walk over the log of *trail* from where *tiling* ends."""
        self._trail = trail
        self._verifier = verifier
        self._watchers = watchers
        self.tiling = tiling or Tiling()

    @property
    def size(self) -> int:
        """Entries that were checked."""
        return self.tiling.size

    def advance(self, *, most: int, size: int) -> int:
        """Check the next entries, *most* at most, up to *size*; return how many.

        Raises:
            TrailBrokenError: Something contradicts the entries, or what was signed.
            UnavailableError: The warden is away.
        """
        before, stop = self.size, min(self.size + most, size)
        while self.size < stop:
            self._chunk(self.size, min(self.size + _CHUNK, stop))
        return self.size - before

    def _chunk(self, start: int, stop: int) -> None:
        # 1. Entries against their leaves, and against the columns beside them.
        entries = self._trail.entries(start, stop)
        self._columns(start, stop)
        # 2. The tree, and whoever goes along.
        tiling, tiles = self.tiling.copy(), list[Tile]()
        notes = dict(self._trail.marks(start + 1, spacing=1, below=stop + 1))
        for octets in entries:
            tiles += tiling.append(octets)
            if note := notes.pop(tiling.size, None):
                self._compare_note(tiling, note)
            self._watch(octets, tiling)
        if notes:
            raise TrailBrokenError(f"no checkpoint of {min(notes)} can be there")
        # 3. What the database says of that tree.
        for name, octets in tiles:
            if name.level is not None:
                self._compare_tile(parse_hashes(octets), self._trail.hashes(name), name)
        self.tiling = tiling

    def _columns(self, start: int, stop: int) -> None:
        cursor: str | None = str(stop)
        while cursor is not None and int(cursor) > start:
            limit = min(MAX_PAGE, int(cursor) - start)
            cursor = self._trail.page(EVERYTHING, cursor=cursor, limit=limit).next

    def _compare_note(self, tiling: Tiling, note: str) -> None:
        signed = open_checkpoint(self._verifier, note)
        if (signed.size, signed.root) != (tiling.size, tiling.root()):
            raise TrailBrokenError(
                f"the first {tiling.size} entries are not those that were signed"
            )

    def _compare_tile(
        self, made: Sequence[bytes], stored: Sequence[bytes], name: object
    ) -> None:
        if list(made) != list(stored):
            raise TrailBrokenError(f"the hashes of {name} are not those of its entries")

    def _watch(self, octets: bytes, tiling: Tiling) -> None:
        for watcher in self._watchers:
            for finding in watcher.entry(octets):
                raise TrailBrokenError(finding.text)
            for finding in watcher.grown(tiling.size, tiling.root):
                raise TrailBrokenError(finding.text)
