"""G.711: 256 octets, 256 samples, one table for each law.

Guarantees: `EXPAND` holds the 16-bit uniform values of ITU-T G.711 tables 1a to
2b, scaled as every softphone scales them (14-bit mu-law by 4, 13-bit A-law by 8),
so decoding is exact and encoding the result again returns the same octets.

Left to others: which payload type means which law (`vault.renditions.records`).

Spec: ITU-T G.711 (11/88); RFC 3551, section 4.5.14.
"""

from enum import IntEnum, unique
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 8000
"Samples per second, and octets per second: one octet is one sample."

_EXPONENT_MASK: Final = 7
_MANTISSA_MASK: Final = 15
_SIGN: Final = 0x80
_MU_BIAS: Final = 132


@unique
class Law(IntEnum):
    """The two companding laws."""

    PCMU = 1
    PCMA = 2


def _mu_law() -> NDArray[np.int16]:
    octets = ~np.arange(256, dtype=np.uint8)
    exponent = (octets >> 4 & _EXPONENT_MASK).astype(np.int32)
    mantissa = (octets & _MANTISSA_MASK).astype(np.int32)
    magnitude = (((mantissa << 3) + _MU_BIAS) << exponent) - _MU_BIAS
    # After the inversion a set sign bit means a negative sample.
    return np.where(octets & _SIGN, -magnitude, magnitude).astype(np.int16)


def _a_law() -> NDArray[np.int16]:
    octets = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent = (octets >> 4 & _EXPONENT_MASK).astype(np.int32)
    mantissa = (octets & _MANTISSA_MASK).astype(np.int32) << 4
    linear = mantissa + 8
    segments = (mantissa + 0x108) << np.maximum(exponent - 1, 0)
    magnitude = np.where(exponent == 0, linear, segments)
    return np.where(octets & _SIGN, magnitude, -magnitude).astype(np.int16)


EXPAND: Final = MappingProxyType({Law.PCMU: _mu_law(), Law.PCMA: _a_law()})
"""Law → 256 samples, by octet.  Use ``EXPAND[law].take(octets)``."""

for _table in EXPAND.values():
    _table.flags.writeable = False
