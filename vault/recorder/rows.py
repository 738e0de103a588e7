"""The catalog, as the spool wants to be told: an adapter between two rooms."""

from collections.abc import Sequence

from vault.catalog.recordings import Recordings
from vault.catalog.values import OpenRecording, StoredObject
from vault.spool.files import MANIFEST
from vault.spool.interfaces import ShippedObject, ShippedRecording
from vault.spool.order import SpoolOrder


class RecordingRows:
    """Implements `vault.spool.interfaces.CatalogIntake` on `Recordings`."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings

    def opened(self, order: SpoolOrder, envelope: bytes) -> None:
        """Insert row and envelope."""
        self._recordings.open(_begun(order, envelope))

    def opened_together(self, begun: Sequence[tuple[SpoolOrder, bytes]]) -> None:
        """Insert all rows and envelopes in one transaction."""
        self._recordings.open(*(_begun(order, envelope) for order, envelope in begun))

    def captured(self, recording: ShippedRecording) -> None:
        """Note what the store holds."""
        self._recordings.captured(
            recording.recording_id,
            objects=[_stored(each) for each in recording.objects],
            size_bytes=recording.capture_bytes,
            manifest_sha256=recording.manifest_sha256.hex(),
            how=recording.how,
            summary=recording.streams,
        )


def _begun(order: SpoolOrder, envelope: bytes) -> OpenRecording:
    return OpenRecording(
        id=order.recording_id,
        device_id=order.device_id,
        workgroup_id=order.workgroup_id,
        agent_id=order.agent_id,
        day=order.day,
        kid=order.kid,
        envelope=envelope,
    )


def _stored(shipped: ShippedObject) -> StoredObject:
    if shipped.name == MANIFEST or shipped.name.startswith(("session/", "signalling/")):
        media_type = "application/json"
    else:
        media_type = "application/octet-stream"
    return StoredObject(
        name=shipped.name,
        size=shipped.size,
        sha256=shipped.sha256.hex(),
        media_type=media_type,
    )
