"""Reads the sealed metadata of rows, for the warden to open.

Guarantees: ciphertext out, nothing else; recordings without a sealed row (still
in progress, or shredded) are absent from the answer.
"""

from collections.abc import Collection, Mapping

from sqlalchemy import Engine, select

from vault.catalog.tables import SEALED_ROW
from vault.core.errors import InvalidInputError
from vault.core.ids import RecordingId
from vault.database.engine import reading
from vault.trust.interfaces import MAX_ROWS, SealedRow


class Rows:
    """Sealed metadata in the catalog; safe to share between threads."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def sealed(self, ids: Collection[RecordingId]) -> Mapping[RecordingId, SealedRow]:
        """Return the sealed rows of at most 200 recordings.

        Raises:
            InvalidInputError: More than 200 were asked for.
            DatabaseUnavailableError: Safe to retry.
        """
        if len(ids) > MAX_ROWS:
            raise InvalidInputError(f"more than {MAX_ROWS} rows at once")
        if not ids:
            return {}
        with reading(self._engine) as connection:
            found = connection.execute(
                select(SEALED_ROW).where(SEALED_ROW.c.recording_id.in_(list(ids)))
            ).all()
        return {
            RecordingId(row.recording_id): SealedRow(
                sealed=bytes(row.sealed),
                wrapped_key=bytes(row.wrapped_key),
                key_id=row.key_id,
            )
            for row in found
        }
