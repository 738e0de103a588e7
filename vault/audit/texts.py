"""Free text beside the log: sealed, erasable, and bound to its entry.

What a person typed (a reason, a before and after) may hold a name or a number,
and the log can forget nothing.  So the entry holds only an HMAC of the text
under a random key of its own; text and HMAC key are sealed together and kept in
`log_text`.  With the row erased, the HMAC in the log tells nothing: its key had
256 random bits.

    sealed = nonce (12) ‖ AES-256-GCM(key, HMAC key (32) ‖ text in UTF-8)
    AAD    = "callvault/v1" ‖ 0x00 ‖ "text" ‖ 0x00 ‖ entry id ‖ 0x00 ‖ field

Guarantees: sealed text opens only as the field of the entry it was written for,
and only if it still is what the entry's HMAC says.

Left to others: the sealing key and who may read (`vault.warden`).
"""

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault.core.errors import SealBrokenError
from vault.core.secrets import SecretBytes

_NONCE_SIZE: Final = 12
_HMAC_KEY_SIZE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class TextToKeep:
    """One text as it goes to the database, and what the entry says of it."""

    hmac: str
    "Hex HMAC-SHA256, for `compose`."
    sealed: bytes = field(repr=False)


def seal_text(text: str, *, key: SecretBytes, entry_id: str, field: str) -> TextToKeep:
    """Seal *text* as *field* of the entry with *entry_id*."""
    hmac_key = os.urandom(_HMAC_KEY_SIZE)
    octets = text.encode()
    nonce = os.urandom(_NONCE_SIZE)
    sealed = AESGCM(key.reveal()).encrypt(
        nonce, hmac_key + octets, _context(entry_id, field)
    )
    digest = hmac.new(hmac_key, octets, hashlib.sha256).hexdigest()
    return TextToKeep(hmac=digest, sealed=nonce + sealed)


def open_text(
    sealed: bytes, *, key: SecretBytes, entry_id: str, field: str, expected_hmac: str
) -> str:
    """Return the text that was sealed as *field* of the entry.

    Args:
        sealed: As it was kept.
        key: The sealing key.
        entry_id: ``id`` of the entry.
        field: Which of its texts.
        expected_hmac: What the entry holds for that field.

    Raises:
        SealBrokenError: Not that text: changed, swapped, or another key.
    """
    nonce, body = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
    try:
        plain = AESGCM(key.reveal()).decrypt(nonce, body, _context(entry_id, field))
    except (InvalidTag, ValueError):
        raise SealBrokenError(f"the text of entry {entry_id} does not open") from None
    hmac_key, octets = plain[:_HMAC_KEY_SIZE], plain[_HMAC_KEY_SIZE:]
    digest = hmac.new(hmac_key, octets, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(digest, expected_hmac):
        raise SealBrokenError(f"the text of entry {entry_id} is not the logged one")
    return octets.decode()


def _context(entry_id: str, field: str) -> bytes:
    return b"\x00".join([b"callvault/v1", b"text", entry_id.encode(), field.encode()])
