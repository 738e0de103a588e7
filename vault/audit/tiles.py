"""Tiles: the tree and the entries as immutable files that anyone can cache.

    tile/<level>/<index>[.p/<width>]     width hashes (256 in a full tile)
    tile/entries/<index>[.p/<width>]     width times: u16 length ‖ entry, big-endian

A tile of level L holds nodes of tree level 8·L.  The index is written in groups of
three digits, all but the last with an ``x``: 1234067 is ``x001/x234/067``.

Guarantees: a `TileName` that parsed names exactly one tile, spelled one way, so
it is safe in a path and a query.

Left to others: reading nodes (`vault.audit.reading`), serving and publishing.

Spec: https://c2sp.org/tlog-tiles
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from vault.audit.entry import MAX_ENTRY_BYTES
from vault.audit.tree import HASH_SIZE
from vault.core.errors import InvalidInputError, TrailBrokenError

TILE_WIDTH: Final = 256
TILE_HEIGHT: Final = 8
MAX_LEVEL: Final = 63
ENTRIES: Final = "entries"

_LENGTH_SIZE: Final = 2
_PATH: Final = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/"
    r"(?P<index>(?:x[0-9]{3}/){0,5}[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TileName:
    """Which tile; *level* is None for entry bundles, *width* 256 when full."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    def __post_init__(self) -> None:
        level = 0 if self.level is None else self.level
        if not (0 <= level <= MAX_LEVEL and 0 < self.width <= TILE_WIDTH):
            raise ValueError("no such tile")
        if self.index < 0:
            raise ValueError("no such tile")

    def __str__(self) -> str:
        level = ENTRIES if self.level is None else str(self.level)
        partial = "" if self.width == TILE_WIDTH else f".p/{self.width}"
        return f"tile/{level}/{_grouped(self.index)}{partial}"

    @classmethod
    def parse(cls, path: str) -> Self:
        """Read a tile path.

        Raises:
            InvalidInputError: Not a tile path in its one spelling.
        """
        match = _PATH.fullmatch(path)
        if match is None:
            raise InvalidInputError("not a tile")
        level = match["level"]
        index = int(match["index"].replace("x", "").replace("/", ""))
        try:
            name = cls(
                level=None if level == ENTRIES else int(level),
                index=index,
                width=int(match["width"] or TILE_WIDTH),
            )
        except ValueError:
            raise InvalidInputError("not a tile") from None
        if str(name) != path:
            raise InvalidInputError("not a tile")
        return name

    @property
    def tree_level(self) -> int:
        """The level of the tree whose nodes the tile holds."""
        return TILE_HEIGHT * (self.level or 0)

    @property
    def span(self) -> range:
        """Positions of its nodes on that level, or of its entries."""
        start = self.index * TILE_WIDTH
        return range(start, start + self.width)


def tiles_of(size: int) -> list[TileName]:
    """Return every tile of the log of *size* entries, partial ones included."""
    names = list(_row(None, size))
    level = 0
    while size > 0:
        names.extend(_row(level, size))
        size //= TILE_WIDTH
        level += 1
    return names


def encode_hashes(hashes: Sequence[bytes]) -> bytes:
    """Return the octets of a tile."""
    return b"".join(hashes)


def parse_hashes(octets: bytes) -> list[bytes]:
    """Return the hashes of a tile.

    Raises:
        TrailBrokenError: Not whole hashes, or more than fit into one tile.
    """
    count, rest = divmod(len(octets), HASH_SIZE)
    if rest or not 0 < count <= TILE_WIDTH:
        raise TrailBrokenError("not a tile")
    return [octets[i : i + HASH_SIZE] for i in range(0, len(octets), HASH_SIZE)]


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Return the octets of an entry bundle."""
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise ValueError("an entry that no bundle can hold")
    return b"".join(len(entry).to_bytes(_LENGTH_SIZE) + entry for entry in entries)


def parse_bundle(octets: bytes) -> list[bytes]:
    """Return the entries of a bundle.

    Raises:
        TrailBrokenError: Cut short, empty, or more than fit into one bundle.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(octets):
        start = at + _LENGTH_SIZE
        stop = start + int.from_bytes(octets[at:start])
        if start > len(octets) or stop > len(octets):
            raise TrailBrokenError("the bundle is cut short")
        entries.append(octets[start:stop])
        at = stop
    if not 0 < len(entries) <= TILE_WIDTH:
        raise TrailBrokenError("not a bundle")
    return entries


def _row(level: int | None, count: int) -> list[TileName]:
    full, rest = divmod(count, TILE_WIDTH)
    names = [TileName(level=level, index=index) for index in range(full)]
    if rest:
        names.append(TileName(level=level, index=full, width=rest))
    return names


def _grouped(index: int) -> str:
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join([*(f"x{group}" for group in groups[:-1]), groups[-1]])
