"""What crosses a doorway: the values that rooms hand each other.

Guarantees: every class here is frozen, has no behaviour beyond reading and
writing itself, and holds no key.  Times are nanoseconds since the epoch (UTC).

Left to others: deciding anything.  Only `vault.access` makes a `Grant` or a
`VisibilityScope`, so holding one *is* the proof that the policy was asked.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from vault.core.ids import DeviceId, GrantId, RecordingId, UserId, WorkgroupId

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@unique
class ActorKind(StrEnum):
    """What kind of principal acts."""

    USER = "user"
    DEVICE = "device"
    PROCESS = "process"
    OPERATOR = "os"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who acts: never a name, always a kind and an id.

    ``str()`` gives ``user:<uuid>``, ``device:<uuid>``, ``process:tap``,
    ``os:1000`` or ``unknown``: the spelling in the audit trail.
    """

    kind: ActorKind
    id: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}" if self.id else str(self.kind)


NOBODY: Final = Actor(kind=ActorKind.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """On whose behalf a room acts, and from where."""

    actor: Actor
    session: str = ""
    "Id (not the secret) of the session or token; empty for processes."
    origin: str = ""
    "Address of the peer, without port; empty for local processes."


@unique
class Direction(StrEnum):
    """Which way a call went, seen from the agent."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"
    UNKNOWN = "unknown"


@unique
class RecordingState(StrEnum):
    """Where a recording stands; the table of moves is `vault.catalog.states`."""

    RECORDING = "recording"
    CAPTURED = "captured"
    RENDERING = "rendering"
    READY = "ready"
    PARTIAL = "partial"
    FAILED = "failed"
    EXPIRED = "expired"
    SHREDDED = "shredded"


@unique
class Reason(StrEnum):
    """Why a recording is partial or failed."""

    NO_MEDIA = "no-media"
    SRTP_UNAUTHENTICATED = "srtp-unauthenticated"
    CUT = "cut"
    TIMEOUT = "timeout"
    CODEC_UNSUPPORTED = "codec-unsupported"
    STORE_DAMAGED = "store-damaged"


@unique
class HowEnded(StrEnum):
    """How a call ended, as its manifest says."""

    BYE = "bye"
    TIMEOUT = "timeout"
    CUT = "cut"
    RECOVERED = "recovered"


@unique
class MediaPart(StrEnum):
    """What of a recording can be asked for; each has a right of its own."""

    AUDIO = "audio"
    SCREEN = "screen"
    PEAKS = "peaks"
    CAPTURE = "capture"


@unique
class Purpose(StrEnum):
    """Why a data key is released."""

    PLAY = "play"
    EXPORT = "export"
    LIVE = "live"
    RENDER = "render"
    RECOVER = "recover"


@unique
class Allowance(StrEnum):
    """What a device may do that is refused to others, because it is unsafe."""

    SHORT_TAG = "srtp-32-bit-tag"
    "Send SRTP with a 32-bit tag."
    PLAIN_RTP = "plain-rtp"
    "Send RTP without any protection."

    @classmethod
    def known_among(cls, names: Iterable[str]) -> "frozenset[Allowance]":
        """Read names; one that this version does not know allows nothing here."""
        return frozenset(cls(name) for name in names if name in set(cls))


NOTHING_ALLOWED: Final[frozenset[Allowance]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A PBX or SBC that may send media, as the tap's snapshot knows it."""

    id: DeviceId
    name: str
    media_advertise: str | None = None
    "Address to put into ``c=`` for this device; None means the listener's."
    allowances: frozenset[Allowance] = NOTHING_ALLOWED


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFacts:
    """What the PBX says about a call.  All of it is sealed before it rests."""

    pbx_id: str = ""
    caller: str = ""
    callee: str = ""
    agent: str = ""
    workgroup: str = ""
    direction: Direction = Direction.UNKNOWN
    attributes: Mapping[str, str] = field(default_factory=lambda: _NOTHING)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOrder:
    """A device asks for one call to be recorded."""

    device: Device
    offer: str
    "SDP as received; the recorder parses it once."
    labels: tuple[str, ...] = ()
    "Names for the m-lines in order, where the SDP has no ``a=label``."
    call: CallFacts = field(default_factory=CallFacts)
    origin: str = ""
    "Address the order came from."


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAnswer:
    """The recorder's answer to an offer."""

    recording_id: RecordingId
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionChange:
    """A change to a running call; None leaves a thing as it is."""

    paused: bool | None = None
    call: Mapping[str, object] | None = None
    "Call attributes to replace, by the field names of `CallFacts`."


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamStatus:
    """Counters of one stream, in packets unless the name says else."""

    label: str
    codec: str
    suite: str
    packets_received: int = 0
    packets_authentic: int = 0
    packets_lost: int = 0
    packets_undecryptable: int = 0
    packets_rejected: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({})
    )
    rtcp_packets: int = 0
    local_port: int = 0
    media: str = "audio"
    "``audio`` or ``video``; rows of before there was video have none."
    handshake: str = ""
    "Where the handshake of a running DTLS-SRTP stream stands; empty for all others."


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """Where a session stands, as its device may see it."""

    recording_id: RecordingId
    state: str
    "``recording``, ``paused``, or a `RecordingState` after the end."
    reason: str | None
    streams: tuple[StreamStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityScope:
    """Proof that the policy said which recordings a person may know of.

    An empty set of workgroups sees nothing; there is no value for "all".
    """

    user_id: UserId
    workgroups: frozenset[WorkgroupId]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Proof that the policy gave one caller one part of one recording.

    Playback asks for a grant and not for a caller, so no call path reaches
    plaintext without passing the policy.
    """

    id: GrantId
    recording_id: RecordingId
    part: MediaPart
    caller: Caller
    right: str
    "The permission it rests on, as ``resource:part:verb``."
    expires_ns: int
    reason: str = ""
    "What the person typed; sealed beside the log, never in it."
