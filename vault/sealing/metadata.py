"""Session metadata: who called whom, sealed like the media it belongs to.

Canonical JSON (RFC 8785), padded to a multiple of 256 octets and sealed as
object ``session/0001``; a change while the call runs makes revision 0002.

Guarantees: reading and writing are inverses; nothing of it is ever in a log.

Left to others: sealing and padding (`vault.sealing.chunks`,
`vault.sealing.padding`), the copy in the database's row (`vault.warden`).

Spec: docs/reference/formats/session-metadata.md
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Self

from vault.core import canonical
from vault.core.canonical import JsonObject
from vault.core.errors import SealBrokenError
from vault.core.flow import Direction
from vault.core.ids import RecordingId
from vault.sealing.members import Members

_VERSION: Final = 2
_WITHOUT_PARTICIPANTS: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMetadata:
    """One stream of a call, as its offer described it."""

    label: str
    codec: str
    suite: str

    def to_json(self) -> JsonObject:
        """Return the JSON members."""
        return {"label": self.label, "codec": self.codec, "suite": self.suite}

    @classmethod
    def read(cls, members: Members) -> Self:
        """Read the JSON members; others are refused."""
        found = cls(
            label=members.text("label"),
            codec=members.text("codec"),
            suite=members.text("suite"),
        )
        members.end()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantMetadata:
    """A party of a call, as the recording client named it."""

    id: str
    aor: str = ""
    "Address of record: a URI, or what the PBX wrote."
    name: str = ""
    streams: tuple[str, ...] = ()
    "Labels of the streams that carry what it sends."
    joined: str | None = None
    "RFC 3339, UTC; None where nobody said."
    left: str | None = None
    "RFC 3339, UTC; None while it takes part, or where nobody said."
    agent: str = ""
    "User name of the agent that it is, where the table of extensions knows."

    def __repr__(self) -> str:
        return "<ParticipantMetadata>"

    def to_json(self) -> JsonObject:
        """Return the JSON members."""
        return {
            "id": self.id,
            "aor": self.aor,
            "name": self.name,
            "streams": list(self.streams),
            "joined": self.joined,
            "left": self.left,
            "agent": self.agent,
        }

    @classmethod
    def read(cls, members: Members) -> Self:
        """Read the JSON members; others are refused."""
        found = cls(
            id=members.text("id"),
            aor=members.text("aor"),
            name=members.text("name"),
            streams=members.list_of_texts("streams"),
            joined=members.optional_time("joined"),
            left=members.optional_time("left"),
            agent=members.text("agent"),
        )
        members.end()
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionMetadata:
    """What is known about one call; ``bytes()`` gives canonical JSON, not padded."""

    recording_id: RecordingId
    started: str
    "RFC 3339, UTC."
    ended: str | None = None
    "RFC 3339, UTC; None while the call runs."
    pbx_id: str = ""
    direction: Direction = Direction.UNKNOWN
    caller: str = ""
    callee: str = ""
    agent: str = ""
    workgroup: str = ""
    "Name, as the PBX said it."
    workgroup_id: str = ""
    workgroup_known: bool = True
    "False where the name was unknown and the call landed in ``default``."
    device: str = ""
    device_id: str = ""
    attributes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    streams: tuple[StreamMetadata, ...] = ()
    peer: str = ""
    "Address that the order came from."
    participants: tuple[ParticipantMetadata, ...] = ()
    "Everybody who ever took part; those who do first, or as they were named."
    v: int = _VERSION

    def __repr__(self) -> str:
        # Names and numbers of people stay out of tracebacks and logs.
        return f"<SessionMetadata of {self.recording_id}>"

    def __bytes__(self) -> bytes:
        newer: JsonObject = {}
        if self.v > _WITHOUT_PARTICIPANTS:
            newer["participants"] = [each.to_json() for each in self.participants]
        return canonical.dumps(
            newer
            | {
                "v": self.v,
                "recording_id": self.recording_id,
                "started": self.started,
                "ended": self.ended,
                "pbx_id": self.pbx_id,
                "direction": str(self.direction),
                "caller": self.caller,
                "callee": self.callee,
                "agent": self.agent,
                "workgroup": self.workgroup,
                "workgroup_id": self.workgroup_id,
                "workgroup_known": self.workgroup_known,
                "device": self.device,
                "device_id": self.device_id,
                "attributes": dict(self.attributes),
                "streams": [each.to_json() for each in self.streams],
                "peer": self.peer,
            }
        )

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read session metadata, already opened and unpadded.

        Raises:
            SealBrokenError: Not session metadata as we write it.
        """
        members = Members.parse(octets, of="session metadata")
        version = members.version(_WITHOUT_PARTICIPANTS, _VERSION)
        participants = (
            () if version == _WITHOUT_PARTICIPANTS else members.each("participants")
        )
        metadata = cls(
            v=version,
            recording_id=members.recording_id(),
            started=members.time("started"),
            ended=members.optional_time("ended"),
            pbx_id=members.text("pbx_id"),
            direction=_direction(members.text("direction")),
            caller=members.text("caller"),
            callee=members.text("callee"),
            agent=members.text("agent"),
            workgroup=members.text("workgroup"),
            workgroup_id=members.text("workgroup_id"),
            workgroup_known=members.flag("workgroup_known"),
            device=members.text("device"),
            device_id=members.text("device_id"),
            attributes=members.texts("attributes"),
            streams=tuple(StreamMetadata.read(e) for e in members.each("streams")),
            peer=members.text("peer"),
            participants=tuple(ParticipantMetadata.read(e) for e in participants),
        )
        members.end()
        return metadata


def _direction(text: str) -> Direction:
    try:
        return Direction(text)
    except ValueError:
        raise SealBrokenError("the session metadata has an unknown direction") from None
