import hashlib

import pytest

from vault.access.credentials import SecretKind, new_secret, secret_digest


@pytest.mark.parametrize("kind", SecretKind)
def test_a_secret_has_its_prefix_and_256_random_bits(kind: SecretKind) -> None:
    first, second = new_secret(kind), new_secret(kind)

    assert first != second
    assert first.startswith(kind)
    assert len(first) == len(kind) + 43


def test_the_digest_is_the_sha256_of_the_whole_secret() -> None:
    secret = new_secret(SecretKind.DEVICE)

    assert hashlib.sha256(secret.encode()).digest() == secret_digest(secret)


@pytest.mark.parametrize("text", ["", "\ud800", "\0", "x" * 10_000_000])
def test_anything_presented_has_a_digest(text: str) -> None:
    assert len(secret_digest(text)) == 32
