"""Signed notes: text, and below it a line per signature.

    text, any number of lines
                                 (empty line)
    — NAME base64(key id (4) ‖ signature)

    key id = SHA-256(NAME ‖ 0x0A ‖ type ‖ public key)[:4]
    verifier key = NAME+hex(key id)+base64(type ‖ public key (32))

The octet *type* says what is signed: 1 is the text itself, 4 a cosignature.

Guarantees:
    * One note has one spelling: base64 and names are read strictly, and what is longer
      than 64 Ki characters or bears more than 64 signatures is none.
    * A verifier key that was mistyped does not parse.

Left to others: whether a signature is right (`vault.audit.checkpoint`,
`vault.audit.cosignature`).

Spec: https://c2sp.org/signed-note
"""

import base64
import binascii
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Self

from vault.core.errors import InvalidInputError, TrailBrokenError

KEY_SIZE: Final = 32
"Octets of an Ed25519 public key, whatever its type signs."

MAX_NOTE_CHARS: Final = 65_536

_KEY_ID_SIZE: Final = 4
_MAX_SIGNATURES: Final = 64
_KEY_ID: Final = re.compile(r"[0-9a-f]{8}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureLine:
    """One line below a note."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"\u2014 {self.name} {to_base64(self.key_id + self.signature)}\n"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Read a line, without its newline.

        Raises:
            TrailBrokenError: Not a signature line.
        """
        parts = line.split(" ")
        if len(parts) != len(("dash", "name", "blob")) or parts[0] != "\u2014":
            raise TrailBrokenError("not a signature line")
        _, name, encoded = parts
        blob = from_base64(encoded)
        if not is_key_name(name) or len(blob) <= _KEY_ID_SIZE:
            raise TrailBrokenError("not a signature line")
        return cls(name=name, key_id=blob[:_KEY_ID_SIZE], signature=blob[_KEY_ID_SIZE:])


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A text with its signatures, of which none has been checked."""

    text: str
    signatures: tuple[SignatureLine, ...]

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"

    @classmethod
    def parse(cls, note: str) -> Self:
        """Read a signed note.

        Raises:
            TrailBrokenError: Not a signed note.
        """
        if len(note) > MAX_NOTE_CHARS or not note.endswith("\n"):
            raise TrailBrokenError("not a signed note")
        head, found, tail = note.rpartition("\n\n")
        text = head + "\n"
        lines = tail.removesuffix("\n").split("\n")
        if not found or not is_note_text(text) or len(lines) > _MAX_SIGNATURES:
            raise TrailBrokenError("not a signed note")
        return cls(text=text, signatures=tuple(map(SignatureLine.parse, lines)))

    def signed_as(self, name: str, key_id: bytes) -> list[bytes]:
        """Return the signatures that claim to be of that key."""
        return [
            line.signature
            for line in self.signatures
            if line.name == name and line.key_id == key_id
        ]


def key_id_of(name: str, kind: bytes, public_key: bytes) -> bytes:
    """Return the four octets that tell keys of one name apart."""
    spelled = name.encode() + b"\n" + kind + public_key
    return hashlib.sha256(spelled).digest()[:_KEY_ID_SIZE]


def spell_key(name: str, kind: bytes, public_key: bytes) -> str:
    """Return the verifier key: ``name+hex key id+base64 key``."""
    key_id = key_id_of(name, kind, public_key)
    return f"{name}+{key_id.hex()}+{to_base64(kind + public_key)}"


def parse_key(text: str, kind: bytes) -> tuple[str, bytes]:
    """Return name and public key of a verifier key of that *kind*.

    Raises:
        InvalidInputError: Not a verifier key, of another kind, or mistyped.
    """
    # The base64 may hold "+", names may not.
    parts = text.strip().split("+", 2)
    if len(parts) != len(("name", "key id", "key")):
        raise InvalidInputError("not a verifier key")
    name, key_id, encoded = parts
    try:
        key = from_base64(encoded)
    except TrailBrokenError:
        raise InvalidInputError("not a verifier key") from None
    if key[:1] != kind or len(key) != 1 + KEY_SIZE or not is_key_name(name):
        raise InvalidInputError("not an Ed25519 verifier key of this kind")
    public_key = key[1:]
    right = key_id_of(name, kind, public_key).hex()
    if not _KEY_ID.fullmatch(key_id) or right != key_id:
        raise InvalidInputError("the verifier key does not match its own id")
    return name, public_key


def is_note_text(text: str) -> bool:
    """Whether *text* may be signed: it ends with a newline and holds no controls."""
    if not text.endswith("\n"):
        return False
    return all(char == "\n" or unicodedata.category(char) != "Cc" for char in text)


def is_key_name(name: str) -> bool:
    """Whether *name* may stand before a signature."""
    return bool(name) and not any(
        char == "+" or char.isspace() or unicodedata.category(char)[0] == "C"
        for char in name
    )


def to_base64(octets: bytes) -> str:
    """Spell octets."""
    return base64.b64encode(octets).decode()


def from_base64(text: str) -> bytes:
    """Read base64 that has one spelling only: padded, no stray bits or blanks.

    Raises:
        TrailBrokenError: It has another one.
    """
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise TrailBrokenError("not base64") from None
    if to_base64(octets) != text:
        raise TrailBrokenError("not base64 in its one spelling")
    return octets
