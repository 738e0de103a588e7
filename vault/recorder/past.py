"""Sessions that have ended, as their devices may still ask for them.

Guarantees: a session of another device and a missing one are the same; as many
ended sessions stay in memory as configured, the rest is read where it lies.

Left to others: running sessions (`vault.recorder.desk`).
"""

import asyncio
from collections import OrderedDict

from vault.core.errors import NotFoundError
from vault.core.flow import Device, SessionStatus
from vault.core.ids import RecordingId
from vault.recorder.parts import Desk
from vault.recorder.standing import manifest_status, note_status
from vault.spool.files import MANIFEST, SessionFolder


class Past:
    """What became of sessions that are over."""

    def __init__(self, parts: Desk, *, remembered: int) -> None:
        """Remember nothing yet; at most *remembered* sessions at a time."""
        self._parts = parts
        self._most = remembered
        self._ended: OrderedDict[RecordingId, tuple[Device, SessionStatus]]
        self._ended = OrderedDict()

    def remember(self, device: Device, status: SessionStatus) -> None:
        """Keep the final *status* of a session of *device*."""
        self._ended[status.recording_id] = (device, status)
        while len(self._ended) > self._most:
            self._ended.popitem(last=False)

    def belongs(self, device: Device, recording_id: RecordingId) -> bool:
        """Return whether that session is remembered as one of *device*."""
        known = self._ended.get(recording_id)
        return known is not None and known[0].id == device.id

    async def status(self, device: Device, recording_id: RecordingId) -> SessionStatus:
        """Return the final state: from memory, the spool, or the ledger's note.

        Raises:
            NotFoundError: No such session of this device.
        """
        if self.belongs(device, recording_id):
            return self._ended[recording_id][1]
        folder = self._parts.spool.folder(recording_id)
        return await asyncio.to_thread(self._looked_up, device, folder)

    def _looked_up(self, device: Device, folder: SessionFolder) -> SessionStatus:
        try:
            if folder.has(MANIFEST) and folder.order().device_id == device.id:
                return manifest_status(folder, self._parts.manifest_key)
        except NotFoundError:
            pass  # shipped and freed while we looked
        note = self._parts.notes.read(folder.recording_id)
        if note.device_id != device.id:
            raise NotFoundError("no such session of this device")
        return note_status(folder.recording_id, note)
