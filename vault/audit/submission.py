"""What a log asks of a witness, as octets: one checkpoint, and how it came about.

    old 20852014                 the size that the witness has seen last
    PlRNCrwHpqhGrupue0L7gxbj…    up to 63 hashes of the consistency proof
                                 (empty line)
    the checkpoint, a signed note

Guarantees: a submission that parsed has one spelling; `parse` and ``bytes`` are
inverses.

Left to others: whether any of it is true (`vault.witness.judging`).

Spec: https://c2sp.org/tlog-witness, add-checkpoint
"""

import re
from dataclasses import dataclass
from typing import Final, Self

from vault.audit import notes
from vault.audit.tree import HASH_SIZE
from vault.core.errors import InvalidInputError, TrailBrokenError

MAX_PROOF: Final = 63
"Hashes of a proof: no tree of 2^63 leaves needs more."

_OLD: Final = re.compile(r"old (0|[1-9][0-9]{0,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A checkpoint that wants to be cosigned."""

    old_size: int
    "Entries of the log when the witness saw it last, as far as the sender knows."
    proof: tuple[bytes, ...]
    note: str

    def __bytes__(self) -> bytes:
        lines = [f"old {self.old_size}", *map(notes.to_base64, self.proof), ""]
        return ("\n".join(lines) + "\n" + self.note).encode()

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read the body of a request.

        Raises:
            InvalidInputError: Not a submission in its one spelling.
        """
        try:
            head, found, note = octets.decode().partition("\n\n")
            old, *hashes = head.split("\n")
            proof = tuple(notes.from_base64(line) for line in hashes)
            notes.Note.parse(note)
        except (UnicodeDecodeError, TrailBrokenError):
            raise InvalidInputError("not a submission") from None
        size = _OLD.fullmatch(old)
        if not found or size is None or len(proof) > MAX_PROOF:
            raise InvalidInputError("not a submission")
        if any(len(digest) != HASH_SIZE for digest in proof):
            raise InvalidInputError("a hash that is not 32 octets long")
        return cls(old_size=int(size[1]), proof=proof, note=note)
