"""Making tiles: entries in, full tiles out, and what is left in partial ones.

What a `Tiling` keeps is the partial tile of every level, at most 255 hashes each, so
a log of any size is cut into tiles in constant memory, and is gone on with at any
entry.  The root follows from the same hashes: who makes tiles knows what they prove.

Guarantees: tiles are made of the entries alone, and nothing that a database says of
the tree goes into them.

Left to others: comparing the root with what was signed, and storing
(`vault.auditor.publishing`, `vault.audit.fsck`).

Spec: https://c2sp.org/tlog-tiles
"""

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Self

from vault.audit import tree
from vault.audit.tiles import (
    TILE_HEIGHT,
    TILE_WIDTH,
    TileName,
    encode_bundle,
    encode_hashes,
)
from vault.core.canonical import JsonObject, JsonValue
from vault.core.errors import TrailBrokenError

_MAX_LEVELS: Final = 8

Tile = tuple[TileName, bytes]


class Tiling:
    """The right edge of a log, as tiles."""

    def __init__(self) -> None:
        """Begin with the empty log."""
        self.size = 0
        self._entries: list[bytes] = []
        self._tails: list[list[bytes]] = []

    def append(self, entry: bytes) -> Iterator[Tile]:
        """Add one entry and give every tile that is full by it."""
        index = self.size // TILE_WIDTH
        self._entries.append(entry)
        self.size += 1
        if len(self._entries) == TILE_WIDTH:
            yield TileName(level=None, index=index), encode_bundle(self._entries)
            self._entries = []
        carried: bytes | None = tree.leaf_hash(entry)
        level = 0
        while carried is not None:
            if level == len(self._tails):
                self._tails.append([])
            tail = self._tails[level]
            tail.append(carried)
            carried = None
            if len(tail) == TILE_WIDTH:
                at = (self.size >> TILE_HEIGHT * (level + 1)) - 1
                yield TileName(level=level, index=at), encode_hashes(tail)
                carried = tree.root(tail)
                self._tails[level] = []
            level += 1

    def partial(self) -> Iterator[Tile]:
        """Give the tiles that are not full yet."""
        if self._entries:
            name = TileName(
                level=None, index=self.size // TILE_WIDTH, width=len(self._entries)
            )
            yield name, encode_bundle(self._entries)
        for level, tail in enumerate(self._tails):
            if tail:
                index = self.size >> TILE_HEIGHT * (level + 1)
                name = TileName(level=level, index=index, width=len(tail))
                yield name, encode_hashes(tail)

    def root(self) -> bytes:
        """Return the root of the tree over all entries so far."""
        folded: bytes | None = None
        for tail in self._tails:
            for hashes in _perfect(tail):
                right = tree.root(hashes)
                folded = right if folded is None else tree.node_hash(right, folded)
        return tree.EMPTY_ROOT if folded is None else folded

    def copy(self) -> "Tiling":
        """Return one that grows on its own."""
        other = Tiling()
        other.size = self.size
        other._entries = list(self._entries)
        other._tails = [list(tail) for tail in self._tails]
        return other

    def members(self) -> JsonObject:
        """Return all that going on from here takes, but the entries of a bundle."""
        return {
            "size": self.size,
            "tails": [
                base64.b64encode(b"".join(tail)).decode() for tail in self._tails
            ],
        }

    @classmethod
    def resumed(
        cls, members: Mapping[str, JsonValue], entries: Sequence[bytes]
    ) -> Self:
        """Go on from `members`.

        Args:
            members: What was written down.
            entries: Those of the last bundle, if it is not full.

        Raises:
            TrailBrokenError: That is not what `members` gives, or the entries are not
                those that were hashed.
        """
        made = cls()
        match members:
            case {"size": int(size), "tails": list(tails)} if len(tails) <= _MAX_LEVELS:
                made.size = size
                made._tails = [_hashes(str(tail)) for tail in tails]
            case _:
                raise TrailBrokenError("not how far the log was cut into tiles")
        made._entries = list(entries)
        leaves = [tree.leaf_hash(entry) for entry in entries]
        if made._widths() != _widths_of(made.size) or leaves != made._tail(0):
            raise TrailBrokenError("what was remembered is not what was logged")
        return made

    def _tail(self, level: int) -> list[bytes]:
        return self._tails[level] if level < len(self._tails) else []

    def _widths(self) -> list[int]:
        widths = [len(tail) for tail in self._tails]
        while widths and not widths[-1]:
            widths.pop()
        return widths


def _widths_of(size: int) -> list[int]:
    widths: list[int] = []
    while size:
        widths.append(size % TILE_WIDTH)
        size //= TILE_WIDTH
    return widths


def _perfect(tail: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Cut a tail into the leaves of its perfect subtrees, the smallest first."""
    stop = len(tail)
    for bit in range(TILE_HEIGHT):
        width = 1 << bit
        if len(tail) & width:
            yield tail[stop - width : stop]
            stop -= width


def _hashes(text: str) -> list[bytes]:
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        octets = b"?"
    if len(octets) % tree.HASH_SIZE or len(octets) >= TILE_WIDTH * tree.HASH_SIZE:
        raise TrailBrokenError("not how far the log was cut into tiles")
    return [
        octets[at : at + tree.HASH_SIZE] for at in range(0, len(octets), tree.HASH_SIZE)
    ]
