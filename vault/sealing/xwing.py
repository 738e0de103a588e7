"""X-Wing keys as octets: ML-KEM-768 and X25519 side by side, for HPKE.

    public key, 1216 octets:   | ML-KEM-768 encapsulation key (1184) | X25519 (32) |
    private key, 32 octets:    a seed; SHAKE-256 of it gives 64 octets of
                               ML-KEM seed (d, z) and 32 of X25519 scalar

Guarantees: keys have one spelling, the one of the X-Wing draft, so any other
implementation of it can use them.

Left to others: who holds which key (`vault.sealing.keyring`), what is wrapped
(`vault.sealing.envelope`).

Spec: draft-connolly-cfrg-xwing-kem, section 5; RFC 9180; draft-ietf-hpke-pq
"""

import hashlib
from typing import Final

from cryptography.hazmat.primitives import hpke, serialization
from cryptography.hazmat.primitives.asymmetric.mlkem import (
    MLKEM768PrivateKey,
    MLKEM768PublicKey,
)
from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)

from vault.core.errors import SealBrokenError
from vault.core.secrets import SecretBytes

SEED_SIZE: Final = 32
PUBLIC_KEY_SIZE: Final = 1184 + 32
_MLKEM_PUBLIC_SIZE: Final = 1184
_MLKEM_SEED_SIZE: Final = 64
_X25519_SIZE: Final = 32

SUITE: Final = hpke.Suite(
    hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM
)

PublicKey = hpke.MLKEM768X25519PublicKey


def public_key(octets: bytes) -> hpke.MLKEM768X25519PublicKey:
    """Read a public key of 1216 octets.

    Raises:
        SealBrokenError: Not an X-Wing public key.
    """
    if len(octets) != PUBLIC_KEY_SIZE:
        raise SealBrokenError("not an X-Wing public key")
    try:
        return hpke.MLKEM768X25519PublicKey(
            MLKEM768PublicKey.from_public_bytes(octets[:_MLKEM_PUBLIC_SIZE]),
            X25519PublicKey.from_public_bytes(octets[_MLKEM_PUBLIC_SIZE:]),
        )
    except ValueError:
        raise SealBrokenError("not an X-Wing public key") from None


def private_key(seed: SecretBytes) -> hpke.MLKEM768X25519PrivateKey:
    """Return the private key that a 32-octet seed stands for."""
    mlkem, x25519 = _expand(seed)
    return hpke.MLKEM768X25519PrivateKey(mlkem, x25519)


def public_octets(seed: SecretBytes) -> bytes:
    """Return the 1216 octets of the public key that belongs to *seed*."""
    mlkem, x25519 = _expand(seed)
    raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return mlkem.public_key().public_bytes(*raw) + x25519.public_key().public_bytes(
        *raw
    )


def _expand(seed: SecretBytes) -> tuple[MLKEM768PrivateKey, X25519PrivateKey]:
    if len(seed) != SEED_SIZE:
        raise ValueError("an X-Wing seed has 32 octets")
    octets = hashlib.shake_256(seed.reveal()).digest(_MLKEM_SEED_SIZE + _X25519_SIZE)
    return (
        MLKEM768PrivateKey.from_seed_bytes(octets[:_MLKEM_SEED_SIZE]),
        X25519PrivateKey.from_private_bytes(octets[_MLKEM_SEED_SIZE:]),
    )
