"""Many records at a time: a capture as tables of records of one size.

Most calls send packets of one size, so most neighbours in a capture are equally
long.  A run of them is found by comparing length fields at a fixed stride and
handed over as one two-dimensional array, without touching records one by one.

Guarantees: the rows that come out are the records that
`vault.tap.capture.parse_records` yields, in the same order (a test compares
them); memory is one block and one record.

Left to others: what a record means (`vault.renditions.packets`).

Spec: docs/reference/formats/capture.md
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from vault.tap.capture import HEADER, HEADER_SIZE

Octets = NDArray[np.uint8]

# Where the members of a record header lie; `vault.tap.capture` draws it.
STREAM: Final = 16
KIND: Final = 17
_LENGTH: Final = slice(18, 20)


class RecordScanner:
    """Cuts blocks of plaintext into runs of equally long records."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def pending_bytes(self) -> int:
        """Octets at the end of the input so far that are no whole record."""
        return len(self._rest)

    def feed(self, block: bytes) -> Iterator[Octets]:
        """Yield each run of whole records as an array of (records, octets)."""
        octets = self._rest + block if self._rest else block
        view = np.frombuffer(octets, np.uint8)
        at, end = 0, len(octets)
        while end - at >= HEADER_SIZE:
            size = HEADER_SIZE + HEADER.unpack_from(octets, at)[4]
            if at + size > end:
                break
            count = _alike(view[at:], size)
            stop = at + count * size
            yield view[at:stop].reshape(count, size)
            at = stop
        self._rest = octets[at:]

    def end(self) -> int:
        """Forget an unfinished record, as between parts; return its octets."""
        left, self._rest = len(self._rest), b""
        return left


def _alike(view: Octets, size: int) -> int:
    """Return how many records of *size* octets follow each other from the start.

    If record k has the length of the first one, record k + 1 starts one stride
    further: that makes the comparison of length fields a proof.
    """
    whole = len(view) // size
    count, step = 1, 8
    while count < whole:
        # Looked at in growing windows, so that sizes that alternate do not cost
        # a comparison with the whole block each.
        stop = min(count + step, whole)
        rows = view[count * size : stop * size].reshape(stop - count, size)
        lengths = np.ascontiguousarray(rows[:, _LENGTH]).view("<u2")[:, 0]
        differs = np.flatnonzero(lengths != size - HEADER_SIZE)
        if len(differs):
            return count + int(differs[0])
        count, step = stop, step * 4
    return count
