"""Names of media: SRTP suites and RTP payload formats, spelled as IANA does.

Guarantees: a suite that is not in `SrtpSuite` cannot be asked for anywhere.

Spec: RFC 3551 (static payload types), RFC 4568 section 6.2, RFC 7714 section 14.2.
"""

from dataclasses import dataclass
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final


@unique
class SrtpSuite(StrEnum):
    """SDES crypto suites that we accept, best first.

    The 32-bit tags are refused: a flood finds one forgery in hours.
    """

    AEAD_AES_256_GCM = "AEAD_AES_256_GCM"
    AEAD_AES_128_GCM = "AEAD_AES_128_GCM"
    AES_CM_128_HMAC_SHA1_80 = "AES_CM_128_HMAC_SHA1_80"

    @property
    def master_size_bytes(self) -> int:
        """Master key and salt together, in octets (RFC 4568 6.1, RFC 7714 12)."""
        return _MASTER_SIZE_BYTES[self]

    @property
    def is_aead(self) -> bool:
        """Whether a failed unprotect may have overwritten the packet."""
        return self is not SrtpSuite.AES_CM_128_HMAC_SHA1_80


_MASTER_SIZE_BYTES: Final = MappingProxyType(
    {
        SrtpSuite.AEAD_AES_256_GCM: 32 + 12,
        SrtpSuite.AEAD_AES_128_GCM: 16 + 12,
        SrtpSuite.AES_CM_128_HMAC_SHA1_80: 16 + 14,
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
