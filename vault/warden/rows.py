"""Sealed rows: the database's copy of a recording's metadata.

    sealed       nonce (12) ‖ AES-256-GCM(row key, padded metadata)
                 AAD  "callvault/v1" ‖ 00 ‖ "row-metadata" ‖ 00 ‖ recording id (16)
    wrapped key  nonce (12) ‖ AES-256-GCM(month's catalog key, row key)
                 AAD  "callvault/v1" ‖ 00 ‖ "row" ‖ 00 ‖ recording id (16) ‖ key id

Every row has a row key of its own, used once.  A page of 50 rows costs one call
to the warden and 50 AES operations, and shredding one row is deleting its
wrapped key.  A change of any of it takes another prefix than ``callvault/v1``.

Guarantees: a row whose columns were moved to another recording, mixed with
another row's, or altered does not open.

Left to others: the month's key (`vault.sealing.keyring`), the leaf
(`vault.warden.service`), the columns (`vault.catalog`).

Spec: NIST SP 800-38D; docs/reference/formats/sealed-row.md
"""

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault.core.errors import SealBrokenError
from vault.core.ids import RecordingId, recording_id_octets
from vault.core.secrets import SecretBytes
from vault.sealing import padding
from vault.trust.interfaces import SealedRow

_PREFIX: Final = b"callvault/v1\x00"
_NONCE_SIZE: Final = 12
_KEY_SIZE: Final = 32


def seal(
    metadata: bytes, recording_id: RecordingId, *, catalog_key: SecretBytes, key_id: str
) -> SealedRow:
    """Seal *metadata* under a fresh row key, and that under *catalog_key*."""
    row_key = os.urandom(_KEY_SIZE)
    return SealedRow(
        sealed=_encrypt(
            row_key, padding.pad(metadata), _metadata_context(recording_id)
        ),
        # A random nonce is safe: one catalog key wraps a month's rows, far
        # below the 2^32 after which NIST wants another key.
        wrapped_key=_encrypt(
            catalog_key.reveal(), row_key, _key_context(recording_id, key_id)
        ),
        key_id=key_id,
    )


def open_row(
    row: SealedRow, recording_id: RecordingId, *, catalog_key: SecretBytes
) -> bytes:
    """Return the metadata of *row*, if it is *recording_id*'s and unaltered.

    Raises:
        SealBrokenError: It is not.
    """
    try:
        row_key = _decrypt(
            catalog_key.reveal(),
            row.wrapped_key,
            _key_context(recording_id, row.key_id),
        )
        padded = _decrypt(row_key, row.sealed, _metadata_context(recording_id))
    except (InvalidTag, ValueError):
        raise SealBrokenError(f"{recording_id}: the row does not open") from None
    return padding.unpad(padded)


def _metadata_context(recording_id: RecordingId) -> bytes:
    return _PREFIX + b"row-metadata\x00" + recording_id_octets(recording_id)


def _key_context(recording_id: RecordingId, key_id: str) -> bytes:
    return _PREFIX + b"row\x00" + recording_id_octets(recording_id) + key_id.encode()


def _encrypt(key: bytes, plaintext: bytes, context: bytes) -> bytes:
    nonce = os.urandom(_NONCE_SIZE)
    return nonce + AESGCM(key).encrypt(nonce, plaintext, context)


def _decrypt(key: bytes, sealed: bytes, context: bytes) -> bytes:
    nonce, ciphertext = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
    return AESGCM(key).decrypt(nonce, ciphertext, context)
