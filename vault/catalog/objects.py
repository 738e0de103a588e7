"""What objects a recording has in the store, and which revision counts.

Guarantees:
    * A name never changes its content: the same name with another digest raises.
    * Of session metadata, renditions, peaks and certificates, one revision per
      kind and media type is current; older ones stay known and stay superseded,
      so that nobody can put back what was redacted.
    * A recovered capture part replaces the cut one it was made from.

Left to others: the octets (`vault.objects`), signatures over them
(`vault.sealing.manifest`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, select, update

from vault.catalog.tables import STORED_OBJECT
from vault.catalog.upsert import insert_if_absent
from vault.catalog.values import StoredObject
from vault.core.errors import ConflictError
from vault.core.ids import RecordingId

_REVISED_KINDS: Final = frozenset({"session", "rendition", "peaks", "quality"})
_RECOVERED: Final = ".recovered"


def put_objects(
    connection: Connection, recording_id: RecordingId, objects: Sequence[StoredObject]
) -> None:
    """Write down *objects*, in order; the last of a kind and type is current.

    Raises:
        ConflictError: One of the names is taken by other octets.
    """
    for one in objects:
        known = connection.execute(
            select(STORED_OBJECT.c.sha256).where(
                STORED_OBJECT.c.recording_id == recording_id,
                STORED_OBJECT.c.name == one.name,
            )
        ).scalar()
        if known is not None:
            if known != one.sha256:
                raise ConflictError(f"{one.name} exists with other octets")
            continue
        _supersede(connection, recording_id, one)
        insert_if_absent(
            connection,
            STORED_OBJECT,
            {
                "recording_id": recording_id,
                "name": one.name,
                "size": one.size,
                "sha256": one.sha256,
                "media_type": one.media_type,
                "is_current": True,
            },
        )


def current_objects(
    connection: Connection, recording_id: RecordingId
) -> Mapping[str, StoredObject]:
    """Return the current objects of a recording, by name, in name order."""
    found = connection.execute(
        select(STORED_OBJECT).where(
            STORED_OBJECT.c.recording_id == recording_id, STORED_OBJECT.c.is_current
        )
    ).all()
    return {
        row.name: StoredObject(
            name=row.name, size=row.size, sha256=row.sha256, media_type=row.media_type
        )
        for row in sorted(found, key=lambda row: str(row.name))
    }


def _supersede(
    connection: Connection, recording_id: RecordingId, one: StoredObject
) -> None:
    older = update(STORED_OBJECT).where(STORED_OBJECT.c.recording_id == recording_id)
    if one.kind in _REVISED_KINDS:
        older = older.where(
            STORED_OBJECT.c.name.startswith(f"{one.kind}/", autoescape=True),
            STORED_OBJECT.c.media_type == one.media_type,
        )
    elif one.name.endswith(_RECOVERED):
        older = older.where(
            STORED_OBJECT.c.name == one.name.removesuffix(_RECOVERED) + ".cut"
        )
    else:
        return
    connection.execute(older.values(is_current=False))
