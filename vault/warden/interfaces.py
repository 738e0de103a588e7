"""What the warden is handed: a log, the catalog's sealed columns, and its keys.

Guarantees: nothing but these shapes is asked of the other rooms, so the warden
can be read without them.

Left to others: the log (`vault.audit.log.AuditLog`), envelopes and rows
(`vault.catalog`), keys (`vault.sealing.keyring.Keyring`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from vault.audit.texts import TextToKeep
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.sealing.interfaces import PrivateKeys
from vault.trust.interfaces import SealedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """One entry on its way into the log, and the free text kept beside it."""

    entry: bytes
    texts: Mapping[str, TextToKeep] = field(
        default_factory=lambda: MappingProxyType({})
    )


class LogWriter(Protocol):
    """The audit log, opened for writing by this process alone."""

    @property
    def size(self) -> int:
        """Entries in it, as of the last commit."""
        ...

    def append(
        self,
        entries: Sequence[bytes],
        texts: Sequence[Mapping[str, TextToKeep]] | None = None,
    ) -> range:
        """Append all or none, and return when they are durable.

        Raises:
            InvalidInputError: One is not an entry; none was written.
            ConflictError: A (source, seq) that is there already; none was written.
            TrailBrokenError: The log was altered; for good.
            UnavailableError: Unknown whether they were written.
        """
        ...

    def probe(self) -> None:
        """Commit a small durable write beside the log.

        Raises:
            TrailBrokenError: The log was altered; for good.
            UnavailableError: An append would not work now.
        """
        ...


class EnvelopeReader(Protocol):
    """Where envelopes rest."""

    def read(self, recording_id: RecordingId) -> bytes:
        """Return the envelope's octets.

        Raises:
            NotFoundError: There is none (any more).
            UnavailableError: Safe to retry.
        """
        ...


class SealedRows(Protocol):
    """Where sealed rows rest."""

    def sealed(self, ids: Collection[RecordingId]) -> Mapping[RecordingId, SealedRow]:
        """Return the sealed rows of those recordings that have one.

        Raises:
            UnavailableError: Safe to retry.
        """
        ...


class VaultKeys(PrivateKeys, Protocol):
    """The secrets that never leave this process; thread-safe."""

    @property
    def index_key(self) -> SecretBytes:
        """Root of the blind index and of the text seals; 32 octets."""
        ...

    def catalog_key(self, key_id: str) -> SecretBytes:
        """Return the key that wraps a month's row keys.

        Raises:
            KeyUnavailableError: There is none under this name.
        """
        ...

    def ensure_month(self, month: str) -> bool:
        """Have keys for *month*; return whether they were made just now."""
        ...
