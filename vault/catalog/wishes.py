"""What somebody asks of the workers about a recording that is settled.

Guarantees: a wish is noted once, however often it is made; nothing that was made or
asked for before is lost by it.

Left to others: taking wishes up (`vault.catalog.claims`), who may make one.
"""

from collections.abc import Sequence

from sqlalchemy import Connection

from vault.catalog.intake import locked_row
from vault.catalog.objects import current_objects, put_objects
from vault.catalog.states import PLAYABLE, SETTLED
from vault.catalog.tables import WANTED_FORMAT
from vault.catalog.upsert import insert_if_absent
from vault.catalog.values import REVISION, StoredObject
from vault.core.errors import GoneError, NoMediaError, NotReadyError
from vault.core.flow import RecordingState
from vault.core.ids import RecordingId


def want(connection: Connection, recording_id: RecordingId, media_type: str) -> bool:
    """Ask for another format; return whether it still has to be made.

    Raises:
        NotFoundError: No such recording.
        NotReadyError: It cannot be played yet.
        NoMediaError: There is nothing to convert.
        GoneError: It was shredded or has expired.
    """
    state = RecordingState(locked_row(connection, recording_id).state)
    if state not in PLAYABLE:
        _refuse_unsettled(state)
        raise NoMediaError("the recording has no media")
    made = current_objects(connection, recording_id).values()
    if any(one.media_type == media_type for one in made):
        return False
    _note(connection, recording_id, media_type)
    return True


def revise(
    connection: Connection, recording_id: RecordingId, objects: Sequence[StoredObject]
) -> None:
    """Add *objects* and ask for the recording to be made anew.

    Raises:
        NotFoundError: No such recording.
        NotReadyError: Nobody has finished it for the first time yet.
        GoneError: It was shredded or has expired.
        ConflictError: One of the names is taken by other octets.
    """
    _refuse_unsettled(RecordingState(locked_row(connection, recording_id).state))
    put_objects(connection, recording_id, objects)
    number = objects[0].name.rpartition("/")[2]
    _note(connection, recording_id, f"{REVISION}.{number}")


def _note(connection: Connection, recording_id: RecordingId, media_type: str) -> None:
    insert_if_absent(
        connection,
        WANTED_FORMAT,
        {"recording_id": recording_id, "media_type": media_type},
    )


def _refuse_unsettled(state: RecordingState) -> None:
    if state in {RecordingState.EXPIRED, RecordingState.SHREDDED}:
        raise GoneError("the recording is gone")
    if state not in SETTLED:
        raise NotReadyError("the recording is not ready yet")
