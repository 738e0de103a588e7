"""What playback asks of the catalog."""

from collections.abc import Mapping
from typing import Protocol

from vault.catalog.values import RecordingRow, StoredObject
from vault.core.ids import RecordingId


class Catalog(Protocol):
    """Which objects count.  `vault.catalog.recordings` is one.

    Both calls may raise `DatabaseUnavailableError`.
    """

    def row(self, recording_id: RecordingId) -> RecordingRow:
        """Return one recording.  Raises `NotFoundError`."""
        ...

    def objects(self, recording_id: RecordingId) -> Mapping[str, StoredObject]:
        """Return the current objects of a recording by name."""
        ...
