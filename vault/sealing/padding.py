"""Padding that hides how long sealed text is: one octet 0x80, then zeros.

Guarantees: `pad` gives a positive multiple of 256 octets, and `unpad` is its
only inverse; what was not padded by it is refused.

Left to others: sealing.  Unpad only what a seal has authenticated.

Spec: ISO/IEC 7816-4 padding, block of 256; docs/reference/formats/session-metadata.md
"""

from typing import Final

from vault.core.errors import SealBrokenError

BLOCK_SIZE: Final = 256
_MARK: Final = b"\x80"


def pad(octets: bytes) -> bytes:
    """Return *octets* with 1 to 256 octets of padding behind them."""
    marked = octets + _MARK
    return marked + bytes(-len(marked) % BLOCK_SIZE)


def unpad(padded: bytes) -> bytes:
    """Return what `pad` was given.

    Raises:
        SealBrokenError: This is not the padding that we write.
    """
    octets = padded.rstrip(b"\x00")[:-1]
    if pad(octets) != padded:
        raise SealBrokenError("the padding is not ours")
    return octets
