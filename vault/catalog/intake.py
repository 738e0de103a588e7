"""What a tap tells of a call: that it started, and that all of it is stored.

Guarantees: both may come first, and again; the row ends up the same.

Left to others: the transaction around each (`vault.catalog.recordings`).
"""

from dataclasses import dataclass

from sqlalchemy import Connection, Row, select, update

from vault.catalog.objects import put_objects
from vault.catalog.states import Event, next_state
from vault.catalog.tables import ENVELOPE, RECORDING
from vault.catalog.upsert import insert_if_absent
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


def write_start(connection: Connection, order: OpenRecording) -> None:
    """Write the row and the envelope of a call, unless they were written.

    Raises:
        ConflictError: The id is taken by a recording of another device.
        InvalidInputError: The order's day is none.
    """
    day = parse_day(order.day)
    row = _locked_or_new(connection, order.id)
    # A row with a workgroup was opened before. Its envelope may have been
    # shredded since, and must not come back with a late repetition.
    if row.workgroup_id is not None:
        if row.device_id != order.device_id:
            raise ConflictError("the recording belongs to another device")
        return
    connection.execute(
        update(RECORDING)
        .where(RECORDING.c.id == order.id)
        .values(
            device_id=order.device_id,
            workgroup_id=order.workgroup_id,
            agent_id=order.agent_id,
            day=day,
            kid=order.kid,
        )
    )
    insert_if_absent(
        connection, ENVELOPE, {"recording_id": order.id, "octets": order.envelope}
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
