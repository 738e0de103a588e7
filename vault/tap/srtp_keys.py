"""SRTP's session keys, from a master key and salt.

                 label            cut to what the suite needs
    AES-CM(k_master, (salt xor label * 2**48) * 2**16)
                 0 encryption  1 authentication  2 salt     of SRTP
                 3             4                 5          of SRTCP

Only for what libsrtp cannot do: AES_256_CM, and trials of a rollover counter.

Guarantees: the key derivation rate is 0, as SDES without KDR= and DTLS say.

Left to others: using the keys (`vault.tap.srtp_cm`, `vault.tap.rollover`).

Spec: RFC 3711 section 4.3; RFC 6188 section 3 (256 bits); RFC 7714 section 11
(the 96-bit salt of AEAD is padded on its right).
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes

_ENCRYPTION, _AUTHENTICATION, _SALT = 0, 1, 2
_SRTCP: Final = 3
"What the labels of SRTCP are above those of SRTP."
_AUTHENTICATION_SIZE: Final = 20
_CM_SALT_SIZE: Final = 14
_AEAD_SALT_SIZE: Final = 12
_LABEL_AT: Final = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionKeys:
    """Session keys of SRTP or SRTCP."""

    encryption: bytes = field(repr=False)
    authentication: bytes = field(repr=False)
    "Of HMAC-SHA1; the AEAD suites have no use for it."
    salt: bytes = field(repr=False)

    @classmethod
    def derive(
        cls, suite: SrtpSuite, key: SecretBytes, *, rtcp: bool = False
    ) -> "SessionKeys":
        """Derive the session keys of *suite* from a master key with its salt.

        Raises:
            ValueError: A key of another length than the suite's, or no suite of SRTP.
        """
        if len(key) != suite.master_size_bytes or suite.is_plain:
            raise ValueError(f"{len(key)} octets are no master key for {suite}")
        salt_size = _AEAD_SALT_SIZE if suite.is_aead else _CM_SALT_SIZE
        octets = key.reveal()
        master, salt = octets[:-salt_size], octets[-salt_size:]
        first = _SRTCP if rtcp else 0
        return cls(
            encryption=derive(master, salt, first + _ENCRYPTION, len(master)),
            authentication=derive(
                master, salt, first + _AUTHENTICATION, _AUTHENTICATION_SIZE
            ),
            salt=derive(master, salt, first + _SALT, salt_size),
        )


def derive(master: bytes, salt: bytes, label: int, size_bytes: int) -> bytes:
    """Return *size_bytes* octets of the key stream that *label* names.

    Spec: RFC 3711, section 4.3.3.
    """
    start = bytearray(salt.ljust(16, b"\0"))
    start[_LABEL_AT] ^= label
    stream = Cipher(AES(master), CTR(bytes(start))).encryptor()
    return stream.update(bytes(size_bytes))
