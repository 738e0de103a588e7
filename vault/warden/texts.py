"""What people typed, read back: one entry of the trail at a time.

Guarantees:
    * A text opens only as what the entry says that it was.
    * Finding and opening are apart: between the two the leaf becomes durable.

Left to others: the leaf (`vault.warden.service`), who may read (`vault.web`).

Spec: docs/adr/0022-reasons-that-are-read.md
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vault.audit.query import EVERYTHING
from vault.audit.source import LogSource
from vault.audit.texts import open_text
from vault.core.errors import NotFoundError, SealBrokenError
from vault.core.secrets import SecretBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptTexts:
    """What is still sealed beside one entry."""

    entry_id: str
    recording: str
    hmacs: Mapping[str, str]
    sealed: Mapping[str, bytes] = field(repr=False)


class TextDesk:
    """Finds and opens texts; thread-safe."""

    def __init__(self, source: LogSource, key: SecretBytes) -> None:
        """Read *source*, and open what was sealed under *key*."""
        self._source = source
        self._key = key

    def find(self, index: int) -> KeptTexts:
        """Return what is sealed beside entry *index*.

        Raises:
            NotFoundError: No such entry, or nothing beside it (any more).
            TrailBrokenError: The entry is not what was logged.
        """
        page = self._source.page(EVERYTHING, cursor=str(index + 1), limit=1)
        found = page.items[0] if page.items else None
        if found is None or found.index != index:
            raise NotFoundError("no such entry")
        members = found.entry.members
        hmacs = members.get("text")
        sealed = self._source.sealed_texts([index]).get(index, {})
        if not isinstance(hmacs, Mapping) or not sealed:
            raise NotFoundError("nobody typed anything there, or it was erased")
        return KeptTexts(
            entry_id=str(members.get("id", "")),
            recording=str(members.get("recording", "")),
            hmacs={name: str(digest) for name, digest in hmacs.items()},
            sealed=sealed,
        )

    def open(self, kept: KeptTexts) -> dict[str, str]:
        """Return what was typed, by field.

        Raises:
            SealBrokenError: Not the text that was logged: changed or swapped.
        """
        if not kept.sealed.keys() <= kept.hmacs.keys():
            raise SealBrokenError(f"the texts of entry {kept.entry_id} are not its own")
        return {
            name: open_text(
                sealed,
                key=self._key,
                entry_id=kept.entry_id,
                field=name,
                expected_hmac=kept.hmacs[name],
            )
            for name, sealed in sorted(kept.sealed.items())
        }
