"""What goes into the catalog and what comes out of it.

Guarantees: every value is frozen; text from a peer (labels, codec names) is cut
down to a closed alphabet here, because a PBX may label a stream with a number.

Left to others: sealing (`vault.sealing`), deciding who sees what (`vault.access`).
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final

from vault.core.errors import InvalidInputError
from vault.core.flow import HowEnded, Reason, RecordingState, StreamStatus
from vault.core.ids import DeviceId, KeyId, RecordingId, UserId, WorkgroupId

_LABEL: Final = re.compile(r"agent|customer|screen|stream[0-9]{1,3}")
_CODEC: Final = re.compile(r"[A-Za-z][A-Za-z0-9.-]{0,15}")
_SUITE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
_SLUG: Final = re.compile(r"[a-z][a-z-]{0,31}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_OBJECT_NAME: Final = re.compile(r"[a-z]+(?:/[0-9]{4})?(?:\.cut|\.recovered)?")
_MEDIA_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]{1,56}")

REVISION: Final = "application/vnd.callvault.revision"
"""How a wish begins that a recording be made anew; a dot and a number follow.

Among the formats that somebody waits for, because it is one more thing that a worker
owes a settled recording.  Each batch of late keys has its own: keys that arrive while a
worker revises are not forgotten with the wish that it fulfils."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRecording:
    """A call that starts: all that its row may say."""

    id: RecordingId
    device_id: DeviceId
    workgroup_id: WorkgroupId
    agent_id: UserId | None
    day: str
    "UTC day of the start, ``2026-11-23``."
    kid: KeyId
    "The first recipient's key, for the operator's key inventory."
    envelope: bytes
    "RFC 8785 JSON as the spool keeps it."


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One sealed object in the store."""

    name: str
    "``capture/0001``, ``rendition/0002``, ``manifest``, …"
    size: int
    "Sealed octets."
    sha256: str
    "Of the sealed octets, 64 lower-case hex digits."
    media_type: str
    "Of the plaintext: ``audio/flac``; ``application/octet-stream`` for captures."

    def __post_init__(self) -> None:
        if not (
            _OBJECT_NAME.fullmatch(self.name)
            and _SHA256.fullmatch(self.sha256)
            and _MEDIA_TYPE.fullmatch(self.media_type)
            and self.size >= 0
        ):
            raise InvalidInputError("not an object of a recording")

    @property
    def kind(self) -> str:
        """The part of the name before the slash: ``rendition``."""
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRow:
    """What the catalog says about one recording, nothing of it secret."""

    seq: int
    "Grows with every row; the order of the list within one day."
    id: RecordingId
    state: RecordingState
    reason: Reason | None
    held: bool
    device_id: DeviceId | None
    "None, as the next four, until `Recordings.open` reached the database."
    workgroup_id: WorkgroupId | None
    agent_id: UserId | None
    class_name: str | None
    "None: that of its workgroup."
    day: str
    "UTC day of the start, or empty."
    kid: KeyId | None
    size_bytes: int
    "Sealed octets of the capture."
    duration_ms: int | None
    manifest_sha256: str | None
    how: HowEnded | None
    streams: tuple[StreamStatus, ...]
    has_screen: bool
    wanted: tuple[str, ...]
    "Media types that somebody asked for and no worker has made yet."
    worker: str | None
    attempts: int
    "Claims since the last success."
    held_since_ns: int | None = None
    "None while it is not held, or since before this was written down."
    held_by: str = ""
    "Who placed the hold: an actor as the trail spells it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of a list, newest first."""

    rows: tuple[RecordingRow, ...]
    next: str | None
    "Cursor of the following page; None after the last."


def parse_day(text: str) -> date:
    """Read ``2026-11-23``.

    Raises:
        InvalidInputError: It is not a day.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InvalidInputError("a day is written 2026-11-23") from None
    if day.isoformat() != text:
        raise InvalidInputError("a day is written 2026-11-23")
    return day


def streams_to_json(streams: Iterable[StreamStatus]) -> str:
    """Return the counters of *streams* as the row keeps them.

    Labels outside the vault's own vocabulary become ``streamN``: the real one is
    in the sealed metadata.
    """
    kept = []
    for position, stream in enumerate(streams, start=1):
        members = _members(stream)
        if not _LABEL.fullmatch(stream.label):
            members["label"] = f"stream{position}"
        if not _CODEC.fullmatch(stream.codec):
            members["codec"] = "unknown"
        if not _SUITE.fullmatch(stream.suite):
            members["suite"] = "unknown"
        members["packets_rejected"] = {
            reason: count
            for reason, count in stream.packets_rejected.items()
            if _SLUG.fullmatch(reason)
        }
        # A port or a handshake of a call that is over says nothing to a reader.
        del members["local_port"], members["handshake"]
        kept.append(members)
    return json.dumps(kept, separators=(",", ":"), sort_keys=True)


def _members(stream: StreamStatus) -> dict[str, object]:
    """Return the members of *stream* (`asdict` cannot copy a mapping proxy)."""
    return {name: getattr(stream, name) for name in StreamStatus.__slots__}


def streams_from_json(text: str) -> tuple[StreamStatus, ...]:
    """Read back what `streams_to_json` wrote."""
    return tuple(
        StreamStatus(
            **{
                **members,
                "packets_rejected": MappingProxyType(members["packets_rejected"]),
            }
        )
        for members in json.loads(text)
    )
