"""What the shipper is handed: a catalog that can be told, in the spool's words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vault.core.flow import HowEnded, StreamStatus
from vault.core.ids import RecordingId
from vault.spool.order import SpoolOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedObject:
    """One sealed object that is durable in the store."""

    name: str
    size: int
    "Sealed octets."
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedRecording:
    """A recording whose every object, envelope and manifest are in the store."""

    recording_id: RecordingId
    objects: tuple[ShippedObject, ...]
    "Capture parts in order, then the rest; the manifest last."
    capture_bytes: int
    "Sealed octets of the capture parts."
    manifest_sha256: bytes
    how: HowEnded
    streams: tuple[StreamStatus, ...]


class CatalogIntake(Protocol):
    """Rows for recordings, from their first moment on.

    All calls block, are repeated until they succeed, and MUST be idempotent:
    each returns only when the row is committed.
    """

    def opened(self, order: SpoolOrder, envelope: bytes) -> None:
        """Insert the row and the envelope of a recording that began.

        Raises:
            DatabaseUnavailableError: Safe to repeat.
        """
        ...

    def opened_together(self, begun: Sequence[tuple[SpoolOrder, bytes]]) -> None:
        """As `opened`, for all of *begun* or, on any error, for none."""
        ...

    def captured(self, recording: ShippedRecording) -> None:
        """Note that a recording is in the store.

        Raises:
            DatabaseUnavailableError: Safe to repeat.
        """
        ...
