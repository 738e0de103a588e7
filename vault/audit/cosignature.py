"""Cosignatures: a witness says that the log had only grown, and when it saw that.

    — NAME base64(key id (4) ‖ time (8, big-endian, seconds) ‖ Ed25519 (64))

    signed:  cosignature/v1
             time 1795414569
             the text of the checkpoint, extension lines included

It stands below a checkpoint, beside the signature of the log; the type of a witness's
key (`vault.audit.notes`) is 4, so that no key of a log is taken for one.

Guarantees:
    * `Cosigner.open` returns only what that witness has signed, with the time in it.
    * A cosignature is never valid as the signature of a log, nor the other way round.

Does not guarantee: that the log is signed by its own key, which is asked first
(`vault.audit.checkpoint.Verifier`).

Left to others: what a witness checks before it signs (`vault.witness`).

Spec: https://c2sp.org/tlog-cosignature, Ed25519 (cosignature/v1)
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from vault.audit import notes
from vault.audit.checkpoint import Checkpoint
from vault.core.errors import TrailBrokenError
from vault.core.secrets import SecretBytes

_COSIGNATURE: Final = b"\x04"
_TIME_SIZE: Final = 8
_SIGNATURE_SIZE: Final = _TIME_SIZE + 64
_LATEST_S: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigned:
    """What a witness has said."""

    checkpoint: Checkpoint
    time_s: int
    "Seconds since 1970, by the clock of the witness."


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosigner:
    """The public key of a witness, with its name."""

    name: str
    public_key: bytes

    def __post_init__(self) -> None:
        if not notes.is_key_name(self.name) or len(self.public_key) != notes.KEY_SIZE:
            raise ValueError("not a witness's key")

    @property
    def key_id(self) -> bytes:
        """The four octets that tell keys of one name apart."""
        return notes.key_id_of(self.name, _COSIGNATURE, self.public_key)

    def __str__(self) -> str:
        return notes.spell_key(self.name, _COSIGNATURE, self.public_key)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the verifier key of a witness.

        Raises:
            InvalidInputError: Not one; the key of a log, for example.
        """
        name, public_key = notes.parse_key(text, _COSIGNATURE)
        return cls(name=name, public_key=public_key)

    def open(self, note: str) -> Cosigned:
        """Return what this witness has signed in *note*.

        Of several cosignatures of one witness, which are allowed, the latest counts.

        Raises:
            TrailBrokenError: Malformed, not cosigned by this witness, or a
                cosignature of it is wrong.
        """
        read = notes.Note.parse(note)
        ours = read.signed_as(self.name, self.key_id)
        if not ours:
            raise TrailBrokenError(f"the checkpoint is not cosigned by {self.name}")
        # As with signatures: a wrong one condemns the note.
        times = [self._time_of(signature, read.text) for signature in ours]
        return Cosigned(checkpoint=Checkpoint.parse(read.text), time_s=max(times))

    def _time_of(self, signature: bytes, text: str) -> int:
        time_s = int.from_bytes(signature[:_TIME_SIZE])
        if len(signature) != _SIGNATURE_SIZE or time_s > _LATEST_S:
            raise TrailBrokenError(f"not a cosignature of {self.name}")
        public_key = Ed25519PublicKey.from_public_bytes(self.public_key)
        try:
            public_key.verify(signature[_TIME_SIZE:], _signed(text, time_s))
        except InvalidSignature:
            raise TrailBrokenError(f"the cosignature of {self.name} is wrong") from None
        return time_s


class CosignatureSigner:
    """The private key of a witness with its name."""

    __slots__ = ("_key", "cosigner")

    def __init__(self, *, name: str, key: Ed25519PrivateKey) -> None:
        """Cosign as *name*, which should be an address without a scheme."""
        self._key = key
        self.cosigner = Cosigner(
            name=name, public_key=key.public_key().public_bytes_raw()
        )

    @classmethod
    def from_seed(cls, *, name: str, seed: SecretBytes) -> "CosignatureSigner":
        """Take the 32-octet private key of RFC 8032."""
        return cls(name=name, key=Ed25519PrivateKey.from_private_bytes(seed.reveal()))

    def __repr__(self) -> str:
        return f"<CosignatureSigner: {self.cosigner.name}>"

    def cosign(self, text: str, *, time_s: int) -> str:
        """Return the line that cosigns the checkpoint of that *text*.

        Args:
            text: Of the note, without signatures.
            time_s: Now, in seconds since 1970.

        Raises:
            ValueError: Not the text of a note, or no such time.
        """
        if not notes.is_note_text(text) or not 0 <= time_s <= _LATEST_S:
            raise ValueError("nothing that a witness signs")
        signature = self._key.sign(_signed(text, time_s))
        line = notes.SignatureLine(
            name=self.cosigner.name,
            key_id=self.cosigner.key_id,
            signature=time_s.to_bytes(_TIME_SIZE) + signature,
        )
        return str(line)


def with_lines(note: str, lines: Iterable[str]) -> str:
    """Return *note* with further signature lines, each once.

    Raises:
        TrailBrokenError: Not a note, or not signature lines.
    """
    read = notes.Note.parse(note)
    more = [notes.SignatureLine.parse(line.removesuffix("\n")) for line in lines]
    every = tuple(dict.fromkeys((*read.signatures, *more)))
    return str(notes.Note(text=read.text, signatures=every))


def _signed(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()
