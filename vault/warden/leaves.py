"""From a draft to a leaf: id, time, ``via``, and the seals of free text.

Guarantees: ``via`` is the role of the connection and nothing that a caller
said; free text reaches the log only as an HMAC, and the database only sealed.

Left to others: which details may be written (`vault.audit.entry`), the seal
itself (`vault.audit.texts`), durability (`vault.warden.writer`).

Spec: docs/reference/formats/audit-entry.md
"""

from collections.abc import Mapping
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from vault.audit.entry import Draft, compose
from vault.audit.texts import TextToKeep, seal_text
from vault.core.clock import Clock, rfc3339
from vault.core.ids import new_id
from vault.core.secrets import SecretBytes
from vault.warden.interfaces import Leaf

_INFO: Final = b"callvault/v1\x00log-text"
_KEY_SIZE: Final = 32


def text_key(index_key: SecretBytes) -> SecretBytes:
    """Return the key that seals free text beside the log.

    Derived, so that a keyring needs no key of its own for it; HKDF keeps it
    apart from the blind index.
    """
    kdf = HKDF(algorithm=SHA256(), length=_KEY_SIZE, salt=None, info=_INFO)
    return SecretBytes(kdf.derive(index_key.reveal()))


class LeafMaker:
    """Makes leaves; thread-safe."""

    def __init__(self, *, text_key: SecretBytes, clock: Clock) -> None:
        """Seal free text under *text_key*; take times from *clock*."""
        self._text_key = text_key
        self._clock = clock

    def leaf(self, draft: Draft, *, via: str) -> Leaf:
        """Return the leaf for *draft*, reported by a process of role *via*.

        Raises:
            InvalidInputError: The draft holds what must not be logged.
        """
        id = new_id()
        texts: Mapping[str, TextToKeep] = {
            field: seal_text(text, key=self._text_key, entry_id=id, field=field)
            for field, text in draft.text.items()
            if text
        }
        entry = compose(
            draft,
            id=id,
            time=rfc3339(self._clock()),
            via=via,
            text_hmacs={field: kept.hmac for field, kept in texts.items()},
        )
        return Leaf(entry=bytes(entry), texts=texts)
