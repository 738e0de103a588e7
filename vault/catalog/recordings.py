"""Recordings as rows: from the call's first second to the last rendition.

Guarantees:
    * `open` and `captured` may come in any order and any number of times: the
      database may have been down when the call started.
    * No state changes but by the table in `vault.catalog.states`, under a row
      lock.
    * A reader outside the scope and a reader of a missing id get the same answer.

Left to others: the audit leaf of each change (the caller's room), who may read
(`vault.access`), what the octets mean (`vault.sealing`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final, Unpack

from sqlalchemy import Connection, Engine, func, select

from vault.catalog import claims, wishes
from vault.catalog.intake import ShippedCall, locked_row, write_end, write_starts
from vault.catalog.objects import current_objects
from vault.catalog.reading import read_rows
from vault.catalog.results import RenderedCall, store_result
from vault.catalog.search import (
    Criteria,
    after,
    checked_limit,
    format_cursor,
    matches,
    parse_cursor,
    visible,
)
from vault.catalog.tables import RECORDING
from vault.catalog.values import (
    OpenRecording,
    Page,
    RecordingRow,
    StoredObject,
    parse_day,
)
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import NotFoundError
from vault.core.flow import (
    HowEnded,
    Reason,
    RecordingState,
    StreamStatus,
    VisibilityScope,
)
from vault.core.ids import RecordingId
from vault.database.engine import reading, transaction
from vault.trust.interfaces import IndexToken, SealedRow

_DEFAULT_PAGE: Final = 50
_RETRY_AFTER_S: Final = 30.0


class Recordings:
    """The catalog's recordings; instances are safe to share between threads.

    Every method may raise `DatabaseUnavailableError`: nothing was changed, and
    the same call may work later.
    """

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    # -- the tap's side ---------------------------------------------------

    def open(self, *orders: OpenRecording) -> None:
        """Write down that calls are being recorded, with their envelopes.

        Repeating it changes nothing, also after the recording was shredded: an
        envelope that was removed does not come back.

        Raises:
            ConflictError: An id is taken by a recording of another device; then
                nothing of any of them is written.
        """
        with transaction(self._engine) as connection:
            write_starts(connection, orders)

    def captured(
        self,
        recording_id: RecordingId,
        *,
        objects: Sequence[StoredObject],
        size_bytes: int,
        manifest_sha256: str,
        how: HowEnded,
        summary: Sequence[StreamStatus] = (),
    ) -> None:
        """Write down that every object and the manifest of a call are stored.

        Repeating it changes nothing.  If `open` never reached the database the
        row is made here; nobody sees or renders it before `open` does.

        Args:
            recording_id: Which recording.
            objects: What is in the store, the manifest included.
            size_bytes: Sealed octets of the capture.
            manifest_sha256: Of the manifest's octets, 64 hex digits.
            how: How the call ended.
            summary: Counters per stream.

        Raises:
            ConflictError: Another manifest was written down before, or the
                recording is past this.
        """
        shipped = ShippedCall(
            objects=tuple(objects),
            size_bytes=size_bytes,
            manifest_sha256=manifest_sha256,
            how=how,
            summary=tuple(summary),
        )
        with transaction(self._engine) as connection:
            write_end(connection, recording_id, shipped)

    def fail(self, recording_id: RecordingId, reason: Reason) -> None:
        """Write down that there is nothing to play and never will be.

        Repeating it changes nothing: the first reason stays.

        Raises:
            NotFoundError: No such recording.
            ConflictError: The recording can be played, or is past that.
        """
        with transaction(self._engine) as connection:
            row = locked_row(connection, recording_id)
            if row.state == RecordingState.FAILED:
                return
            store_result(
                connection,
                row,
                RenderedCall(state=RecordingState.FAILED, reason=reason),
            )

    # -- the worker's side ------------------------------------------------

    def claim_for_rendering(self, worker: str, lease_s: float) -> RecordingRow | None:
        """Take the next recording that needs a worker, for *lease_s* seconds.

        Returns:
            Its row, with ``wanted`` where another format is asked for; None
            when there is nothing to do.
        """
        now_ns = self._clock()
        with transaction(self._engine) as connection:
            recording_id = claims.claim(
                connection, worker=worker, now_ns=now_ns, lease_ns=_ns(lease_s)
            )
            if recording_id is None:
                return None
            return _one(connection, recording_id)

    def renew(self, recording_id: RecordingId, worker: str, lease_s: float) -> None:
        """Hold the lease for another *lease_s* seconds.

        Raises:
            ConflictError: The lease lapsed and another worker has it.
        """
        until_ns = self._clock() + _ns(lease_s)
        with transaction(self._engine) as connection:
            claims.renew(connection, recording_id, worker=worker, until_ns=until_ns)

    def give_back(
        self,
        recording_id: RecordingId,
        worker: str,
        *,
        counted: bool = True,
        retry_after_s: float = _RETRY_AFTER_S,
        reason: Reason = Reason.STORE_DAMAGED,
    ) -> None:
        """End a lease without a result; another attempt may follow.

        Args:
            recording_id: Which recording.
            worker: Who holds the lease.
            counted: False where an outage is to blame: it costs no attempt.
            retry_after_s: Seconds before the next attempt.
            reason: Why it is ``failed``, if this was the last attempt.

        Raises:
            ConflictError: The lease lapsed and another worker has it.
        """
        not_before_ns = self._clock() + _ns(retry_after_s)
        with transaction(self._engine) as connection:
            claims.give_back(
                connection,
                recording_id,
                worker=worker,
                not_before_ns=not_before_ns,
                counted=counted,
                reason=reason,
            )

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
        """Write down what a worker made, in one transaction, and end its lease.

        A recording that could be played before stays in its state and gains the
        objects.

        Args:
            recording_id: Which recording.
            state: ``ready``, ``partial`` or ``failed``.
            reason: Why it is not ``ready``.
            objects: What was made; each replaces the current one of its kind
                and media type.
            metadata: The sealed row; None keeps what there is.
            tokens: The row's blind-index tokens, replacing all before them.
            duration_ms: Length of the playable media, in milliseconds.
            month: Epoch of *tokens*, ``2026-11``; checked against them.
            summary: Counters per stream, where the worker knows better.
            worker: If given, the lease must still be this worker's.
            fulfils: The wishes of `revise` that this is the answer to: then the
                state of a recording that is settled changes, too.

        Raises:
            NotFoundError: No such recording.
            ConflictError: The state has no such move, the lease was lost, or an
                object of that name exists with other octets.
        """
        result = RenderedCall(
            state=state,
            reason=reason,
            objects=tuple(objects),
            metadata=metadata,
            tokens=tuple(tokens),
            duration_ms=duration_ms,
            month=month,
            summary=None if summary is None else tuple(summary),
            fulfils=tuple(fulfils),
        )
        with transaction(self._engine) as connection:
            row = locked_row(connection, recording_id)
            if worker is not None:
                claims.check_lease(connection, recording_id, worker)
            store_result(connection, row, result)

    def want(self, recording_id: RecordingId, media_type: str) -> bool:
        """Ask the workers for another format of a recording.

        Returns:
            Whether it still has to be made; False if it is there already.

        Raises:
            NotFoundError: No such recording.
            NotReadyError: It cannot be played yet.
            NoMediaError: There is nothing to convert.
            GoneError: It was shredded or has expired.
        """
        with transaction(self._engine) as connection:
            return wishes.want(connection, recording_id, media_type)

    def revise(
        self, recording_id: RecordingId, objects: Sequence[StoredObject]
    ) -> None:
        """Add *objects* to a settled recording and ask for it to be made anew.

        Args:
            recording_id: Which recording.
            objects: What the workers need for it, its addendum behind it; the
                number in the first one's name becomes the wish's.

        Raises:
            NotFoundError: No such recording.
            NotReadyError: Nobody has finished it for the first time yet.
            GoneError: It was shredded or has expired.
            ConflictError: One of the names is taken by other octets.
        """
        with transaction(self._engine) as connection:
            wishes.revise(connection, recording_id, objects)

    # -- readers ----------------------------------------------------------

    def get(self, scope: VisibilityScope, recording_id: RecordingId) -> RecordingRow:
        """Return one recording that *scope* may know of.

        Raises:
            NotFoundError: No such recording, or not for this reader.
        """
        with reading(self._engine) as connection:
            rows = read_rows(
                connection,
                select(RECORDING).where(RECORDING.c.id == recording_id, visible(scope)),
            )
        if not rows:
            raise NotFoundError("no such recording")
        return rows[0]

    def among(
        self, scope: VisibilityScope, recordings: Collection[RecordingId]
    ) -> Mapping[RecordingId, RecordingRow]:
        """Return those of *recordings* that *scope* may know of."""
        query = select(RECORDING).where(
            RECORDING.c.id.in_(list(recordings)), visible(scope)
        )
        with reading(self._engine) as connection:
            return {row.id: row for row in read_rows(connection, query)}

    def find(
        self,
        scope: VisibilityScope,
        *,
        cursor: str | None = None,
        limit: int = _DEFAULT_PAGE,
        **criteria: Unpack[Criteria],
    ) -> Page:
        """Return one page of what *scope* may know of, newest day first.

        Raises:
            InvalidInputError: A cursor we never wrote, a day that is none, or
                a limit outside 1 to 200.
        """
        wanted = checked_limit(limit)
        query = select(RECORDING).where(visible(scope), matches(criteria))
        if cursor is not None:
            query = query.where(after(parse_cursor(cursor)))
        query = query.order_by(RECORDING.c.day.desc(), RECORDING.c.seq.desc())
        with reading(self._engine) as connection:
            rows = read_rows(connection, query.limit(wanted + 1))
        page = rows[:wanted]
        more = len(rows) > wanted
        return Page(
            rows=page,
            next=format_cursor((parse_day(page[-1].day), page[-1].seq))
            if more
            else None,
        )

    def count(self, scope: VisibilityScope, **criteria: Unpack[Criteria]) -> int:
        """Return how many recordings `find` would list in all."""
        query = (
            select(func.count())
            .select_from(RECORDING)
            .where(visible(scope), matches(criteria))
        )
        with reading(self._engine) as connection:
            return connection.execute(query).scalar_one()

    # -- unscoped: worker, operator, metrics ------------------------------

    def row(self, recording_id: RecordingId) -> RecordingRow:
        """Return one recording, whoever asks: for workers and operators only.

        Raises:
            NotFoundError: No such recording.
        """
        with reading(self._engine) as connection:
            return _one(connection, recording_id)

    def newest(self, limit: int) -> tuple[RecordingRow, ...]:
        """Return the newest recordings of all workgroups: for operators only."""
        query = select(RECORDING).order_by(RECORDING.c.seq.desc()).limit(limit)
        with reading(self._engine) as connection:
            return read_rows(connection, query)

    def objects(self, recording_id: RecordingId) -> Mapping[str, StoredObject]:
        """Return the current objects of a recording by name; empty if none."""
        with reading(self._engine) as connection:
            return current_objects(connection, recording_id)

    def counts(self) -> Mapping[RecordingState, int]:
        """Return how many recordings stand in each state, zeros included."""
        query = select(RECORDING.c.state, func.count()).group_by(RECORDING.c.state)
        with reading(self._engine) as connection:
            found = {row[0]: row[1] for row in connection.execute(query)}
        return {state: found.get(state, 0) for state in RecordingState}


def _one(connection: Connection, recording_id: RecordingId) -> RecordingRow:
    rows = read_rows(
        connection, select(RECORDING).where(RECORDING.c.id == recording_id)
    )
    if not rows:
        raise NotFoundError("no such recording")
    return rows[0]


def _ns(seconds: float) -> int:
    return int(seconds * NS_PER_S)
