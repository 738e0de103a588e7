"""Digits that were pressed: told by their packets, and left out of the capture.

Card numbers and PINs are typed while a call is recorded.  RFC 4733 sends each press
as some packets of a payload type of their own, beside the audio.  They are
authenticated and counted like any other, and discarded; that there was a press is
noted once, never which key, nor for how long.

Guarantees: a packet of such a payload type is never captured, unless the order of
its stream says so; its payload is not even looked at.

Left to others: tones inside the audio (`vault.renditions.tones`).

Spec: RFC 4733, sections 2.1, 2.5.1.2 and 2.5.1.3
"""

import functools
from collections.abc import Sequence
from typing import Final

from vault.core.media import PayloadFormat
from vault.tap.orders import StreamOrder
from vault.tap.rtp import RTP_FIRST_OCTETS

_ENCODING: Final = "telephone-event"
_MARKER: Final = 0x80
_SEGMENT: Final = 0xFFFF
"Timestamp units after which one long press goes on under another timestamp."
NONE: Final[frozenset[int]] = frozenset()


class Presses:
    """Tells the presses of one stream apart."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest: tuple[int, int] | None = None

    def is_new(self, ssrc: int, timestamp: int) -> bool:
        """Whether a packet with this timestamp is the first one of a press.

        All packets of a press have the timestamp of its beginning, the last one,
        which is sent three times, too.
        """
        before, self._latest = self._latest, (ssrc, timestamp)
        if before is None or before[0] != ssrc:
            return True
        return (timestamp - before[1]) & 0xFFFFFFFF not in (0, _SEGMENT)


def digit_types(order: StreamOrder) -> frozenset[int]:
    """Return the payload types of *order* that are not to be captured."""
    return NONE if order.keeps_digits else _types(order.payloads)


def shapes_of(payload_types: frozenset[int]) -> frozenset[int]:
    """Return the first two octets, as a number, that RTP of these types may have."""
    return _shapes(payload_types) if payload_types else NONE


def _types(payloads: Sequence[PayloadFormat]) -> frozenset[int]:
    found = (p.payload_type for p in payloads if p.encoding.lower() == _ENCODING)
    return frozenset(found) or NONE


# Calls of one device have the same few types: one set for all of them.
@functools.lru_cache(maxsize=64)
def _shapes(payload_types: frozenset[int]) -> frozenset[int]:
    return frozenset(
        first << 8 | marker | number
        for first in RTP_FIRST_OCTETS
        for marker in (0, _MARKER)
        for number in payload_types
    )
