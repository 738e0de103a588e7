"""What the worker asks of the catalog and of the roster, and nothing more."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from vault.catalog.values import RecordingRow, StoredObject
from vault.core.flow import Reason, RecordingState, StreamStatus
from vault.core.ids import RecordingId
from vault.trust.interfaces import IndexToken, SealedRow


class Catalog(Protocol):
    """Recordings that wait for a worker.  `vault.catalog.recordings` is one.

    Every call blocks and may raise `DatabaseUnavailableError`: nothing was changed.
    """

    def claim_for_rendering(self, worker: str, lease_s: float) -> RecordingRow | None:
        """Take the next recording that needs a worker, or None."""
        ...

    def renew(self, recording_id: RecordingId, worker: str, lease_s: float) -> None:
        """Hold the lease on.  Raises `ConflictError` if another worker has it."""
        ...

    def give_back(
        self,
        recording_id: RecordingId,
        worker: str,
        *,
        counted: bool = True,
        retry_after_s: float = 30.0,
        reason: Reason = Reason.STORE_DAMAGED,
    ) -> None:
        """End a lease without a result; an outage (*counted* false) costs nothing."""
        ...

    def finish(
        self,
        recording_id: RecordingId,
        *,
        state: RecordingState,
        reason: Reason | None = None,
        objects: Sequence[StoredObject] = (),
        metadata: SealedRow | None = None,
        tokens: Sequence[IndexToken] = (),
        duration_ms: int | None = None,
        month: str | None = None,
        summary: Sequence[StreamStatus] | None = None,
        worker: str | None = None,
        fulfils: Sequence[str] = (),
    ) -> None:
        """Write down a result in one transaction and end the lease."""
        ...

    def objects(self, recording_id: RecordingId) -> Mapping[str, StoredObject]:
        """Return the current objects of a recording by name."""
        ...


class TapKeys(Protocol):
    """Whose manifests count: the taps of the newest roster."""

    def __call__(self) -> Mapping[str, bytes]:
        """Return tap name → raw Ed25519 public key (32 octets)."""
        ...


class Stop(Protocol):
    """Asks a worker to end (`threading.Event` fits)."""

    def is_set(self) -> bool:
        """Tell whether to end."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for that, *timeout* seconds at most; tell whether."""
        ...
