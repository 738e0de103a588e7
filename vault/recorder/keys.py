"""The tap's own signing key: an Ed25519 key in a file of its own.

It proves which tap wrote a manifest, and opens nothing.

Guarantees: the file is private (0600, ours, no link) or the process stops.

Left to others: making the key known (`vault.warden.roster`).

Spec: RFC 8410 (PKCS #8), RFC 7468 (PEM)
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from vault.core.errors import ConfigurationError

_MAX_PEM: Final = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestKey:
    """The tap's own signing key."""

    name: str
    private: Ed25519PrivateKey

    @property
    def public(self) -> bytes:
        """The raw verifier key, 32 octets, as the roster has it."""
        return self.private.public_key().public_bytes_raw()


def create_manifest_key(path: Path, *, name: str) -> ManifestKey:
    """Make a key in a new file.

    Raises:
        ConfigurationError: The file exists or cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise ConfigurationError(f"the key {path} cannot be made") from exc
    return ManifestKey(name=name, private=private)


def load_manifest_key(path: Path, *, name: str) -> ManifestKey:
    """Read the key of the tap *name*.

    Raises:
        ConfigurationError: No such file, not private, or not an Ed25519 key.
    """
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags), "rb") as file:
            about = os.fstat(file.fileno())
            pem = file.read(_MAX_PEM)
    except OSError as exc:
        raise ConfigurationError(f"the key {path} cannot be read") from exc
    if stat.S_IMODE(about.st_mode) & 0o077 or about.st_uid != os.geteuid():
        raise ConfigurationError(f"the key {path} is not private (mode 0600)")
    try:
        private = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        raise ConfigurationError(f"the key {path} is no key") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigurationError(f"the key {path} is not Ed25519")
    return ManifestKey(name=name, private=private)
