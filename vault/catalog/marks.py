"""What officers mark a recording with: a hold, and a class.

Guarantees: a hold is placed and released under the lock of the recording's row, the
one that whatever shreds takes, too: the two never happen at the same moment.

Left to others: who may (`vault.access`), the leaf (the caller's room), what a class
asks for (`vault.access.classes`).
"""

from collections.abc import Callable

from sqlalchemy import Connection, Engine, select, update

from vault.catalog.intake import locked_row
from vault.catalog.reading import read_rows
from vault.catalog.search import visible
from vault.catalog.tables import RECORDING
from vault.catalog.values import RecordingRow
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import GoneError, NotFoundError
from vault.core.flow import Actor, RecordingState, VisibilityScope
from vault.core.ids import RecordingId
from vault.database.engine import reading, transaction

Tell = Callable[[RecordingRow], object]
"Is told before it counts; what it raises undoes it."


class Holds:
    """Legal holds in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def place(
        self,
        recording_id: RecordingId,
        scope: VisibilityScope | None,
        *,
        by: Actor,
        tell: Tell,
    ) -> RecordingRow:
        """Hold a recording; a held one stays held, and *tell* is told again.

        Args:
            recording_id: Which.
            scope: Within which it must be; None for the operator.
            by: Who does it; of a held one it stays who did.
            tell: What writes the leaf.

        Raises:
            NotFoundError: No such recording, or not within *scope*.
            GoneError: It was shredded.
        """
        return self._set(recording_id, scope, tell, by=by)

    def release(
        self, recording_id: RecordingId, scope: VisibilityScope | None, *, tell: Tell
    ) -> RecordingRow:
        """End a hold; *tell* is told nothing where there is none.

        Raises:
            NotFoundError: No such recording, or not within *scope*.
            GoneError: It was shredded.
        """
        return self._set(recording_id, scope, tell, by=None)

    def list(
        self, limit: int, scope: VisibilityScope | None = None
    ) -> tuple[RecordingRow, ...]:
        """Return the newest held recordings within *scope*; None for the operator."""
        query = select(RECORDING).where(RECORDING.c.held)
        if scope is not None:
            query = query.where(visible(scope))
        with reading(self._engine) as connection:
            return read_rows(
                connection, query.order_by(RECORDING.c.seq.desc()).limit(limit)
            )

    def _set(
        self,
        recording_id: RecordingId,
        scope: VisibilityScope | None,
        tell: Tell,
        *,
        by: Actor | None,
    ) -> RecordingRow:
        with transaction(self._engine) as connection:
            row = locked(connection, recording_id, scope)
            if row.state is RecordingState.SHREDDED:
                raise GoneError("the recording is gone")
            if by is not None or row.held:
                connection.execute(
                    update(RECORDING)
                    .where(RECORDING.c.id == recording_id)
                    .values(**self._mark(row, by))
                )
                tell(row)
            return locked(connection, recording_id, scope)

    def _mark(self, row: RecordingRow, by: Actor | None) -> dict[str, object]:
        if by is None:
            return {"held": False, "held_since_ns": None, "held_by": None}
        if row.held:
            return {"held": True}
        return {"held": True, "held_since_ns": self._clock(), "held_by": str(by)}


def set_class(
    connection: Connection, recording_id: RecordingId, class_name: str | None
) -> RecordingRow:
    """Say of which class a recording is; None: that of its workgroup.

    Raises:
        NotFoundError: No such recording.
    """
    locked(connection, recording_id)
    connection.execute(
        update(RECORDING)
        .where(RECORDING.c.id == recording_id)
        .values(class_name=class_name)
    )
    return locked(connection, recording_id)


def locked(
    connection: Connection,
    recording_id: RecordingId,
    scope: VisibilityScope | None = None,
) -> RecordingRow:
    """Return one recording; nobody else changes it in this transaction.

    Raises:
        NotFoundError: No such recording, or not within *scope*.
    """
    locked_row(connection, recording_id)
    query = select(RECORDING).where(RECORDING.c.id == recording_id)
    if scope is not None:
        query = query.where(visible(scope))
    rows = read_rows(connection, query)
    if not rows:
        raise NotFoundError("no such recording")
    return rows[0]
