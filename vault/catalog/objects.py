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
    known = _digests(connection, recording_id)
    stored = frozenset(known)
    new: list[tuple[StoredObject, bool]] = []
    for one in objects:
        if one.name in known:
            if known[one.name] != one.sha256:
                raise ConflictError(f"{one.name} exists with other octets")
            continue
        known[one.name] = one.sha256
        if stored:
            # Nothing to look for where a call is written down for the first time.
            _supersede(connection, recording_id, one)
        new = [(each, now and not _replaces(one, each)) for each, now in new]
        new.append((one, True))
    insert_if_absent(
        connection,
        STORED_OBJECT,
        *(
            {
                "recording_id": recording_id,
                "name": one.name,
                "size": one.size,
                "sha256": one.sha256,
                "media_type": one.media_type,
                "is_current": is_current,
            }
            for one, is_current in new
        ),
    )


def _digests(connection: Connection, recording_id: RecordingId) -> dict[str, str]:
    """Return the digests of all objects that are known, by name."""
    columns = STORED_OBJECT.c.name, STORED_OBJECT.c.sha256
    found = connection.execute(
        select(*columns).where(STORED_OBJECT.c.recording_id == recording_id)
    )
    return {row.name: row.sha256 for row in found}


def _replaces(one: StoredObject, older: StoredObject) -> bool:
    """Return whether *older* is no longer current because of *one*."""
    if one.kind in _REVISED_KINDS:
        same = one.media_type == older.media_type
        return same and older.name.startswith(f"{one.kind}/")
    return one.name.endswith(_RECOVERED) and older.name == (
        one.name.removesuffix(_RECOVERED) + ".cut"
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
