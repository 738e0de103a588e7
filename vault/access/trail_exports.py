"""The checkpoint of each person's last export of the trail, to prove the next against.

Guarantees: one per person, of an export that they have whole.

Left to others: the proof (`vault.audit.continuity`).  Whoever can write this table can
take the memory away, not forge a checkpoint: a copy that officers keep is better.
"""

from contextlib import suppress

from sqlalchemy import Engine, insert, select, update

from vault.access.tables import TRAIL_EXPORT
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import ConflictError
from vault.core.ids import UserId
from vault.database.engine import reading, transaction


class TrailExports:
    """The checkpoints in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def last(self, user_id: UserId) -> str | None:
        """Return the signed note of somebody's last export; None before the first."""
        statement = select(TRAIL_EXPORT.c.note).where(TRAIL_EXPORT.c.user_id == user_id)
        with reading(self._engine) as connection:
            note = connection.execute(statement).scalar_one_or_none()
        return None if note is None else str(note)

    def keep(self, user_id: UserId, note: str) -> None:
        """Remember the signed note of an export that somebody has whole."""
        if not self._renewed(user_id, note):
            # Two exports of one person may end at once: then the other's is there.
            with suppress(ConflictError), transaction(self._engine) as connection:
                connection.execute(
                    insert(TRAIL_EXPORT).values(
                        user_id=user_id, note=note, made_ns=self._clock()
                    )
                )

    def _renewed(self, user_id: UserId, note: str) -> bool:
        statement = (
            update(TRAIL_EXPORT)
            .where(TRAIL_EXPORT.c.user_id == user_id)
            .values(note=note, made_ns=self._clock())
        )
        with transaction(self._engine) as connection:
            return bool(connection.execute(statement).rowcount)
