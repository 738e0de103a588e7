"""Connectivity checks: which STUN requests are answered, and how.

    octet 0        2        4              8                          20
          | type   | length | magic cookie | transaction id (12)      | attributes
          | 0x0001 |        | 0x2112A442   |                          |

We are an ICE lite agent: we answer checks and make none.  A check that passes
proves two things about where it came from: whoever is there knows the password of
our answer, and asked us for packets (RFC 7675 consent, renewed every few seconds;
a browser stops sending 30 s after the last answer).

Guarantees:
    * Only a Binding request that is whole, and right by FINGERPRINT, USERNAME and
      MESSAGE-INTEGRITY, is answered; everything else gets silence.
    * An answer is never longer than the request by more than 12 octets, and goes to
      nobody who does not know the password: there is nothing to reflect.
    * No exception, whatever the octets.

Left to others: how many a tick (`vault.tap.sweep`), what a passed check is worth
(`vault.tap.association`).

Spec: RFC 8489, sections 5, 6, 7.3.1, 9.1 and 14; RFC 8445, sections 7.3 and 2.5;
RFC 7675.
"""

import hmac
import ipaddress
import struct
import zlib
from collections.abc import Iterator
from typing import Final

from vault.tap.orders import IceCredentials

Source = tuple[str, int]
"Address literal and port of a peer."

MOST_OCTETS: Final = 1280
"Of a request that is read at all; real ones have some 100."

_HEADER: Final = struct.Struct(">HHI12s")
_ATTRIBUTE: Final = struct.Struct(">HH")
_COOKIE: Final = 0x2112A442
_COOKIE_OCTETS: Final = _COOKIE.to_bytes(4)
_BINDING_REQUEST: Final = 0x0001
_BINDING_SUCCESS: Final = 0x0101
_FINGERPRINT_XOR: Final = 0x5354554E

_USERNAME: Final = 0x0006
_MESSAGE_INTEGRITY: Final = 0x0008
_XOR_MAPPED_ADDRESS: Final = 0x0020
_FINGERPRINT: Final = 0x8028
_OPTIONAL_FROM: Final = 0x8000
"Attributes from here on may be ignored by who does not know them."
_UNDERSTOOD: Final = frozenset({_USERNAME, _MESSAGE_INTEGRITY, 0x0024, 0x0025})
"Those, PRIORITY and USE-CANDIDATE: the peer nominates, and we follow the packets."

_SHA1_SIZE: Final = 20
_IPV4: Final = 4


def is_stun(datagram: bytes) -> bool:
    """Whether the first octet says STUN (RFC 7983, section 7)."""
    return len(datagram) > 0 and datagram[0] < 4  # noqa: PLR2004 - 0 to 3


def answer_check(datagram: bytes, source: Source, ice: IceCredentials) -> bytes | None:
    """Return the answer to a connectivity check, or None for silence.

    Args:
        datagram: As received.
        source: Where it came from; the answer says so and goes there.
        ice: Our own credentials.
    """
    # 1. A whole Binding request, of attributes that fill it and that we know.
    found = _read(datagram)
    if found is None:
        return None
    # 2. Meant for us: the cheap test first, a flood costs no digest.
    user, _, theirs = _value(datagram, found, _USERNAME).partition(b":")
    if not theirs or user != ice.ufrag.encode():
        return None
    # 3. ICE's own, and not damaged on the way.
    if not _has_fingerprint(datagram, found):
        return None
    # 4. From someone who knows our password.
    mac = _value(datagram, found, _MESSAGE_INTEGRITY)
    covered = datagram[: found.get(_MESSAGE_INTEGRITY, 0)]
    key = ice.password.reveal()
    if not mac or not hmac.compare_digest(mac, _mac(covered, key)):
        return None
    return _success(datagram[8 : _HEADER.size], source, key)


def _read(datagram: bytes) -> dict[int, int] | None:
    """Return where each attribute of a Binding request starts, None if it is none."""
    if not _HEADER.size <= len(datagram) <= MOST_OCTETS:
        return None
    kind, length, cookie, _ = _HEADER.unpack_from(datagram)
    whole = length == len(datagram) - _HEADER.size and length % 4 == 0
    if kind != _BINDING_REQUEST or cookie != _COOKIE or not whole:
        return None
    return _attributes(datagram)


def _has_fingerprint(datagram: bytes, found: dict[int, int]) -> bool:
    """Whether FINGERPRINT is there, right, and the last attribute."""
    crc, at = _value(datagram, found, _FINGERPRINT), found.get(_FINGERPRINT, 0)
    if len(crc) != 4 or at + 8 != len(datagram):  # noqa: PLR2004 - header and CRC
        return False
    return int.from_bytes(crc) == _crc(datagram[:at])


def _attributes(datagram: bytes) -> dict[int, int] | None:
    """Return where each attribute starts; None where they don't fit or don't do.

    What follows MESSAGE-INTEGRITY counts for nothing, but FINGERPRINT does.
    """
    found: dict[int, int] = {}
    for at, kind, size in _walk(datagram):
        if at + _ATTRIBUTE.size + size > len(datagram):
            return None
        if _MESSAGE_INTEGRITY in found and kind != _FINGERPRINT:
            continue
        if kind < _OPTIONAL_FROM and kind not in _UNDERSTOOD:
            return None
        # "Only the first one needs to be processed" (RFC 8489, section 14).
        found.setdefault(kind, at)
    return found


def _walk(datagram: bytes) -> Iterator[tuple[int, int, int]]:
    at = _HEADER.size
    while at + _ATTRIBUTE.size <= len(datagram):
        kind, size = _ATTRIBUTE.unpack_from(datagram, at)
        yield at, kind, size
        at += _ATTRIBUTE.size + size + -size % 4


def _value(datagram: bytes, found: dict[int, int], kind: int) -> bytes:
    at = found.get(kind)
    if at is None:
        return b""
    size = _ATTRIBUTE.unpack_from(datagram, at)[1]
    return datagram[at + _ATTRIBUTE.size : at + _ATTRIBUTE.size + size]


def _success(transaction: bytes, source: Source, key: bytes) -> bytes:
    body = _attribute(_XOR_MAPPED_ADDRESS, _xored(source, transaction))
    message = _HEADER.pack(_BINDING_SUCCESS, len(body), _COOKIE, transaction) + body
    message += _attribute(_MESSAGE_INTEGRITY, _mac(message, key))
    message += _attribute(_FINGERPRINT, _crc(message).to_bytes(4))
    return _sized(message, 0)


def _xored(source: Source, transaction: bytes) -> bytes:
    # A link-local peer comes with its zone, which is ours alone.
    address = ipaddress.ip_address(source[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    mask = (_COOKIE_OCTETS + transaction)[: len(address.packed)]
    family = 1 if address.version == _IPV4 else 2
    port = source[1] ^ (_COOKIE >> 16)
    hidden = bytes(a ^ b for a, b in zip(address.packed, mask, strict=True))
    return struct.pack(">BBH", 0, family, port) + hidden


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(kind, len(value)) + value


def _mac(covered: bytes, key: bytes) -> bytes:
    """Return the digest over *covered*, as if MESSAGE-INTEGRITY came last."""
    return hmac.digest(key, _sized(covered, 4 + _SHA1_SIZE), "sha1")


def _crc(covered: bytes) -> int:
    """Return FINGERPRINT over *covered*, as if it came last."""
    return zlib.crc32(_sized(covered, 8)) ^ _FINGERPRINT_XOR


def _sized(covered: bytes, further: int) -> bytes:
    length = len(covered) - _HEADER.size + further
    return covered[:2] + length.to_bytes(2) + covered[4:]
