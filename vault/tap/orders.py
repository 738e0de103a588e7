"""What crosses the tap's doorway: orders for a call, and what became of it.

Guarantees: every class is frozen and holds no descriptor.  Keys are
`SecretBytes`, so an order can be logged without showing one.

Left to others: reading SDP (`vault.sip.sdp`), opening part files
(`vault.spool`), judging whether a call is complete (`vault.recorder`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from types import MappingProxyType
from typing import Final

from vault.core.flow import HowEnded
from vault.core.ids import RecordingId
from vault.core.media import PayloadFormat, SrtpSuite
from vault.core.secrets import SecretBytes

MAX_STREAMS_PER_CALL: Final = 32
"Two descriptors each and one for the part go into one message (SCM_MAX_FD: 253)."


def _none() -> Mapping[str, int]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PortPair:
    """A local address with an even port for RTP and the next one for RTCP."""

    address: str
    rtp: int
    rtcp: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MkiKey:
    """One of several master keys of a stream, named by its packets."""

    mki: bytes
    "Master Key Identifier as on the wire, 1 to 128 octets (RFC 3711, section 3.1)."
    key: SecretBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class IceCredentials:
    """What answers to connectivity checks are authenticated with (RFC 8445)."""

    ufrag: str
    "Our user name fragment; a check's user name begins with it and a colon."
    password: SecretBytes
    "Our password: the key of MESSAGE-INTEGRITY in checks and answers."


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOrder:
    """One m-line to receive."""

    index: int
    "Number of the stream in its call, from 0; the `stream` octet of its records."
    label: str
    media: str
    "``audio`` or ``video``, as the m-line says."
    suite: SrtpSuite
    key: SecretBytes
    "Master key and salt of the sender, `SrtpSuite.master_size_bytes` octets."
    mkis: tuple[MkiKey, ...] = ()
    """Where packets carry an MKI: every key by its name, all names of one length.
    *key* is then that of the first."""
    ice: IceCredentials | None = None
    "Where the sender checks consent (RFC 7675): a worker answers it."
    payloads: tuple[PayloadFormat, ...]
    ports: PortPair
    "From `MediaPool.reserve`."
    rtcp_mux: bool = False
    relays: bool = False
    "Whether DTLS goes to the supervisor, for another handshake (`MediaTap.relay`)."
    remote: tuple[str, int] | None = None
    "Where the sender said it is; enforced, by address, for plain RTP alone."
    held: bool = False
    """Whether the first answer already put the stream on hold: what comes all the same
    is authenticated and discarded."""
    keeps_digits: bool = False
    "Whether RFC 4733 packets are captured; else it is noted that there was a press."

    def __post_init__(self) -> None:
        if not 0 <= self.index < MAX_STREAMS_PER_CALL:
            raise ValueError(f"no stream has the number {self.index}")
        if len(self.key) != self.suite.master_size_bytes:
            raise ValueError(f"{len(self.key)} octets are no key for {self.suite}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChange:
    """What a re-offer changed in one stream; None leaves a thing as it is."""

    index: int
    suite: SrtpSuite | None = None
    "Only together with *key*."
    key: SecretBytes | None = None
    "A new master key; packets under the old one are accepted for 2 s more."
    mkis: tuple[MkiKey, ...] | None = None
    "Only together with *key*."
    ice: IceCredentials | None = None
    """New credentials of ours (ICE restart); checks under the old ones are answered
    until somebody passes one under the new."""
    payloads: tuple[PayloadFormat, ...] | None = None
    rtcp_mux: bool | None = None
    relays: bool | None = None
    remote: tuple[str, int] | None = None
    held: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOrder:
    """One call to capture."""

    recording_id: RecordingId
    dek: SecretBytes
    "The call's data key, 32 octets; it seals every part of the capture."
    streams: tuple[StreamOrder, ...]
    open_part: Callable[[int], int]
    """Give a descriptor, open for writing at the end of a new empty file, for part
    *n* (from 1).  Called in a thread; the pool closes what it returns.  An
    `OSError` means no room."""
    paused: bool = False
    state: bytes = b""
    """What the recorder needs to go on with this call after its own death; kept in
    locked memory beside the media (`MediaTap.keep_state`)."""


@unique
class Rejection(StrEnum):
    """Why a datagram was not taken for media."""

    NOT_RTP = "not-rtp"
    "STUN, DTLS, ZRTP or garbage, by its first octet (RFC 7983)."
    TOO_SHORT = "too-short"
    "Shorter than the headers of what it says it is."
    OVERSIZE = "oversize"
    "Longer than a receive slot; the kernel cut it."
    UNAUTHENTICATED = "unauthenticated"
    "No tag, a wrong tag, or a header that contradicts itself."
    REPLAYED = "replayed"
    "Its index was received before."
    TOO_OLD = "too-old"
    "Its index lies before the replay window."
    SSRC_LIMIT = "ssrc-limit"
    "Authentic, but one SSRC too many at work in this stream."
    UNKNOWN_MKI = "unknown-mki"
    "Its Master Key Identifier names none of the stream's keys."
    FOREIGN_SOURCE = "foreign-source"
    "Plain RTP from an address that was not signalled."
    RTCP_UNAUTHENTICATED = "rtcp-unauthenticated"
    RTCP_REPLAYED = "rtcp-replayed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SsrcSpan:
    """What one SSRC sent, counted after authentication.

    *first* and *last* are extended sequence numbers: rollovers times 2**16
    plus the number on the wire (RFC 3550, appendix A.1).
    """

    ssrc: int
    first: int
    last: int
    packets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamCounters:
    """What arrived on the two ports of a stream, in packets.

    ``received == authentic + sum(rejected.values()) + kernel_drops``; an
    authentic RTCP packet is counted in *rtcp* and nowhere else, and what strangers
    lost at the socket for strangers in *stray_drops* and nowhere else.
    """

    index: int
    label: str
    media: str
    suite: SrtpSuite
    payloads: tuple[PayloadFormat, ...] = ()
    authentic: int = 0
    "RTP packets whose tag was right, captured or not."
    rejected: Mapping[str, int] = field(default_factory=_none)
    "By reason, see `Rejection`."
    rtcp: int = 0
    kernel_drops: int = 0
    "Dropped because the receive buffer was full."
    stray_drops: int = 0
    """Dropped at the small buffers for what does not come from where the stream comes
    from (`vault.tap.source_lock`): a flood, as a rule, and no media."""
    undecryptable_kept: int = 0
    "Of the rejected: sealed verbatim as kind 2, for a key that comes late."
    not_captured: int = 0
    "Of the authentic: *discarded*, or lost because they could not be written."
    discarded: int = 0
    "Of the authentic: on purpose, in a pause or a hold, or as DTMF."
    checks: int = 0
    "Connectivity checks (ICE) that were answered; counted nowhere else."
    source_moves: int = 0
    "How often authentic packets came from another source than before."
    over_budget: int = 0
    "Sweeps that left packets in the kernel because the stream had had its share."
    ssrcs: tuple[SsrcSpan, ...] = ()

    @property
    def received(self) -> int:
        """Datagrams that reached the ports and were not authentic RTCP."""
        return self.authentic + sum(self.rejected.values()) + self.kernel_drops

    @property
    def lost(self) -> int:
        """Sequence numbers that never arrived authentic, over all SSRCs."""
        return sum(max(0, s.last - s.first + 1 - s.packets) for s in self.ssrcs)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartReport:
    """What became of one part of a capture."""

    part: int
    "Its number, from 1: object ``capture/000n``."
    final: bool
    "Whether it has its last chunk; if not it is a cut part."
    failure: str = ""
    "Empty, ``worker-died`` or the name of an errno such as ``ENOSPC``."
    size_bytes: int | None = None
    "Octets that were written, if the worker lived to say so."
    sha256: bytes | None = None
    "Their digest, made while they were written."


@dataclass(frozen=True, slots=True, kw_only=True)
class CallReport:
    """What became of a call, when it is closed."""

    recording_id: RecordingId
    parts: tuple[PartReport, ...]
    streams: tuple[StreamCounters, ...]
    how: HowEnded = HowEnded.BYE

    @property
    def complete(self) -> bool:
        """Whether every part has its last chunk and none failed."""
        return all(part.final and not part.failure for part in self.parts)
