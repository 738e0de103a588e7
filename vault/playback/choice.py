"""Which objects a part of a recording consists of, by its row.

Guarantees: only current revisions are chosen; ``.cut`` parts never are, because
nothing proves where they end.

Left to others: opening them (`vault.playback.service`).
"""

from typing import Final

from vault.catalog.values import RecordingRow, StoredObject
from vault.core.errors import GoneError, NoMediaError, NotReadyError
from vault.core.flow import MediaPart, RecordingState

FLAC: Final = "audio/flac"
CAPTURE_MEDIA_TYPE: Final = "application/vnd.callvault.capture"

_PLAYABLE: Final = frozenset({RecordingState.READY, RecordingState.PARTIAL})
_LATER: Final = frozenset(
    {RecordingState.RECORDING, RecordingState.CAPTURED, RecordingState.RENDERING}
)
_CUT: Final = ".cut"


def refuse_unplayable(row: RecordingRow) -> None:
    """Raise unless a recording can be played.

    Raises:
        NotReadyError: It is still being made.
        NoMediaError: There is nothing to play and never will be.
        GoneError: It has expired or was shredded.
    """
    if row.state in _LATER:
        raise NotReadyError("the recording is still being made")
    if row.state is RecordingState.FAILED:
        raise NoMediaError("the recording ended without media")
    if row.state not in _PLAYABLE:
        raise GoneError("the recording was erased")


def chosen(
    part: MediaPart, current: tuple[StoredObject, ...], media_type: str | None
) -> tuple[StoredObject, ...]:
    """Return the objects that *part* consists of, in order.

    Raises:
        NotReadyError: The audio exists, but not in this format.
        NoMediaError: There is no such part.
    """
    if part is MediaPart.CAPTURE:
        found = tuple(
            each
            for each in current
            if each.kind == "capture" and not each.name.endswith(_CUT)
        )
    elif part is MediaPart.PEAKS:
        found = tuple(each for each in current if each.kind == "peaks")[-1:]
    else:
        found = _renditions(part, current, media_type)
    if not found:
        raise NoMediaError(f"the recording has no {part}")
    return found


def documents(
    row: RecordingRow, current: tuple[StoredObject, ...]
) -> tuple[StoredObject, ...]:
    """Return the objects with what the PBX sent beside the media, in order.

    A call that failed for want of media has them, too: they may say why.

    Raises:
        NotReadyError: They are not in the store yet.
        NoMediaError: There are none.
        GoneError: The recording has expired or was shredded.
    """
    found = tuple(each for each in current if each.kind == "signalling")
    if row.state is not RecordingState.FAILED:
        refuse_unplayable(row)
    if not found:
        raise NoMediaError("the PBX sent nothing beside the media that is kept")
    return found


def _renditions(
    part: MediaPart, current: tuple[StoredObject, ...], media_type: str | None
) -> tuple[StoredObject, ...]:
    family = "audio/" if part is MediaPart.AUDIO else "video/"
    renditions = [
        each
        for each in current
        if each.kind == "rendition" and each.media_type.startswith(family)
    ]
    if media_type is None:
        # FLAC is what every call gets at hang-up; another format stands in.
        renditions.sort(key=lambda each: (each.media_type == FLAC, each.name))
        return tuple(renditions[-1:])
    fitting = [each for each in renditions if each.media_type == media_type]
    if renditions and not fitting:
        raise NotReadyError("not in this format yet")
    return tuple(fitting[-1:])


def media_type_of(part: MediaPart, first: StoredObject) -> str:
    """Return the media type of *part*, whose first object is given."""
    return CAPTURE_MEDIA_TYPE if part is MediaPart.CAPTURE else first.media_type
