"""Reads envelopes: wrapped data keys, one per recording.

Guarantees: what is returned was written with the recording's row, by
`Recordings.open`; nothing here opens or changes it.

Left to others: unwrapping, re-wrapping and shredding (`vault.warden`).
"""

from sqlalchemy import Engine, select

from vault.catalog.tables import ENVELOPE
from vault.core.errors import NotFoundError
from vault.core.ids import RecordingId
from vault.database.engine import reading


class Envelopes:
    """The envelopes in the catalog; instances are safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def read(self, recording_id: RecordingId) -> bytes:
        """Return the envelope's octets, RFC 8785 JSON.

        Raises:
            NotFoundError: Shredded, never opened, or no such recording.
            DatabaseUnavailableError: Safe to retry.
        """
        with reading(self._engine) as connection:
            octets: bytes | None = connection.scalar(
                select(ENVELOPE.c.octets).where(ENVELOPE.c.recording_id == recording_id)
            )
        if octets is None:
            raise NotFoundError("no envelope for that recording")
        return bytes(octets)
