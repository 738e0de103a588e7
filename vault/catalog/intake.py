"""What a tap tells of a call: that it started, and that all of it is stored.

Guarantees: both may come first, and again; the row ends up the same.

Left to others: the transaction around each (`vault.catalog.recordings`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select, update

from vault.catalog.objects import put_objects
from vault.catalog.states import Event, next_state
from vault.catalog.tables import ENVELOPE, RECORDING
from vault.catalog.upsert import insert_absent, insert_if_absent
from vault.catalog.values import (
    OpenRecording,
    StoredObject,
    parse_day,
    streams_to_json,
)
from vault.core.errors import ConflictError, NotFoundError
from vault.core.flow import HowEnded, RecordingState, StreamStatus
from vault.core.ids import RecordingId


@dataclass(frozen=True, slots=True, kw_only=True)
class ShippedCall:
    """What is in the store; the members are those of `Recordings.captured`."""

    objects: tuple[StoredObject, ...]
    size_bytes: int
    manifest_sha256: str
    how: HowEnded
    summary: tuple[StreamStatus, ...]


def write_starts(connection: Connection, orders: Sequence[OpenRecording]) -> None:
    """Write the rows and envelopes of calls, those that were not written before.

    Raises:
        ConflictError: An id is taken by a recording of another device.
        InvalidInputError: An order's day is none.
    """
    starts = {order.id: _start(order) for order in orders}
    rows = [
        {"id": recording_id, "state": str(RecordingState.RECORDING), **start}
        for recording_id, start in starts.items()
    ]
    # Most calls are new: they are written together, without a look.
    new = insert_absent(connection, RECORDING, rows, key=RECORDING.c.id)
    envelopes = {order.id: order.envelope for order in orders}
    for recording_id in starts.keys() - new:
        if not _complete(connection, recording_id, starts[recording_id]):
            # Its envelope may have been shredded since, and must not come back
            # with a late repetition.
            del envelopes[recording_id]
    insert_if_absent(
        connection,
        ENVELOPE,
        *({"recording_id": one, "octets": octets} for one, octets in envelopes.items()),
    )


def _start(order: OpenRecording) -> dict[str, object]:
    return {
        "device_id": order.device_id,
        "workgroup_id": order.workgroup_id,
        "agent_id": order.agent_id,
        "day": parse_day(order.day),
        "kid": order.kid,
    }


def _complete(
    connection: Connection, recording_id: RecordingId, start: Mapping[str, object]
) -> bool:
    """Add the start to a row that has none; return False if it has one.

    A call that still runs may have moved to another workgroup since.
    """
    row = locked_row(connection, recording_id)
    # A row with a workgroup was opened before.
    if row.workgroup_id is not None:
        if row.device_id != start["device_id"]:
            raise ConflictError("the recording belongs to another device")
        _move(connection, row, start)
        return False
    connection.execute(
        update(RECORDING).where(RECORDING.c.id == recording_id).values(**start)
    )
    return True


def _move(
    connection: Connection, row: Row[*tuple[Any, ...]], start: Mapping[str, object]
) -> None:
    """Put a running call where it belongs now; one that has ended stays."""
    place = {name: start[name] for name in ("workgroup_id", "agent_id")}
    there = {"workgroup_id": row.workgroup_id, "agent_id": row.agent_id}
    if place != there and row.state == RecordingState.RECORDING:
        connection.execute(
            update(RECORDING).where(RECORDING.c.id == row.id).values(**place)
        )


def write_end(
    connection: Connection, recording_id: RecordingId, shipped: ShippedCall
) -> None:
    """Write that a call is stored, unless that was written.

    Raises:
        ConflictError: Another manifest was written down before, or the
            recording is past this.
    """
    row = _locked_or_new(connection, recording_id)
    if row.manifest_sha256 is not None:
        if row.manifest_sha256 != shipped.manifest_sha256:
            raise ConflictError("the recording has another manifest")
        return
    state = RecordingState(row.state)
    # A call without media may have failed before its manifest came.
    if state is not RecordingState.FAILED:
        state = next_state(state, Event.SHIPPED)
    connection.execute(
        update(RECORDING)
        .where(RECORDING.c.id == recording_id)
        .values(
            state=str(state),
            size_bytes=shipped.size_bytes,
            manifest_sha256=shipped.manifest_sha256,
            how=str(shipped.how),
            streams=streams_to_json(shipped.summary),
        )
    )
    put_objects(connection, recording_id, shipped.objects)


def locked_row(
    connection: Connection, recording_id: RecordingId
) -> Row[*tuple[object, ...]]:
    """Return the row of a recording; nobody else changes it in this transaction.

    Raises:
        NotFoundError: No such recording.
    """
    row = connection.execute(
        select(RECORDING).where(RECORDING.c.id == recording_id).with_for_update()
    ).first()
    if row is None:
        raise NotFoundError("no such recording")
    return row


def _locked_or_new(
    connection: Connection, recording_id: RecordingId
) -> Row[*tuple[object, ...]]:
    insert_if_absent(
        connection,
        RECORDING,
        {"id": recording_id, "state": str(RecordingState.RECORDING)},
    )
    return locked_row(connection, recording_id)
