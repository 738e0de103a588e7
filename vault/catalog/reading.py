"""Rows of the database as values.

Guarantees: a page of rows costs two statements, whatever its length.
"""

from sqlalchemy import Connection, Row, Select, select

from vault.catalog.tables import WANTED_FORMAT
from vault.catalog.values import RecordingRow, streams_from_json
from vault.core.flow import HowEnded, Reason, RecordingState
from vault.core.ids import DeviceId, KeyId, RecordingId, UserId, WorkgroupId

_Columns = tuple[object, ...]


def read_rows(
    connection: Connection, query: Select[*_Columns]
) -> tuple[RecordingRow, ...]:
    """Return what *query* over the recording table selects, in its order."""
    found = connection.execute(query).all()
    wanted: dict[str, list[str]] = {row.id: [] for row in found}
    if found:
        for recording_id, media_type in connection.execute(
            select(WANTED_FORMAT.c.recording_id, WANTED_FORMAT.c.media_type)
            .where(WANTED_FORMAT.c.recording_id.in_(list(wanted)))
            .order_by(WANTED_FORMAT.c.media_type)
        ):
            wanted[recording_id].append(media_type)
    return tuple(_row(row, tuple(wanted[row.id])) for row in found)


def _row(row: Row[*_Columns], wanted: tuple[str, ...]) -> RecordingRow:
    return RecordingRow(
        seq=row.seq,
        id=RecordingId(row.id),
        state=RecordingState(row.state),
        reason=Reason(row.reason) if row.reason else None,
        held=row.held,
        device_id=DeviceId(row.device_id) if row.device_id else None,
        workgroup_id=WorkgroupId(row.workgroup_id) if row.workgroup_id else None,
        agent_id=UserId(row.agent_id) if row.agent_id else None,
        class_name=row.class_name,
        day=row.day.isoformat() if row.day else "",
        kid=KeyId(row.kid) if row.kid else None,
        size_bytes=row.size_bytes,
        duration_ms=row.duration_ms,
        manifest_sha256=row.manifest_sha256,
        how=HowEnded(row.how) if row.how else None,
        streams=streams_from_json(row.streams),
        has_screen=row.has_screen,
        wanted=wanted,
        worker=row.worker,
        attempts=row.attempts,
        held_since_ns=row.held_since_ns,
        held_by=row.held_by or "",
    )
