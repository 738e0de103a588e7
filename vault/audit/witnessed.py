"""Which witnesses have cosigned the checkpoints that an export was proved under.

Guarantees: `Witnessed.require_all` returns only if each named witness has cosigned one
of the notes that were taken; a wrong cosignature of one of them condemns its note.

Left to others: that the notes are the log's, and that its tree is theirs
(`vault.audit.verify`).
"""

from collections.abc import Iterable, Mapping

from vault.audit.cosignature import Cosigned, Cosigner
from vault.audit.notes import Note
from vault.core.errors import TrailBrokenError


class Witnessed:
    """Looks for the cosignatures of named witnesses."""

    def __init__(self, keys: Iterable[str]) -> None:
        """Look for those of *keys*.

        Raises:
            InvalidInputError: One is not the verifier key of a witness.
        """
        self._cosigners = tuple(map(Cosigner.parse, keys))
        self._found: dict[str, Cosigned] = {}

    def take(self, note: str) -> None:
        """Look at one note of the log.

        Raises:
            TrailBrokenError: A named witness is said to have cosigned it, and has not.
        """
        for cosigner in self._cosigners:
            if not Note.parse(note).signed_as(cosigner.name, cosigner.key_id):
                continue
            found, key = cosigner.open(note), str(cosigner)
            before = self._found.get(key)
            if before is None or found.checkpoint.size >= before.checkpoint.size:
                self._found[key] = found

    def require_all(self) -> Mapping[str, Cosigned]:
        """Return the largest checkpoint that each has cosigned, by verifier key.

        Raises:
            TrailBrokenError: One of them has cosigned nothing.
        """
        for cosigner in self._cosigners:
            if str(cosigner) not in self._found:
                raise TrailBrokenError(f"nothing here is cosigned by {cosigner.name}")
        return self._found
