"""The keyring: all secrets of a small installation in one file, under a passphrase.

It holds a key-encryption key (X-Wing) and a catalog key for each month, the
log's and the roster's signing keys (Ed25519) and the index key.  Canonical
JSON; each secret is sealed by itself with AES-256-GCM under a key that Argon2id
makes of the passphrase, bound to its own name.

Guarantees:
    * A file that others can read, a symbolic link, and key-derivation
      parameters below a floor are refused.
    * A changed file has its old or its new content, whatever dies when; a
      keyring is never made over another.

Left to others: one process at a time (the warden's lock), where the passphrase
comes from (`vault.config`), who may ask for what (`vault.warden`, the only room
that may import this module).

Spec: RFC 9106 (Argon2id); docs/reference/formats/keyring.md
"""

import hashlib
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.errors import (
    ConfigurationError,
    KeyUnavailableError,
    SealBrokenError,
)
from vault.core.secrets import SecretBytes
from vault.sealing import xwing
from vault.sealing.chunks import LABEL
from vault.sealing.envelope import (
    ALG_XWING,
    Recipient,
    WrappedKey,
    kid_of,
    xwing_recipient,
)
from vault.sealing.keyfile import read_private, write_private
from vault.sealing.members import Members, to_base64

_VERSION: Final = 1
_SECRET_SIZE: Final = 32
_SALT_SIZE: Final = 16
_NONCE_SIZE: Final = 12
_MONTH: Final = re.compile(r"[0-9]{4}-(?:0[1-9]|1[0-2])")
_KEK: Final = "kek-"
_CATALOG: Final = "catalog-"
_INDEX: Final = "index"
_LOG: Final = "log-signing"
_ROSTER: Final = "roster-signing"
_CHECK: Final = "check"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgonCost:
    """What one guess at the passphrase costs.

    Limits: the floor is what OWASP asks of any password hash; the ceiling keeps
    an altered file from eating the machine.
    """

    memory_kib: int = 256 * 1024
    iterations: int = 3
    lanes: int = 4

    def __post_init__(self) -> None:
        if not (
            19 * 1024 <= self.memory_kib <= 4 * 1024 * 1024
            and 2 <= self.iterations <= 64  # noqa: PLR2004 - the docstring's limits
            and 1 <= self.lanes <= 64  # noqa: PLR2004 - as above
        ):
            raise ConfigurationError(
                "the keyring's Argon2id parameters are below what is safe, or absurd"
            )


DEFAULT_COST: Final = ArgonCost()


class Keyring:
    """An unlocked keyring; implements `vault.sealing.interfaces.PrivateKeys`.

    Safe to share between threads.  Two processes MUST NOT hold the same file.
    """

    def __init__(
        self,
        path: Path,
        *,
        lock: "_Lock",
        secrets: Mapping[str, SecretBytes],
    ) -> None:
        """Use `create` or `unlock` instead."""
        self._path = path
        self._lock = lock
        self._secrets = dict(secrets)
        self._changing = threading.Lock()
        self._by_kid: dict[str, SecretBytes] = {}
        self._recipients: dict[str, Recipient] = {}
        for name in sorted(self._secrets):
            if name.startswith(_KEK):
                self._learn_kek(name.removeprefix(_KEK))

    @classmethod
    def create(
        cls,
        path: Path,
        passphrase: SecretBytes,
        *,
        months: Sequence[str],
        cost: ArgonCost = DEFAULT_COST,
    ) -> Self:
        """Make a keyring with fresh keys and write it durably.

        Args:
            path: File to make; its folder exists.
            passphrase: Octets as given; not empty.
            months: UTC months (``2026-11``) to make keys for.
            cost: What one guess at the passphrase costs.

        Raises:
            ConfigurationError: There is a file already, or it cannot be written.
        """
        if not len(passphrase):
            raise ConfigurationError("the passphrase is empty")
        lock = _Lock.derive(passphrase, os.urandom(_SALT_SIZE), cost)
        names = [_INDEX, _LOG, _ROSTER]
        for month in months:
            names += _names_of(month)
        secrets = {name: _fresh() for name in names}
        write_private(path, lock.seal_all(secrets), replace=False)
        return cls(path, lock=lock, secrets=secrets)

    @classmethod
    def unlock(cls, path: Path, passphrase: SecretBytes) -> Self:
        """Open a keyring.

        Raises:
            ConfigurationError: Wrong passphrase; no such file; a file that
                others can read; unsafe parameters; not a keyring.
            SealBrokenError: The passphrase is right and the file was altered.
        """
        octets = read_private(path)
        try:
            lock, sealed, check = _parse(octets, passphrase)
        except SealBrokenError as error:
            raise ConfigurationError(f"{path} is not a keyring: {error}") from None
        # The digest of everything else opens first: it tells a wrong passphrase
        # from a file in which something was removed, swapped or put back.
        try:
            digest = lock.open(_CHECK, check)
        except SealBrokenError:
            raise ConfigurationError(f"wrong passphrase for {path}") from None
        if digest != SecretBytes(lock.digest(sealed)):
            raise SealBrokenError("the keyring was altered")
        secrets = {name: lock.open(name, each) for name, each in sealed.items()}
        missing = {_INDEX, _LOG, _ROSTER} - secrets.keys()
        if missing or any(len(each) != _SECRET_SIZE for each in secrets.values()):
            raise SealBrokenError("the keyring lacks keys")
        return cls(path, lock=lock, secrets=secrets)

    def __repr__(self) -> str:
        return f"<Keyring {self._path} with {len(self._secrets)} keys>"

    @property
    def log_signing_key(self) -> Ed25519PrivateKey:
        """The key that signs checkpoints of the audit log."""
        return Ed25519PrivateKey.from_private_bytes(self._secrets[_LOG].reveal())

    @property
    def roster_signing_key(self) -> Ed25519PrivateKey:
        """The key that signs the roster."""
        return Ed25519PrivateKey.from_private_bytes(self._secrets[_ROSTER].reveal())

    @property
    def index_key(self) -> SecretBytes:
        """The key from which blind-index keys are derived; 32 octets."""
        return self._secrets[_INDEX]

    def catalog_key(self, key_id: str) -> SecretBytes:
        """Return the key that wraps row keys of a month; 32 octets.

        Args:
            key_id: ``catalog-2026-11``; see `catalog_key_id`.

        Raises:
            KeyUnavailableError: Not in this keyring.
        """
        found = self._secrets.get(key_id)
        if found is None or not key_id.startswith(_CATALOG):
            raise KeyUnavailableError(f"no catalog key {key_id}")
        return found

    def months(self) -> list[str]:
        """Return the months that this keyring has keys for, oldest first."""
        return sorted(self._recipients)

    def recipients(self, now_month: str) -> list[Recipient]:
        """Return the recipients of *now_month* and of later months, in order.

        Each recipient's label is its month.
        """
        return [self._recipients[each] for each in self.months() if each >= now_month]

    def ensure_month(self, month: str) -> bool:
        """Have keys for *month*, making and writing them where they are missing.

        Returns:
            Whether keys were made.

        Raises:
            ConfigurationError: The file cannot be written; nothing has changed.
        """
        with self._changing:
            missing = [name for name in _names_of(month) if name not in self._secrets]
            if not missing:
                return False
            secrets = self._secrets | {name: _fresh() for name in missing}
            # Durable before it is used: a key that wrapped something and then
            # was forgotten in a crash would be a recording lost.
            write_private(self._path, self._lock.seal_all(secrets), replace=True)
            self._secrets = secrets
            self._learn_kek(month)
            return True

    def open(self, wrapped: WrappedKey, info: bytes) -> SecretBytes:
        """Open one wrapped data key; see `vault.sealing.interfaces.PrivateKeys`."""
        seed = self._by_kid.get(wrapped.kid)
        if seed is None or wrapped.alg != ALG_XWING:
            raise KeyUnavailableError(f"no key {wrapped.kid}")
        try:
            opened = xwing.SUITE.decrypt(wrapped.ct, xwing.private_key(seed), info)
        except InvalidTag:
            raise SealBrokenError(f"not wrapped for {wrapped.kid} here") from None
        return SecretBytes(opened)

    def _learn_kek(self, month: str) -> None:
        seed = self._secrets[_KEK + month]
        public = xwing.public_octets(seed)
        self._by_kid[kid_of(public)] = seed
        self._recipients[month] = xwing_recipient(public, label=month)


def catalog_key_id(month: str) -> str:
    """Return the name of a month's catalog key: ``catalog-2026-11``."""
    return _CATALOG + month


class _Lock:
    """The key that Argon2id made, and what it was made with."""

    def __init__(self, key: SecretBytes, salt: bytes, cost: ArgonCost) -> None:
        self._aead = AESGCM(key.reveal())
        self._kdf: JsonObject = {
            "alg": "argon2id",
            "memory_kib": cost.memory_kib,
            "iterations": cost.iterations,
            "lanes": cost.lanes,
            "salt": to_base64(salt),
        }

    @classmethod
    def derive(cls, passphrase: SecretBytes, salt: bytes, cost: ArgonCost) -> Self:
        kdf = Argon2id(
            salt=salt,
            length=32,
            iterations=cost.iterations,
            lanes=cost.lanes,
            memory_cost=cost.memory_kib,
        )
        return cls(SecretBytes(kdf.derive(passphrase.reveal())), salt, cost)

    def open(self, name: str, sealed: bytes) -> SecretBytes:
        nonce, rest = sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:]
        try:
            return SecretBytes(self._aead.decrypt(nonce, rest, _bound(name)))
        except (InvalidTag, ValueError):
            raise SealBrokenError(f"{name} of the keyring does not open") from None

    def digest(self, sealed: Mapping[str, bytes]) -> bytes:
        return hashlib.sha256(canonical.dumps(self._body(sealed))).digest()

    def seal_all(self, secrets: Mapping[str, SecretBytes]) -> bytes:
        sealed = {name: self._seal(name, each) for name, each in secrets.items()}
        check = self._seal(_CHECK, SecretBytes(self.digest(sealed)))
        return canonical.dumps(self._body(sealed) | {"check": to_base64(check)})

    def _seal(self, name: str, secret: SecretBytes) -> bytes:
        nonce = os.urandom(_NONCE_SIZE)
        return nonce + self._aead.encrypt(nonce, secret.reveal(), _bound(name))

    def _body(self, sealed: Mapping[str, bytes]) -> JsonObject:
        return {
            "v": _VERSION,
            "kdf": self._kdf,
            "secrets": {name: to_base64(each) for name, each in sealed.items()},
        }


def _parse(
    octets: bytes, passphrase: SecretBytes
) -> tuple[_Lock, dict[str, bytes], bytes]:
    members = Members.parse(octets, of="keyring")
    members.version(_VERSION)
    kdf = members.one("kdf")
    secrets = members.one("secrets")
    sealed = {name: secrets.base64_octets(name) for name in secrets.names()}
    check = members.base64_octets("check")
    members.end()
    if kdf.text("alg") != "argon2id":
        raise SealBrokenError("the keyring names an unknown key derivation")
    # Checked before the derivation runs: an altered file must neither make
    # guessing cheap from now on nor exhaust this machine's memory.
    cost = ArgonCost(
        memory_kib=kdf.count("memory_kib"),
        iterations=kdf.count("iterations"),
        lanes=kdf.count("lanes"),
    )
    salt = kdf.base64_octets("salt")
    kdf.end()
    if len(salt) != _SALT_SIZE:
        raise SealBrokenError("the keyring's salt is not one")
    return _Lock.derive(passphrase, salt, cost), sealed, check


def _bound(name: str) -> bytes:
    return LABEL + b"\x00keyring\x00" + name.encode()


def _fresh() -> SecretBytes:
    return SecretBytes(os.urandom(_SECRET_SIZE))


def _names_of(month: str) -> list[str]:
    if not _MONTH.fullmatch(month):
        raise ValueError("not a month")
    return [_KEK + month, _CATALOG + month]
