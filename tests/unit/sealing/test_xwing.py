import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.bindings._rust import openssl
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from vault.core.errors import SealBrokenError
from vault.core.secrets import SecretBytes
from vault.sealing import xwing

_FILE = Path(__file__).parents[2] / "vectors" / "hpke_rfc9180_base_aes256gcm.json"
VECTORS = json.loads(_FILE.read_text())["vectors"]
KEMS = {
    16: (hpke.KEM.P256, ec.SECP256R1()),
    18: (hpke.KEM.P521, ec.SECP521R1()),
    32: (hpke.KEM.X25519, None),
}
KDFS = {1: hpke.KDF.HKDF_SHA256, 3: hpke.KDF.HKDF_SHA512}


@pytest.mark.parametrize("case", VECTORS, ids=lambda c: f"{c['kem_id']}-{c['kdf_id']}")
def test_the_hpke_that_we_use_opens_what_rfc_9180_sealed(case: dict[str, Any]) -> None:
    kem, curve = KEMS[case["kem_id"]]
    suite = hpke.Suite(kem, KDFS[case["kdf_id"]], hpke.AEAD.AES_256_GCM)
    secret = bytes.fromhex(case["skRm"])
    key: Any = (
        ec.derive_private_key(int.from_bytes(secret), curve)
        if curve
        else x25519.X25519PrivateKey.from_private_bytes(secret)
    )
    first = case["encryptions"][0]

    # Vectors have associated data, which the public single-shot call has not.
    opened = openssl.hpke._decrypt_with_aad(
        suite,
        bytes.fromhex(case["enc"] + first["ct"]),
        key,
        bytes.fromhex(case["info"]),
        bytes.fromhex(first["aad"]),
    )

    assert bytes.fromhex(first["pt"]) == opened


def test_the_first_key_pair_of_the_draft_is_ours() -> None:
    seed = SecretBytes(hashlib.shake_128(b"").digest(32))

    public = xwing.public_octets(seed)

    assert seed.reveal().hex().startswith("7f9c2ba4e88f827d")
    assert public.hex().startswith(
        "e2236b35a8c24b39b10aa1323a96a919a2ced88400633a7b07131713fc14b2b5"
    )
    assert len(public) == xwing.PUBLIC_KEY_SIZE


def test_what_is_encrypted_for_the_public_key_opens_with_the_seed() -> None:
    seed = SecretBytes(bytes(32))
    public = xwing.public_key(xwing.public_octets(seed))

    sealed = xwing.SUITE.encrypt(b"x" * 32, public, b"info")

    assert len(sealed) == 1168
    assert xwing.SUITE.decrypt(sealed, xwing.private_key(seed), b"info") == b"x" * 32


@pytest.mark.parametrize("size", [0, 32, 1184, 1215, 1217])
def test_a_public_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(SealBrokenError):
        xwing.public_key(bytes(size))


def test_a_public_key_out_of_range_is_refused() -> None:
    """ML-KEM coefficients are below 3329; twelve set bits are 4095."""
    with pytest.raises(SealBrokenError):
        xwing.public_key(b"\xff" * xwing.PUBLIC_KEY_SIZE)


def test_a_seed_of_another_size_is_a_bug() -> None:
    with pytest.raises(ValueError):
        xwing.private_key(SecretBytes(bytes(31)))
