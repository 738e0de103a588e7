"""Signed checkpoints: what the log commits to after every append.

A checkpoint is three lines of text, signed as a C2SP signed note:

    vault.example/audit          origin: which log
    1234067                      size: entries so far, decimal
    qINS1GRFhWHwdkUeqLEoP4yE…    root: base64 of the Merkle root
                                 (empty line)
    — NAME base64(key id (4) ‖ Ed25519 signature (64))

    key id = SHA-256(NAME ‖ 0x0A ‖ 0x01 ‖ public key)[:4]
    verifier key = NAME+hex(key id)+base64(0x01 ‖ public key (32))

Guarantees:
    * `Verifier.open` returns text only below a valid signature of that key.
    * One checkpoint has one spelling: base64 and numbers are read strictly.

Left to others: keeping the signing key (`vault.warden`), and comparing one
checkpoint with an older one (`vault.audit.tree`).

Spec: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint
"""

import base64
import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from vault.audit.tree import HASH_SIZE
from vault.core.errors import InvalidInputError, TrailBrokenError
from vault.core.secrets import SecretBytes

_ED25519: Final = b"\x01"
_KEY_SIZE: Final = 32
_KEY_ID_SIZE: Final = 4
_MAX_SIGNATURES: Final = 64
_MAX_NOTE_CHARS: Final = 65_536
_BODY_LINES: Final = 3
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of a log: its name, its size and the root of its tree."""

    origin: str
    size: int
    "Entries."
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the text of a checkpoint (extension lines are passed over).

        Raises:
            TrailBrokenError: Not the text of a checkpoint.

        Spec: https://c2sp.org/tlog-checkpoint
        """
        lines = text.split("\n")
        if len(lines) <= _BODY_LINES or lines[-1] or not all(lines[:-1]):
            raise TrailBrokenError("not a checkpoint")
        origin, size, root = lines[:_BODY_LINES]
        digest = _unbase64(root)
        if not _SIZE.fullmatch(size) or len(digest) != HASH_SIZE:
            raise TrailBrokenError("not a checkpoint")
        return cls(origin=origin, size=int(size), root=digest)

    @classmethod
    def unverified(cls, note: str) -> Self:
        """Return what *note* says, without asking who says so.

        Raises:
            TrailBrokenError: Not a signed checkpoint.
        """
        text, _ = _parse_note(note)
        return cls.parse(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A public key with its name: whoever holds its text can check the log."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not _is_key_name(self.name) or len(self.public_key) != _KEY_SIZE:
            raise ValueError("not a verifier key")

    @property
    def key_id(self) -> bytes:
        """The four octets that tell keys of one name apart."""
        spelled = self.name.encode() + b"\n" + _ED25519 + self.public_key
        return hashlib.sha256(spelled).digest()[:_KEY_ID_SIZE]

    def __str__(self) -> str:
        key = _base64(_ED25519 + self.public_key)
        return f"{self.name}+{self.key_id.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key: ``name+hex key id+base64 key``.

        Raises:
            InvalidInputError: Not an Ed25519 verifier key.
        """
        # The base64 may hold "+", names may not.
        parts = text.strip().split("+", 2)
        if len(parts) != len(("name", "key id", "key")):
            raise InvalidInputError("not a verifier key")
        name, key_id, encoded = parts
        try:
            key = _unbase64(encoded)
        except TrailBrokenError:
            raise InvalidInputError("not a verifier key") from None
        if key[:1] != _ED25519 or len(key) != 1 + _KEY_SIZE or not _is_key_name(name):
            raise InvalidInputError("not an Ed25519 verifier key")
        verifier = cls(name=name, public_key=key[1:])
        if not _KEY_ID.fullmatch(key_id) or verifier.key_id.hex() != key_id:
            raise InvalidInputError("the verifier key does not match its own id")
        return verifier

    def open(self, note: str) -> str:
        """Return the text of *note*, which this key has signed.

        Signatures of other keys are passed over: a witness may add its own.

        Raises:
            TrailBrokenError: Malformed, not signed by this key, or a signature
                of this key is wrong.

        Spec: https://c2sp.org/signed-note
        """
        text, signatures = _parse_note(note)
        # 1. Find the signatures that claim to be ours: by name and key id.
        ours = [
            signature
            for name, key_id, signature in signatures
            if name == self.name and key_id == self.key_id
        ]
        if not ours:
            raise TrailBrokenError(f"the note is not signed by {self.name}")
        # 2. All of them must verify: a wrong one condemns the whole note.
        public_key = Ed25519PublicKey.from_public_bytes(self.public_key)
        for signature in ours:
            try:
                public_key.verify(signature, text.encode())
            except InvalidSignature:
                raise TrailBrokenError(
                    f"the signature of {self.name} is wrong"
                ) from None
        return text

    def open_checkpoint(self, note: str, *, origin: str | None = None) -> Checkpoint:
        """Return the checkpoint in *note*, signed by this key.

        Args:
            note: The signed note.
            origin: The log that it must be of; None accepts any.

        Raises:
            TrailBrokenError: As `open`, or of another log.
        """
        checkpoint = Checkpoint.parse(self.open(note))
        if origin is not None and checkpoint.origin != origin:
            raise TrailBrokenError("the checkpoint is of another log")
        return checkpoint


class Signer:
    """The log's private key with its name.  Only the warden makes one."""

    __slots__ = ("_key", "verifier")

    def __init__(self, *, name: str, key: Ed25519PrivateKey) -> None:
        """Sign as *name*, which should be the origin of the log."""
        self._key = key
        self.verifier = Verifier(
            name=name, public_key=key.public_key().public_bytes_raw()
        )

    @classmethod
    def from_seed(cls, *, name: str, seed: SecretBytes) -> "Signer":
        """Take the 32-octet private key of RFC 8032."""
        return cls(name=name, key=Ed25519PrivateKey.from_private_bytes(seed.reveal()))

    def __repr__(self) -> str:
        return f"<Signer: {self.verifier.name}>"

    def sign(self, text: str) -> str:
        """Return *text* as a signed note.

        Raises:
            ValueError: The text does not end in a newline, or holds controls.
        """
        if not _is_note_text(text):
            raise ValueError("not the text of a note")
        signature = self._key.sign(text.encode())
        encoded = _base64(self.verifier.key_id + signature)
        return f"{text}\n\u2014 {self.verifier.name} {encoded}\n"

    def sign_checkpoint(self, checkpoint: Checkpoint) -> str:
        """Return *checkpoint* as a signed note."""
        return self.sign(str(checkpoint))


def _parse_note(note: str) -> tuple[str, list[tuple[str, bytes, bytes]]]:
    if len(note) > _MAX_NOTE_CHARS or not note.endswith("\n"):
        raise TrailBrokenError("not a signed note")
    head, found, tail = note.rpartition("\n\n")
    text = head + "\n"
    lines = tail.removesuffix("\n").split("\n")
    if not found or not _is_note_text(text) or len(lines) > _MAX_SIGNATURES:
        raise TrailBrokenError("not a signed note")
    return text, [_parse_signature(line) for line in lines]


def _parse_signature(line: str) -> tuple[str, bytes, bytes]:
    parts = line.split(" ")
    if len(parts) != len(("dash", "name", "blob")) or parts[0] != "\u2014":
        raise TrailBrokenError("not a signature line")
    _, name, encoded = parts
    blob = _unbase64(encoded)
    if not _is_key_name(name) or len(blob) <= _KEY_ID_SIZE:
        raise TrailBrokenError("not a signature line")
    return name, blob[:_KEY_ID_SIZE], blob[_KEY_ID_SIZE:]


def _is_note_text(text: str) -> bool:
    if not text.endswith("\n"):
        return False
    return all(char == "\n" or unicodedata.category(char) != "Cc" for char in text)


def _is_key_name(name: str) -> bool:
    return bool(name) and not any(
        char == "+" or char.isspace() or unicodedata.category(char)[0] == "C"
        for char in name
    )


def _base64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def _unbase64(text: str) -> bytes:
    """Read base64 that has one spelling only: padded, no stray bits or blanks."""
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise TrailBrokenError("not base64") from None
    if _base64(octets) != text:
        raise TrailBrokenError("not base64 in its one spelling")
    return octets
