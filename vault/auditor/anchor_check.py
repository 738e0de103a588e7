"""Comparing what lies in the object store with the log, entry by entry.

It goes along with a walk over the entries (`vault.audit.fsck`, or the monitor's), makes
the tiles anew, and compares each with the one that was published; checkpoints that
were kept must have the root that the entries had at that size.

Guarantees: a published tile, bundle or checkpoint that says something else than the
log is found; so is a checkpoint of entries that the log does not have (any more).
Memory stays flat but for the sizes of kept checkpoints.

Left to others: reading the entries; time stamps (`vault.auditor.timestamps`).

Spec: docs/reference/formats/anchors.md
"""

from collections.abc import Callable, Iterator
from typing import Final

from vault.audit.checkpoint import Checkpoint, Verifier
from vault.audit.findings import Finding
from vault.audit.tiles import TILE_WIDTH, TileName
from vault.audit.tiling import Tiling
from vault.auditor.anchors import Anchors, opened
from vault.core.errors import NotFoundError, TrailBrokenError
from vault.objects.interfaces import ObjectStore
from vault.objects.keys import ObjectKey

_CHANGED: Final = "changed"
_GONE: Final = "gone"


class AnchorCheck:
    """Implements `vault.audit.fsck.Watcher` for one store."""

    def __init__(
        self,
        store: ObjectStore,
        verifier: Verifier,
        *,
        stamps: Callable[[ObjectKey, bytes], str] = lambda _key, _note: "",
    ) -> None:
        """Compare with what *store* holds of the log of *verifier*.

        Args:
            store: Where anchors lie.
            verifier: The log's public key.
            stamps: Says what is wrong with the time stamp under a key over the
                octets of a kept checkpoint; empty when nothing is.
        """
        self._store = store
        self._verifier = verifier
        self._stamps = stamps
        self._anchors = Anchors(verifier.name)
        self._tiling = Tiling()
        self._published: Checkpoint | None = None
        self._kept: frozenset[int] = frozenset()
        self.tiles = 0
        "Tiles and bundles that are as they should be."
        self.checkpoints = 0
        "Kept checkpoints that hold."

    def begin(self) -> Finding | None:
        """Look at what is there, before the walk.

        Returns:
            What is wrong with the newest checkpoint itself; None if nothing is.

        Raises:
            StoreUnavailableError: Safe to retry.
        """
        self._kept = frozenset(self._anchors.kept_sizes(self._store))
        try:
            note = self._store.read(self._anchors.newest).decode(errors="replace")
            self._published = opened(self._verifier, note)
        except NotFoundError:
            if not self._kept:
                return None
            return _finding(_GONE, self._anchors.newest, "checkpoints were kept")
        except TrailBrokenError as exc:
            return _finding(_CHANGED, self._anchors.newest, str(exc))
        return None

    @property
    def published(self) -> int:
        """Entries that the newest published checkpoint covers."""
        return self._published.size if self._published else 0

    def entry(self, octets: bytes) -> Iterator[Finding]:
        """See `Watcher`."""
        for name, tile in self._tiling.append(octets):
            if name.span.stop * TILE_WIDTH ** (name.level or 0) <= self.published:
                yield from self._compare(name, tile)

    def grown(self, size: int, root: Callable[[], bytes]) -> Iterator[Finding]:
        """See `Watcher`."""
        if size in self._kept:
            yield from self._compare_kept(size, root())
        published = self._published
        if published is None or size != published.size:
            return
        if published.root != root():
            why = f"it was signed over other entries than the first {size}"
            yield _finding(_CHANGED, self._anchors.newest, why)
            return
        for name, tile in self._tiling.partial():
            yield from self._compare(name, tile)

    def end(self, size: int) -> Iterator[Finding]:
        """Say what the store knows beyond the *size* entries of the walk."""
        beyond = [kept for kept in self._kept if kept > size]
        newest = max([self.published, *beyond])
        if newest > size:
            text = (
                f"the store holds a checkpoint of {newest} entries, and the log has "
                f"{size}: it was cut, or restored from a backup"
            )
            yield Finding(what="cut", text=text, entry=size)

    def _compare_kept(self, size: int, root: bytes) -> Iterator[Finding]:
        key = self._anchors.kept(size)
        try:
            octets = self._store.read(key)
            signed = opened(self._verifier, octets.decode(errors="replace"))
        except NotFoundError:
            yield _finding(_GONE, key, "it was there a moment ago")
            return
        except TrailBrokenError as exc:
            yield _finding(_CHANGED, key, str(exc))
            return
        if (signed.size, signed.root) != (size, root):
            why = f"it was signed over other entries than the first {size}"
            yield _finding(_CHANGED, key, why)
            return
        stamp = self._anchors.time_stamp(size)
        if problem := self._stamps(stamp, octets):
            yield _finding("timestamp", stamp, problem)
            return
        self.checkpoints += 1

    def _has_moved_on(self) -> bool:
        note = self._store.read(self._anchors.newest).decode(errors="replace")
        return opened(self._verifier, note).size > self.published

    def _compare(self, name: TileName, tile: bytes) -> Iterator[Finding]:
        key = self._anchors.tile(name)
        try:
            held = self._store.read(key)
        except NotFoundError:
            # A partial tile is dropped when a newer checkpoint was published.
            if name.width == TILE_WIDTH or not self._has_moved_on():
                yield _finding(_GONE, key, "a published checkpoint needs it")
            return
        if held != tile:
            yield _finding(_CHANGED, key, "it is not what the entries give")
            return
        self.tiles += 1


def _finding(how: str, key: ObjectKey, why: str) -> Finding:
    verbs = {_GONE: "is missing", _CHANGED: "was changed"}
    text = f"{key} in the store {verbs.get(how, 'does not hold')}: {why}"
    return Finding(what=f"anchor-{how}", text=text)
