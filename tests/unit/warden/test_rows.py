from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault.core.errors import SealBrokenError
from vault.core.ids import new_recording_id, recording_id_octets
from vault.core.secrets import SecretBytes
from vault.trust.interfaces import SealedRow
from vault.warden import rows

KEY = SecretBytes(b"c" * 32)
KEY_ID = "catalog-2026-11"
ID = new_recording_id()
METADATA = b'{"caller":"+493012345"}'


def sealed(metadata: bytes = METADATA) -> SealedRow:
    return rows.seal(metadata, ID, catalog_key=KEY, key_id=KEY_ID)


def test_a_row_opens_as_it_was_sealed() -> None:
    assert rows.open_row(sealed(), ID, catalog_key=KEY) == METADATA


def test_a_row_opens_with_nothing_but_the_specification() -> None:
    row = sealed()
    id = recording_id_octets(ID)
    bound = b"callvault/v1\x00row\x00" + id + KEY_ID.encode()
    row_key = AESGCM(b"c" * 32).decrypt(
        row.wrapped_key[:12], row.wrapped_key[12:], bound
    )
    padded = AESGCM(row_key).decrypt(
        row.sealed[:12], row.sealed[12:], b"callvault/v1\x00row-metadata\x00" + id
    )

    assert len(padded) == 256
    assert padded.rstrip(b"\x00") == METADATA + b"\x80"


def test_the_size_of_a_row_tells_the_length_only_in_steps() -> None:
    sizes = {len(sealed(b"x" * length).sealed) for length in range(0, 255, 15)}

    assert sizes == {12 + 256 + 16}


def test_no_two_rows_share_a_key_or_a_nonce() -> None:
    first, second = sealed(), sealed()

    assert first.sealed[:12] != second.sealed[:12]
    assert first.wrapped_key[:12] != second.wrapped_key[:12]
    with pytest.raises(SealBrokenError):
        rows.open_row(replace(first, sealed=second.sealed), ID, catalog_key=KEY)


def test_a_row_moved_to_another_recording_is_refused() -> None:
    with pytest.raises(SealBrokenError):
        rows.open_row(sealed(), new_recording_id(), catalog_key=KEY)


def test_a_row_under_the_name_of_another_key_is_refused() -> None:
    with pytest.raises(SealBrokenError):
        rows.open_row(replace(sealed(), key_id="catalog-2026-12"), ID, catalog_key=KEY)


def test_another_catalog_key_opens_nothing() -> None:
    with pytest.raises(SealBrokenError):
        rows.open_row(sealed(), ID, catalog_key=SecretBytes(b"d" * 32))


@pytest.mark.parametrize("column", ["sealed", "wrapped_key"])
def test_every_flipped_octet_is_found(column: str) -> None:
    row = sealed()
    octets = getattr(row, column)
    for place in range(len(octets)):
        damaged = bytearray(octets)
        damaged[place] ^= 1
        with pytest.raises(SealBrokenError):
            rows.open_row(replace(row, **{column: bytes(damaged)}), ID, catalog_key=KEY)


@pytest.mark.parametrize("column", ["sealed", "wrapped_key"])
@pytest.mark.parametrize("size", [0, 5, 12, 28, 59])
def test_a_row_that_was_cut_is_refused(column: str, size: int) -> None:
    row = sealed()
    cut = replace(row, **{column: getattr(row, column)[:size]})

    with pytest.raises(SealBrokenError):
        rows.open_row(cut, ID, catalog_key=KEY)
