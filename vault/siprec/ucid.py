"""Avaya's Universal Call Identifier, in the spelling that reports and CTI have.

Eight octets: node (2), sequence (2), time (4, seconds).  Reports write them as
twenty decimal digits, 5 + 5 + 10.  On the wire they are hexadecimal, alone or in
user-to-user information (Q.931): a protocol discriminator, then elements

    | tag 0xFA | length 0x08 | eight octets |

Session border controllers hand on one, the other, or the other without its first
octet, with ``;encoding=hex`` or not.

Guarantees: nothing raises; what is no such identifier gives an empty text.

Spec: ITU-T Q.957.1 (user-to-user); the layout as Avaya, Oracle and AudioCodes
document it
"""

import re
from typing import Final

_TAG: Final = 0xFA
_SIZE: Final = 8
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){8,128}")
_DECIMAL: Final = re.compile(r"[0-9]{20}")
_DISCRIMINATORS: Final = frozenset({0x00, 0x04})
"User-specific, and IA5 text: what Avaya puts before its elements."


def as_decimal(text: str) -> str:
    """Return the twenty digits of an identifier in any spelling; "" if it is none."""
    value = text.partition(";")[0].strip().strip('"')
    if _DECIMAL.fullmatch(value):
        return value
    if not _HEX.fullmatch(value):
        return ""
    octets = bytes.fromhex(value)
    found = octets if len(octets) == _SIZE else _element(octets)
    if len(found) != _SIZE:
        return ""
    node, sequence = int.from_bytes(found[:2]), int.from_bytes(found[2:4])
    return f"{node:05d}{sequence:05d}{int.from_bytes(found[4:]):010d}"


def in_user_to_user(value: str) -> str:
    """Return the hexadecimal part of a ``User-to-User`` header; "" if it has none.

    Only what begins like Avaya's: others put text of theirs there, and eight octets
    of that are no identifier of a call.
    """
    content = value.partition(";")[0].strip().strip('"')
    if not _HEX.fullmatch(content):
        return ""
    return content if _element(bytes.fromhex(content)) else ""


def _element(octets: bytes) -> bytes:
    """Return the identifier among the elements, with or without a discriminator."""
    start = 1 if octets[0] in _DISCRIMINATORS else 0
    while start + 2 <= len(octets):
        tag, size = octets[start], octets[start + 1]
        if tag == _TAG and size == _SIZE:
            return octets[start + 2 : start + 2 + size]
        start += 2 + size
    return b""
