"""What a worker made of a call, written down in one transaction.

Guarantees: state, objects, sealed metadata and search tokens change together or
not at all; the lease ends with them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from sqlalchemy import Connection, Row, delete, insert, update

from vault.catalog.objects import current_objects, put_objects
from vault.catalog.states import PLAYABLE, Event, next_state
from vault.catalog.tables import INDEX_TOKEN, RECORDING, SEALED_ROW, WANTED_FORMAT
from vault.catalog.upsert import insert_if_absent
from vault.catalog.values import StoredObject, streams_to_json
from vault.core.errors import InvalidInputError
from vault.core.flow import Reason, RecordingState, StreamStatus
from vault.core.ids import RecordingId
from vault.trust.interfaces import IndexToken, SealedRow

_EVENT: Final[Mapping[RecordingState, Event]] = MappingProxyType(
    {
        RecordingState.READY: Event.MADE,
        RecordingState.PARTIAL: Event.MADE_PART,
        RecordingState.FAILED: Event.LOST,
    }
)
_REMADE: Final[Mapping[RecordingState, Event]] = MappingProxyType(
    {
        RecordingState.READY: Event.REMADE,
        RecordingState.PARTIAL: Event.REMADE_PART,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedCall:
    """The outcome of one attempt; the members are those of `Recordings.finish`."""

    state: RecordingState
    reason: Reason | None = None
    objects: tuple[StoredObject, ...] = ()
    metadata: SealedRow | None = None
    tokens: tuple[IndexToken, ...] = ()
    duration_ms: int | None = None
    month: str | None = None
    summary: tuple[StreamStatus, ...] | None = None
    fulfils: tuple[str, ...] = ()
    "The wishes that made this a revision (`vault.catalog.values.REVISION`)."

    def __post_init__(self) -> None:
        if self.state not in _EVENT:
            raise ValueError(f"no attempt ends in {self.state}")
        if self.fulfils and self.state not in _REMADE:
            raise ValueError("a revision ends in something that can be played")
        if self.month and any(token.month != self.month for token in self.tokens):
            raise InvalidInputError("a token of another month")


def store_result(
    connection: Connection, row: Row[*tuple[object, ...]], result: RenderedCall
) -> None:
    """Write *result* into the recording whose locked *row* is given.

    Raises:
        ConflictError: The state has no such move, or an object's name is taken.
    """
    recording_id = RecordingId(row.id)
    before = RecordingState(row.state)
    put_objects(connection, recording_id, result.objects)
    made_wish = _fulfil(connection, recording_id, result)
    values: dict[str, object] = {"worker": None, "lease_until_ns": 0}
    # A failed conversion must not take away what can be played.
    if result.fulfils or before not in PLAYABLE or result.state not in PLAYABLE:
        events = _REMADE if result.fulfils else _EVENT
        after = next_state(before, events[result.state])
        values |= {"state": str(after), "attempts": 0}
        values["reason"] = str(result.reason) if result.reason else None
    elif made_wish:
        values["attempts"] = 0
    if result.duration_ms is not None:
        values["duration_ms"] = result.duration_ms
    if result.summary is not None:
        values["streams"] = streams_to_json(result.summary)
    values["has_screen"] = any(
        one.media_type.startswith("video/")
        for one in current_objects(connection, recording_id).values()
    )
    connection.execute(
        update(RECORDING).where(RECORDING.c.id == recording_id).values(values)
    )
    if result.metadata is not None:
        _replace_metadata(connection, recording_id, result.metadata, result.tokens)


def _fulfil(
    connection: Connection, recording_id: RecordingId, result: RenderedCall
) -> bool:
    made = sorted({one.media_type for one in result.objects} | {*result.fulfils})
    done = connection.execute(
        delete(WANTED_FORMAT).where(
            WANTED_FORMAT.c.recording_id == recording_id,
            WANTED_FORMAT.c.media_type.in_(made),
        )
    )
    return done.rowcount > 0


def _replace_metadata(
    connection: Connection,
    recording_id: RecordingId,
    metadata: SealedRow,
    tokens: tuple[IndexToken, ...],
) -> None:
    for table in (SEALED_ROW, INDEX_TOKEN):
        connection.execute(delete(table).where(table.c.recording_id == recording_id))
    connection.execute(
        insert(SEALED_ROW).values(
            recording_id=recording_id,
            sealed=metadata.sealed,
            wrapped_key=metadata.wrapped_key,
            key_id=metadata.key_id,
        )
    )
    for token in tokens:
        insert_if_absent(
            connection,
            INDEX_TOKEN,
            {
                "recording_id": recording_id,
                "field": token.field,
                "month": token.month,
                "token": token.token,
            },
        )
