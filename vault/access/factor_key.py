"""The key that seals one-time code secrets and reasons: in no database.

    octet 0   1         13              end
          | v | nonce   | ciphertext+tag |        v = 1, AES-256-GCM

Guarantees:
    * Whoever reads the database, or a copy of it, learns no secret of anybody.
    * A sealed secret opens for the person that it was sealed for, a reason for the row
      that it was sealed for: swapped between two rows it opens for neither.
    * What one of the two keys sealed, the other does not open.
    * The file is private (0600, ours, no link), or the process stops.

Left to others: where the file lies (`vault.wiring`), back-ups of it: without it every
one-time code must be set up anew, and recovery codes still work.

Spec: NIST SP 800-38D; RFC 5869; docs/adr/0022-reasons-that-are-read.md
"""

import base64
import binascii
import secrets
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault.core.errors import ConfigurationError, SealBrokenError
from vault.core.ids import UserId
from vault.core.secrets import SecretBytes
from vault.sealing.keyfile import read_private, write_private

_KEY_BYTES: Final = 32
_VERSION: Final = b"\x01"
_NONCE_BYTES: Final = 12
_CONTEXT: Final = b"callvault/v1\0totp\0"
_REASON_CONTEXT: Final = b"callvault/v1\0reason\0"
_REASON_INFO: Final = b"callvault/v1\0reason-key"


class FactorKey:
    """Seals what a one-time code is computed from; safe to share between threads."""

    def __init__(self, key: SecretBytes) -> None:
        """Take the key.

        Raises:
            ConfigurationError: It has not 32 octets.
        """
        if len(key) != _KEY_BYTES:
            raise ConfigurationError(f"a factor key has {_KEY_BYTES} octets")
        self._cipher = AESGCM(key.reveal())
        self._reasons = ReasonKey(key)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a key from its private file: base64 of 32 octets.

        Raises:
            ConfigurationError: Missing, not private, or not that.
        """
        try:
            octets = base64.b64decode(read_private(path).strip(), validate=True)
        except binascii.Error:
            raise ConfigurationError(f"{path} is no factor key: not base64") from None
        return cls(SecretBytes(octets))

    @property
    def reasons(self) -> "ReasonKey":
        """The key for reasons that goes with it."""
        return self._reasons

    def seal(self, secret: SecretBytes, user_id: UserId) -> bytes:
        """Return *secret* sealed for *user_id*."""
        return _sealed(self._cipher, secret.reveal(), _bound_to(user_id))

    def open(self, sealed: bytes, user_id: UserId) -> SecretBytes:
        """Return what was sealed for *user_id*.

        Raises:
            SealBrokenError: Sealed for another person, under another key, or changed.
        """
        return SecretBytes(_opened(self._cipher, sealed, _bound_to(user_id)))


class ReasonKey:
    """Seals what people typed for as long as somebody must read it; thread-safe."""

    def __init__(self, key: SecretBytes) -> None:
        """Derive it from the key in the file."""
        kdf = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_REASON_INFO)
        self._cipher = AESGCM(kdf.derive(key.reveal()))

    def seal(self, reason: str, row_id: str) -> bytes:
        """Return *reason* sealed for the row of an approval or a grant."""
        return _sealed(self._cipher, reason.encode(), _of_row(row_id))

    def open(self, sealed: bytes, row_id: str) -> str:
        """Return what was sealed for that row.

        Raises:
            SealBrokenError: Sealed for another row, under another key, or changed.
        """
        return _opened(self._cipher, sealed, _of_row(row_id)).decode()


def create_factor_key(path: Path) -> None:
    """Make a key in a file of its own, unless there is one.

    Of several processes that need one at the same time, one makes it.

    Raises:
        ConfigurationError: It cannot be written.
    """
    if path.exists():
        return
    key = base64.b64encode(secrets.token_bytes(_KEY_BYTES)) + b"\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, key, replace=False)
    except OSError as exc:
        raise ConfigurationError(f"the key {path} cannot be made") from exc
    except ConfigurationError:
        # Somebody was faster: theirs is as good.
        if not path.exists():
            raise


def _sealed(cipher: AESGCM, plain: bytes, context: bytes) -> bytes:
    # Random nonces are safe far beyond what people type in the life of a key.
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return _VERSION + nonce + cipher.encrypt(nonce, plain, context)


def _opened(cipher: AESGCM, sealed: bytes, context: bytes) -> bytes:
    nonce = sealed[1 : 1 + _NONCE_BYTES]
    if not sealed.startswith(_VERSION) or len(nonce) != _NONCE_BYTES:
        raise SealBrokenError("what was sealed has an unknown form")
    try:
        return cipher.decrypt(nonce, sealed[1 + _NONCE_BYTES :], context)
    except InvalidTag:
        raise SealBrokenError("what was sealed does not open") from None


def _bound_to(user_id: UserId) -> bytes:
    return _CONTEXT + user_id.encode()


def _of_row(row_id: str) -> bytes:
    return _REASON_CONTEXT + row_id.encode()
