import datetime as dt
import hashlib

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from vault.access.certificates import MAX_PEM_BYTES, fingerprint_of, parse_fingerprint
from vault.core.errors import InvalidInputError

LIKE = "ab" * 32


def certificate(name: str) -> x509.Certificate:
    key = Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    day = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(day)
        .not_valid_after(day + dt.timedelta(days=1))
        .sign(key, None)
    )


def test_the_fingerprint_is_that_of_the_whole_certificate_a_chain_s_first() -> None:
    own, issuer = certificate("sbc"), certificate("ca")
    pem = own.public_bytes(Encoding.PEM) + issuer.public_bytes(Encoding.PEM)
    expected = hashlib.sha256(own.public_bytes(Encoding.DER)).hexdigest()

    assert expected == fingerprint_of(pem)
    assert expected == parse_fingerprint(f"sha256:{expected}")


@pytest.mark.parametrize(
    "pem",
    [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
)
def test_a_file_without_a_certificate_is_refused(pem: bytes) -> None:
    with pytest.raises(InvalidInputError, match="certificate"):
        fingerprint_of(pem)


def test_a_file_that_is_too_long_is_not_looked_at() -> None:
    with pytest.raises(InvalidInputError, match="octets"):
        fingerprint_of(b"#" * (MAX_PEM_BYTES + 1))


@pytest.mark.parametrize(
    "text", [LIKE, LIKE.upper(), f"SHA256:{LIKE}", ":".join(["ab"] * 32), f" {LIKE}\n"]
)
def test_a_fingerprint_has_many_spellings_and_one_meaning(text: str) -> None:
    assert LIKE == parse_fingerprint(text)


@pytest.mark.parametrize("text", ["", "sha256:", LIKE[:-1], LIKE + "a", "g" * 64])
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_fingerprint(text)
