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

DIGEST_REALM: Final = "callvault"
"What a device's SIP password belongs to (RFC 7616); part of every HA1 we keep."

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
    CLEAR_SIGNALLING = "clear-signalling"
    "Speak SIP over UDP or TCP from another machine: SDES keys travel readable."
    SIP_BY_ADDRESS = "sip-by-address"
    "Be known, in SIP, by the address it comes from and nothing else."
    MD5_DIGEST = "md5-digest"
    "Answer a SIP challenge with MD5."
    PAUSE_OTHERS = "pause-others"
    "Find, pause and resume calls that other devices have begun."

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
    addresses: tuple[str, ...] = ()
    "Prefixes that its SIP may come from; none means from anywhere."
    media_addresses: tuple[str, ...] = ()
    "Prefixes that its SDP may name for media; none means any."
    max_calls: int = 0
    "Calls at a time; 0 means no limit of its own."


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """A party of a call, as the recording client names it.

    Spec: RFC 7865, section 6.5.
    """

    id: str
    "Its ``participant_id``; what later metadata of the same session calls it."
    aor: str = ""
    "Address of record: ``sip:``, ``sips:`` or ``tel:`` URI, or what the PBX wrote."
    name: str = ""
    "Display name."
    streams: tuple[str, ...] = ()
    "Labels of the streams that carry what this party sends."
    joined_ns: int = 0
    "0 where nobody said."
    left_ns: int = 0
    "0 while it takes part."
    agent: str = ""
    "User name of the agent that it is, where the table of extensions knows."


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """Something that the PBX sent beside the media, kept sealed as it came."""

    kind: str
    "What it is, as a slug: ``rs-metadata``, ``invite-headers``."
    octets: bytes = field(repr=False)


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
    participants: tuple[Participant, ...] = ()


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
    documents: tuple[Document, ...] = ()
    signalling: bytes = b""
    """What the room that ordered needs to go on after its own death; kept in locked
    memory with the call and never on disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionAnswer:
    """The recorder's answer to an offer."""

    recording_id: RecordingId
    sdp: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionChange:
    """A change to a running call; None leaves a thing as it is."""

    paused: bool | None = None
    resume_after_s: float | None = None
    "With *paused*: when to resume without being asked; None for the configured time."
    call: Mapping[str, object] | None = None
    "Call attributes to replace, by the field names of `CallFacts`."
    documents: tuple[Document, ...] = ()
    "To be kept sealed beside those that came before."


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which running calls an integration means; an empty text asks nothing.

    Where both are given, both have to fit.
    """

    pbx_id: str = ""
    "The PBX's own id of the call."
    agent: str = ""
    "User name of somebody who takes part as an agent."


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
    resumes_in_s: float | None = None
    "While paused: until it resumes without being asked; None for never."


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibilityScope:
    """Proof that the policy said which recordings a person may reach.

    A recording is within it if any member says so; without members it reaches
    nothing, and nothing that has no workgroup yet.
    """

    user_id: UserId
    workgroups: frozenset[WorkgroupId] = frozenset()
    "Those of these, descendants already among them."
    own: bool = False
    "Those of calls in which the person was the agent."
    classes: frozenset[str] = frozenset()
    "Those of these classes."
    class_workgroups: frozenset[WorkgroupId] = frozenset()
    "Those without a class of their own, of workgroups with one of *classes*."
    everything: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is within it."""
        return not (
            self.workgroups
            or self.own
            or self.classes
            or self.class_workgroups
            or self.everything
        )

    def covers(
        self,
        *,
        workgroup_id: WorkgroupId | None,
        agent_id: UserId | None,
        class_name: str | None,
    ) -> bool:
        """Tell whether a recording is within it: what SQL says, for one row."""
        if workgroup_id is None:
            return False
        return (
            self.everything
            or workgroup_id in self.workgroups
            or (self.own and agent_id == self.user_id)
            or class_name in self.classes
            or (class_name is None and workgroup_id in self.class_workgroups)
        )

    def joined(self, other: "VisibilityScope") -> "VisibilityScope":
        """Return what either reaches; both are the same person's."""
        return VisibilityScope(
            user_id=self.user_id,
            workgroups=self.workgroups | other.workgroups,
            own=self.own or other.own,
            classes=self.classes | other.classes,
            class_workgroups=self.class_workgroups | other.class_workgroups,
            everything=self.everything or other.everything,
        )


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
    reason: str = field(default="", repr=False)
    "What the person typed; sealed beside the log, never in it."
