"""Header fields of equally long RTP records, all records at once.

Guarantees: nothing is read past a record, whatever its header says.

Left to others: what the fields mean (`vault.renditions.packets`).

Spec: RFC 3550, sections 5.1 and 5.3.1
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from vault.renditions.records import Octets
from vault.tap.capture import HEADER_SIZE

_RTP_HEADER: Final = 12
_NS_PER_S: Final = 1_000_000_000


def arrival_ns(rows: Octets) -> NDArray[np.int64]:
    """Return when each record's packet arrived, in nanoseconds since the epoch."""
    times = np.ascontiguousarray(rows[:, :16]).view("<i8")
    arrival: NDArray[np.int64] = times[:, 0] * _NS_PER_S + times[:, 1]
    return arrival


def field(rows: Octets, at: int, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return the field of type *kind* at octet *at* of each packet."""
    first = HEADER_SIZE + at
    octets = np.ascontiguousarray(rows[:, first : first + kind.itemsize])
    return octets.view(kind)[:, 0]


def payload_spans(rows: Octets) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return where in each row the payload starts and stops; stop < start is bad.

    Spec: RFC 3550, sections 5.1 (CSRC list, padding) and 5.3.1 (extension).
    """
    size = rows.shape[1]
    start = np.full(len(rows), HEADER_SIZE + _RTP_HEADER, np.int64)
    stop = np.full(len(rows), size, np.int64)
    if size < HEADER_SIZE + _RTP_HEADER:
        return start, stop
    first = rows[:, HEADER_SIZE]
    start += 4 * (first & 0x0F).astype(np.int64)
    extended = np.flatnonzero(first & 0x10)
    # A header extension that its packet is too short for stays past the end.
    reach = start[extended] + 4
    start[extended] = reach
    inside = extended[reach <= size]
    words = rows[inside, start[inside] - 2].astype(np.int64) << 8
    start[inside] += 4 * (words | rows[inside, start[inside] - 1])
    padded = np.flatnonzero(first & 0x20)
    pad = rows[padded, -1].astype(np.int64)
    # Padding counts itself, so zero is a lie (RFC 3550, A.1).
    stop[padded] -= np.where(pad == 0, size, pad)
    stop[first >> 6 != 2] = -1  # noqa: PLR2004 - RTP version
    return start, stop
