"""What the payload types of a stream mean to the renderer.

Guarantees: every number from 0 to 127 has a format, a clock and, where anybody said
one, a name; what a PBX made up (a clock of zero, a type of 300) is refused or harmless.

Left to others: which packets have which type (`vault.renditions.packets`).

Spec: RFC 3551, section 6; RFC 3389; RFC 4733
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, unique
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from vault.core.canonical import JsonValue
from vault.core.errors import MalformedPacketError
from vault.core.media import STATIC_PAYLOADS
from vault.renditions.g711 import RATE_HZ

_TYPES: Final = 128
_MAX_TYPE_DIGITS: Final = 3
_MAX_CLOCK_HZ: Final = 1_000_000


@unique
class Format(IntEnum):
    """What the renderer can do with a packet."""

    UNSUPPORTED = 0
    PCMU = 1
    PCMA = 2
    QUIET = 3
    "Comfort noise and telephone events: they count as packets and sound as silence."


_QUIET: Final = frozenset({"CN", "TELEPHONE-EVENT"})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PayloadTable:
    """Payload type → what it means; the arrays have 128 members."""

    formats: NDArray[np.uint8]
    clocks_hz: NDArray[np.int32]
    "Rate of the RTP timestamp; 0 where nobody said."
    names: Mapping[int, str]

    @classmethod
    def of(cls, payloads: Mapping[str, JsonValue]) -> Self:
        """Read the payload map of an event; types that need no map are added.

        Raises:
            MalformedPacketError: It maps what is no payload type, or to nothing.
        """
        formats = np.zeros(_TYPES, np.uint8)
        clocks_hz = np.zeros(_TYPES, np.int32)
        names: dict[int, str] = {}
        for number, static in STATIC_PAYLOADS.items():
            rate_hz = static.clock_rate_hz
            names[number], clocks_hz[number] = static.encoding, rate_hz
            formats[number] = _format_of(static.encoding, rate_hz, static.channels)
        for text, said in payloads.items():
            number = _payload_type(text)
            if number >= _TYPES:
                raise MalformedPacketError("an event maps a payload type that is none")
            if not isinstance(said, Mapping):
                raise MalformedPacketError("an event maps a payload type to nothing")
            name, clock = str(said.get("encoding", "")), said.get("clock_rate_hz")
            names[number], clocks_hz[number] = name, _clock_hz(clock)
            formats[number] = _format_of(name, clock, said.get("channels"))
        return cls(formats=formats, clocks_hz=clocks_hz, names=names)


def _clock_hz(said: JsonValue) -> int:
    if not isinstance(said, int) or isinstance(said, bool):
        return 0
    return said if 0 < said <= _MAX_CLOCK_HZ else 0


def _payload_type(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_TYPE_DIGITS):
        raise MalformedPacketError("an event maps a payload type that is no number")
    return int(text)


def is_quiet(encoding: str) -> bool:
    """Tell whether an encoding carries no speech: comfort noise, telephone events."""
    return encoding.upper() in _QUIET


def _format_of(encoding: str, clock_rate_hz: object, channels: object) -> Format:
    if is_quiet(encoding):
        return Format.QUIET
    name = encoding.upper()
    if (name, clock_rate_hz, channels) == ("PCMU", RATE_HZ, 1):
        return Format.PCMU
    if (name, clock_rate_hz, channels) == ("PCMA", RATE_HZ, 1):
        return Format.PCMA
    return Format.UNSUPPORTED
