"""What a datagram is, judged before any key is tried.

Guarantees: nothing here believes a datagram; it only says what is worth a try.
RTP and RTCP are told apart by an octet and never by a failed decryption.

Left to others: everything that needs a key (`vault.tap.intake`).

Spec: RFC 5761 section 4, RFC 7983 section 7.
"""

from typing import Final

from vault.tap.orders import Rejection
from vault.tap.rtp import FIXED_SIZE, RTCP_SECOND_OCTETS, RTP_FIRST_OCTETS
from vault.tap.slots import ROOM, Slots

RTP_SHAPES: Final = frozenset(
    first << 8 | second
    for first in RTP_FIRST_OCTETS
    for second in set(range(256)) - set(RTCP_SECOND_OCTETS)
)
"The first two octets of RTP packets, as numbers."


def is_ordinary(
    lengths: tuple[int, ...], heads: tuple[int, ...], apart: frozenset[int]
) -> bool:
    """Whether all datagrams of a batch look like whole RTP packets to capture.

    One that fills its slot may have been cut by the kernel: it is no ordinary one.

    Args:
        lengths: Of each datagram.
        heads: Of each: first two octets, sequence number and SSRC (`Slots.heads`).
        apart: First two octets of what is RTP and treated apart.
    """
    # Read per batch: what is alike in all packets is looked at once.
    length, count = lengths[0], len(lengths)
    if lengths.count(length) == count:
        if not FIXED_SIZE <= length < ROOM:
            return False
    elif min(lengths) < FIXED_SIZE or max(lengths) >= ROOM:
        return False
    shapes = heads[::3]
    if shapes.count(shapes[0]) == count:
        return shapes[0] in RTP_SHAPES and shapes[0] not in apart
    return RTP_SHAPES.issuperset(shapes) and apart.isdisjoint(shapes)


def unfit(slots: Slots, i: int, length: int) -> Rejection | None:
    """Say why a datagram is neither RTP nor RTCP; None if it may be."""
    if slots.is_cut(i):
        return Rejection.OVERSIZE
    head = slots.packet(i, min(length, 2))
    if len(head) and head[0] not in RTP_FIRST_OCTETS:
        return Rejection.NOT_RTP
    # An octet pair that says RTCP is measured by `_take_rtcp`.
    is_rtcp = len(head) > 1 and head[1] in RTCP_SECOND_OCTETS
    if length < FIXED_SIZE and not is_rtcp:
        return Rejection.TOO_SHORT
    return None
