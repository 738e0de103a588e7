"""Signed checkpoints: what the log commits to after every append.

A checkpoint is three lines of text, signed as a C2SP signed note:

    vault.example/audit          origin: which log
    1234067                      size: entries so far, decimal
    qINS1GRFhWHwdkUeqLEoP4yE…    root: base64 of the Merkle root
                                 (empty line)
    — NAME base64(key id (4) ‖ Ed25519 signature (64))

    the type of its keys (`vault.audit.notes`) is 1: what is signed is the text

Guarantees:
    * `Verifier.open` returns text only below a valid signature of that key.
    * One checkpoint has one spelling: base64 and numbers are read strictly.

Left to others: keeping the signing key (`vault.warden`), and comparing one
checkpoint with an older one (`vault.audit.tree`).

Spec: https://c2sp.org/signed-note, https://c2sp.org/tlog-checkpoint
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from vault.audit import notes
from vault.audit.tree import HASH_SIZE
from vault.core.errors import TrailBrokenError
from vault.core.secrets import SecretBytes

_ED25519: Final = b"\x01"
_BODY_LINES: Final = 3
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The state of a log: its name, its size and the root of its tree."""

    origin: str
    size: int
    "Entries."
    root: bytes

    def __str__(self) -> str:
        return f"{self.origin}\n{self.size}\n{notes.to_base64(self.root)}\n"

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
        digest = notes.from_base64(root)
        if not _SIZE.fullmatch(size) or len(digest) != HASH_SIZE:
            raise TrailBrokenError("not a checkpoint")
        return cls(origin=origin, size=int(size), root=digest)

    @classmethod
    def unverified(cls, note: str) -> Self:
        """Return what *note* says, without asking who says so.

        Raises:
            TrailBrokenError: Not a signed checkpoint.
        """
        return cls.parse(notes.Note.parse(note).text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A public key with its name: whoever holds its text can check the log."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not notes.is_key_name(self.name) or len(self.public_key) != notes.KEY_SIZE:
            raise ValueError("not a verifier key")

    @property
    def key_id(self) -> bytes:
        """The four octets that tell keys of one name apart."""
        return notes.key_id_of(self.name, _ED25519, self.public_key)

    def __str__(self) -> str:
        return notes.spell_key(self.name, _ED25519, self.public_key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a verifier key: ``name+hex key id+base64 key``.

        Raises:
            InvalidInputError: Not an Ed25519 verifier key.
        """
        name, public_key = notes.parse_key(text, _ED25519)
        return cls(name=name, public_key=public_key)

    def open(self, note: str) -> str:
        """Return the text of *note*, which this key has signed.

        Signatures of other keys are passed over: a witness may add its own.

        Raises:
            TrailBrokenError: Malformed, not signed by this key, or a signature
                of this key is wrong.

        Spec: https://c2sp.org/signed-note
        """
        read = notes.Note.parse(note)
        # 1. Find the signatures that claim to be ours: by name and key id.
        ours = read.signed_as(self.name, self.key_id)
        if not ours:
            raise TrailBrokenError(f"the note is not signed by {self.name}")
        # 2. All of them must verify: a wrong one condemns the whole note.
        public_key = Ed25519PublicKey.from_public_bytes(self.public_key)
        for signature in ours:
            try:
                public_key.verify(signature, read.text.encode())
            except InvalidSignature:
                raise TrailBrokenError(
                    f"the signature of {self.name} is wrong"
                ) from None
        return read.text

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
        if not notes.is_note_text(text):
            raise ValueError("not the text of a note")
        line = notes.SignatureLine(
            name=self.verifier.name,
            key_id=self.verifier.key_id,
            signature=self._key.sign(text.encode()),
        )
        return str(notes.Note(text=text, signatures=(line,)))

    def sign_checkpoint(self, checkpoint: Checkpoint) -> str:
        """Return *checkpoint* as a signed note."""
        return self.sign(str(checkpoint))
