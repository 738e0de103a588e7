"""Names of media: SRTP suites and RTP payload formats, spelled as IANA does.

Guarantees: a suite that is not in `SrtpSuite` cannot be asked for anywhere.

Spec: RFC 3551 (static payload types), RFC 4568 section 6.2, RFC 6188 section 4.2,
RFC 7714 section 14.2.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final


@unique
class SrtpSuite(StrEnum):
    """What protects a stream, best first.

    The 32-bit tags (a flood finds one forgery in hours) and plain RTP are taken
    only from a device that is explicitly allowed them (`vault.core.flow.Allowance`).
    """

    AEAD_AES_256_GCM = "AEAD_AES_256_GCM"
    AEAD_AES_128_GCM = "AEAD_AES_128_GCM"
    AES_256_CM_HMAC_SHA1_80 = "AES_256_CM_HMAC_SHA1_80"
    AES_CM_128_HMAC_SHA1_80 = "AES_CM_128_HMAC_SHA1_80"
    AES_256_CM_HMAC_SHA1_32 = "AES_256_CM_HMAC_SHA1_32"
    AES_CM_128_HMAC_SHA1_32 = "AES_CM_128_HMAC_SHA1_32"
    PLAIN_RTP = "PLAIN_RTP"
    "No SRTP at all: neither secret nor authentic.  Not a name of IANA's."

    @property
    def master_size_bytes(self) -> int:
        """Octets of master key and salt (RFC 4568 6.1, RFC 6188 4, RFC 7714 12)."""
        return _MASTER_SIZE_BYTES[self]

    @property
    def is_aead(self) -> bool:
        """Whether a failed unprotect may have overwritten the packet."""
        return self in _AEAD

    @property
    def is_plain(self) -> bool:
        """Whether there is no SRTP: nothing can be authenticated."""
        return self is SrtpSuite.PLAIN_RTP

    @property
    def protection(self) -> "Protection":
        """How far a packet can be believed to come from whoever has the key."""
        if self.is_plain:
            return Protection.NONE
        return Protection.SHORT_TAG if self.has_short_tag else Protection.STRONG

    @property
    def has_short_tag(self) -> bool:
        """Whether its RTP packets carry a tag of 32 bits only."""
        return self in _SHORT_TAG


@unique
class Protection(StrEnum):
    """What a reader has to know of the suite of a stream, best first."""

    STRONG = "strong"
    SHORT_TAG = "short-tag"
    "A 32-bit tag: a flood finds a forgery."
    NONE = "none"
    "Plain RTP: anybody on the way could listen and put words in."

    @classmethod
    def of_suites(cls, names: Iterable[str]) -> "Protection | None":
        """Return the worst among suites by name; None if none of them is known."""
        known = [SrtpSuite(name).protection for name in names if name in set(SrtpSuite)]
        return max(known, key=tuple(cls).index, default=None)


_AEAD: Final = frozenset({SrtpSuite.AEAD_AES_256_GCM, SrtpSuite.AEAD_AES_128_GCM})
_SHORT_TAG: Final = frozenset(
    {SrtpSuite.AES_256_CM_HMAC_SHA1_32, SrtpSuite.AES_CM_128_HMAC_SHA1_32}
)
_MASTER_SIZE_BYTES: Final = MappingProxyType(
    {
        SrtpSuite.AEAD_AES_256_GCM: 32 + 12,
        SrtpSuite.AEAD_AES_128_GCM: 16 + 12,
        SrtpSuite.AES_256_CM_HMAC_SHA1_80: 32 + 14,
        SrtpSuite.AES_CM_128_HMAC_SHA1_80: 16 + 14,
        SrtpSuite.AES_256_CM_HMAC_SHA1_32: 32 + 14,
        SrtpSuite.AES_CM_128_HMAC_SHA1_32: 16 + 14,
        SrtpSuite.PLAIN_RTP: 0,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadFormat:
    """One payload type of a stream, as ``a=rtpmap`` and ``a=fmtp`` describe it."""

    payload_type: int
    encoding: str
    "Encoding name as on the wire, upper or mixed case kept: PCMU, opus, ..."
    clock_rate_hz: int
    channels: int = 1
    fmtp: str = ""


STATIC_PAYLOADS: Final = MappingProxyType(
    {
        0: PayloadFormat(payload_type=0, encoding="PCMU", clock_rate_hz=8000),
        3: PayloadFormat(payload_type=3, encoding="GSM", clock_rate_hz=8000),
        8: PayloadFormat(payload_type=8, encoding="PCMA", clock_rate_hz=8000),
        # RFC 3551 4.5.2: the clock of G.722 says 8000 by an old mistake.
        9: PayloadFormat(payload_type=9, encoding="G722", clock_rate_hz=8000),
        10: PayloadFormat(
            payload_type=10, encoding="L16", clock_rate_hz=44100, channels=2
        ),
        11: PayloadFormat(payload_type=11, encoding="L16", clock_rate_hz=44100),
        13: PayloadFormat(payload_type=13, encoding="CN", clock_rate_hz=8000),
        18: PayloadFormat(payload_type=18, encoding="G729", clock_rate_hz=8000),
    }
)
"""Payload types that need no ``a=rtpmap``."""
