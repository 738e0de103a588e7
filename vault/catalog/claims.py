"""Leases on recordings: which worker renders what, and what if it dies.

There is no job queue to lose: the state of a recording *is* the work to do.  A
lease lapses by itself, so a worker that was killed holds nothing up for longer
than its lease.

Guarantees:
    * Two workers never hold the same recording (``SKIP LOCKED`` on PostgreSQL,
      one writer at a time on SQLite).
    * A recording that ended five attempts becomes ``failed`` and stops costing;
      one that can be played already stays playable and only loses the wish.
    * An attempt that could not even start (warden or store down) is given back
      uncounted, so that an outage fails nothing.

Left to others: doing the work (`vault.renditions`).
"""

from typing import Final

from sqlalchemy import (
    Connection,
    Row,
    Select,
    delete,
    exists,
    func,
    select,
    update,
)

from vault.catalog.states import SETTLED, Event, next_state
from vault.catalog.tables import ENVELOPE, RECORDING, WANTED_FORMAT
from vault.core.errors import ConflictError, NotFoundError
from vault.core.flow import Reason, RecordingState
from vault.core.ids import RecordingId

MAX_ATTEMPTS: Final = 5
"Claims that may end without a success before nobody tries again."

_POISONED_AT_ONCE: Final = 50
"Recordings that one claim gives up on its way, at most."


def claim(
    connection: Connection, *, worker: str, now_ns: int, lease_ns: int
) -> RecordingId | None:
    """Take the lease on the next recording that needs a worker.

    Returns:
        Its id, or None when there is nothing to do.
    """
    for _ in range(_POISONED_AT_ONCE):
        found = _first_due(connection, now_ns)
        if found is None:
            return None
        if found.attempts >= MAX_ATTEMPTS:
            _give_up(connection, found, Reason.STORE_DAMAGED)
            continue
        state = RecordingState(found.state)
        _update(
            connection,
            found.id,
            # What can be played stays so while it is made anew or otherwise.
            state=state if state in SETTLED else next_state(state, Event.CLAIMED),
            worker=worker,
            lease_until_ns=now_ns + lease_ns,
            attempts=found.attempts + 1,
        )
        return RecordingId(found.id)
    return None


def renew(
    connection: Connection,
    recording_id: RecordingId,
    *,
    worker: str,
    until_ns: int,
) -> None:
    """Hold the lease until *until_ns*.

    Raises:
        ConflictError: The lease lapsed and is no longer this worker's.
    """
    _held(connection, recording_id, worker)
    _update(connection, recording_id, lease_until_ns=until_ns)


def give_back(
    connection: Connection,
    recording_id: RecordingId,
    *,
    worker: str,
    not_before_ns: int,
    counted: bool,
    reason: Reason,
) -> None:
    """End the lease without a result.

    Args:
        connection: Inside a transaction.
        recording_id: Which recording.
        worker: Who holds the lease.
        not_before_ns: When the next attempt may start.
        counted: Whether the recording itself is to blame; an outage is not.
        reason: Why it is ``failed``, if this was the last attempt.

    Raises:
        ConflictError: The lease lapsed and is no longer this worker's.
    """
    row = _held(connection, recording_id, worker)
    if counted and row.attempts >= MAX_ATTEMPTS:
        _give_up(connection, row, reason)
        return
    state = RecordingState(row.state)
    _update(
        connection,
        recording_id,
        state=state if state in SETTLED else next_state(state, Event.GIVEN_BACK),
        worker=None,
        lease_until_ns=not_before_ns,
        attempts=row.attempts if counted else row.attempts - 1,
    )


def check_lease(connection: Connection, recording_id: RecordingId, worker: str) -> None:
    """Raise `ConflictError` unless *worker* holds the lease."""
    _held(connection, recording_id, worker)


_Claimable = Row[str, str, int, str | None]
_COLUMNS: Final = (
    RECORDING.c.id,
    RECORDING.c.state,
    RECORDING.c.attempts,
    RECORDING.c.worker,
)


def _first_due(connection: Connection, now_ns: int) -> _Claimable | None:
    # A person waits for a wish; what a dead worker left has waited longest.
    for query in (
        _to_convert(now_ns),
        _in_state(RecordingState.RENDERING, now_ns),
        _in_state(RecordingState.CAPTURED, now_ns),
    ):
        found = connection.execute(query).first()
        if found is not None:
            return found
    return None


def _in_state(state: RecordingState, now_ns: int) -> Select[str, str, int, str | None]:
    return _next(now_ns).where(RECORDING.c.state == str(state))


def _to_convert(now_ns: int) -> Select[str, str, int, str | None]:
    return _next(now_ns).where(
        RECORDING.c.id.in_(select(WANTED_FORMAT.c.recording_id)),
        # Few recordings have a wish, nearly all are settled: an expression keeps
        # planners without statistics off the index of states.
        func.lower(RECORDING.c.state).in_([str(state) for state in SETTLED]),
    )


def _next(now_ns: int) -> Select[str, str, int, str | None]:
    return (
        select(*_COLUMNS)
        .where(
            RECORDING.c.lease_until_ns < now_ns,
            # Without its envelope nobody can open it; `open` may still come.  The
            # column is named because a worker may see no other (roles.sql).
            exists(ENVELOPE.c.recording_id).where(
                ENVELOPE.c.recording_id == RECORDING.c.id
            ),
        )
        # Walks an index and stops at the first: a backlog costs no sorting. A
        # recording that failed before waits behind those that never did.
        .order_by(RECORDING.c.attempts, RECORDING.c.seq)
        .limit(1)
        .with_for_update(skip_locked=True, of=RECORDING)
    )


def _held(connection: Connection, recording_id: RecordingId, worker: str) -> _Claimable:
    row = connection.execute(
        select(*_COLUMNS).where(RECORDING.c.id == recording_id).with_for_update()
    ).first()
    if row is None:
        raise NotFoundError("no such recording")
    if row.worker != worker:
        raise ConflictError("the lease on the recording was lost")
    return row


def _give_up(connection: Connection, row: _Claimable, reason: Reason) -> None:
    state = RecordingState(row.state)
    if state in SETTLED:
        connection.execute(
            delete(WANTED_FORMAT).where(WANTED_FORMAT.c.recording_id == row.id)
        )
        _update(connection, row.id, worker=None, lease_until_ns=0, attempts=0)
        return
    _update(
        connection,
        row.id,
        state=next_state(state, Event.LOST),
        reason=reason,
        worker=None,
        lease_until_ns=0,
    )


def _update(connection: Connection, recording_id: str, **values: object) -> None:
    connection.execute(
        update(RECORDING)
        .where(RECORDING.c.id == recording_id)
        .values({name: _plain(value) for name, value in values.items()})
    )


def _plain(value: object) -> object:
    # Drivers bind str, not every subclass of it.
    return str(value) if isinstance(value, str) else value
