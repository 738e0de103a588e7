"""One running call as the recorder keeps it, and its negotiation.

The only mutable values of this room.  A `Session` is touched by the task that
holds its `lock`.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from vault.core.errors import UnsupportedOfferError
from vault.core.flow import CallFacts, Device, HowEnded, SessionAnswer
from vault.core.ids import RecordingId
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.recorder.keying import KEYS_BY_DTLS, Agreement
from vault.recorder.placing import Place
from vault.sip.offer import (
    PLAIN_REFUSED,
    AnsweredStream,
    Offer,
    OfferedStream,
    answer,
)
from vault.sip.sdes import Crypto, NamedKey, fresh_key
from vault.spool.files import SessionFolder
from vault.spool.order import SpoolOrder
from vault.tap.orders import (
    CallOrder,
    CallReport,
    MkiKey,
    PortPair,
    StreamChange,
    StreamOrder,
)


@dataclass(slots=True, kw_only=True)
class Stream:
    """One m-line that we take, as it stands now."""

    offered: OfferedStream
    ports: PortPair
    our_key: SecretBytes
    "Empty for keys by DTLS-SRTP."
    dtls: Agreement | None = None
    "Where the offer has one, from `vault.recorder.handshakes`."
    weakest_before: SrtpSuite | None = None
    "The worst suite of earlier offers: what once came badly protected stays so."
    authentic: int = 0
    "Authentic packets at the last look of the watch."
    authentic_before: int = 0
    "Those of them that came before the present keys."
    key_spent: bool = False
    "Whether it was said that the present keys have outlived their lifetime."
    keeps_digits: bool = False
    "Whether RFC 4733 packets go into the capture."

    @property
    def outlives_key(self) -> bool:
        """Whether more packets came under its keys than those were good for."""
        lifetime = None if self.crypto is None else self.crypto.lifetime_packets
        return (
            lifetime is not None and self.authentic - self.authentic_before > lifetime
        )

    @property
    def crypto(self) -> Crypto | None:
        """What protects it; None until a handshake is done."""
        return self.offered.crypto if self.dtls is None else self.dtls.crypto

    @property
    def suite(self) -> SrtpSuite | None:
        """The suite of `crypto`."""
        crypto = self.crypto
        return None if crypto is None else crypto.suite

    @property
    def suite_name(self) -> str:
        """What protects it, or will decide about that."""
        return KEYS_BY_DTLS if self.suite is None else self.suite.value

    @property
    def weakest(self) -> SrtpSuite | None:
        """The worst suite it ever had."""
        suites = [one for one in (self.weakest_before, self.suite) if one is not None]
        return max(suites, key=tuple(SrtpSuite).index, default=None)

    @property
    def codec(self) -> str:
        """Encoding of the first payload type offered: what will most likely come."""
        return self.offered.payloads[0].encoding

    def order(self) -> StreamOrder | None:
        """Return what the media tap is told of it: nothing before there are keys."""
        offered, crypto = self.offered, self.crypto
        if crypto is None:
            return None
        return StreamOrder(
            index=offered.index,
            label=offered.label,
            media=offered.media,
            suite=crypto.suite,
            key=crypto.key,
            mkis=_mkis(offered),
            ice=None if self.dtls is None else self.dtls.ice,
            payloads=offered.payloads,
            ports=self.ports,
            rtcp_mux=offered.rtcp_mux,
            remote=offered.remote,
            held=offered.held,
            keeps_digits=self.keeps_digits,
        )


@dataclass(slots=True, kw_only=True)
class Session:
    """A call between its order and its manifest."""

    order: SpoolOrder
    device: Device
    dek: SecretBytes
    "Kept until the manifest is signed: another media worker may need it."
    folder: SessionFolder
    facts: CallFacts
    "As the PBX says them."
    place: Place
    "Whose it is, and the facts with what the table of extensions adds."
    origin: str
    address: str
    "What ``c=`` of every answer says."
    started_ns: int
    began_s: float
    "By the monotonic clock: time-outs must not follow a clock that is set."
    offer: Offer
    streams: dict[int, Stream]
    revision: int = 0
    "Newest ``session/000n`` in the spool."
    metadata_octets: int = 0
    "Of its revisions in the spool, since this process has the call."
    messages: int = 0
    "Newest ``signalling/000n`` in the spool."
    document_octets: int = 0
    documents_dropped: bool = False
    "Whether it was said that some are not kept."
    signalling: bytes = b""
    "What SIP needs to go on after its own death; empty for the fork API."
    paused: bool = False
    resume_at_s: float = 0.0
    "While paused: when it resumes by itself, by the monotonic clock; 0 for never."
    announced: bool = False
    "Whether its row and its leaf are queued; before that no device was answered."
    ending: HowEnded | None = None
    "That it ends, and how: from before the media tap is told."
    report: CallReport | None = None
    "What the media tap said at the end; the manifest may still be missing."
    ended_ns: int = 0
    seen_packets: int = 0
    seen_at_s: float = 0.0
    sealed_end: bool = False
    "Whether the last revision of the metadata, with the end in it, is written."
    number: int = field(default_factory=lambda: secrets.randbelow(2**62))
    version: int = 1
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    written: dict[str, tuple[object, str]] = field(
        default_factory=dict, compare=False, repr=False
    )
    "Members as they were last kept (`vault.recorder.resume`); keys are in it."

    @property
    def recording_id(self) -> RecordingId:
        """Id of the recording, and of the fork."""
        return self.order.recording_id

    def order_at(self, place: Place) -> SpoolOrder:
        """Return its order as it would be if the call belonged to *place*."""
        return replace(
            self.order, workgroup_id=place.workgroup_id, agent_id=place.agent_id
        )

    def settle(self, facts: CallFacts, place: Place) -> None:
        """Take over *facts* and whose call it is."""
        self.order = self.order_at(place)
        self.facts, self.place = facts, place

    def answered(self) -> SessionAnswer:
        """Return the answer to the offer that stands."""
        return SessionAnswer(recording_id=self.recording_id, sdp=self.answer())

    def answer(self) -> str:
        """Write the answer to the offer that stands."""
        ours = {
            index: AnsweredStream(
                port=stream.ports.rtp,
                key=stream.our_key,
                dtls=None if stream.dtls is None else stream.dtls.ours,
            )
            for index, stream in self.streams.items()
        }
        return str(
            answer(
                self.offer,
                ours,
                address=self.address,
                session=self.number,
                version=self.version,
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Renegotiation:
    """What a new offer asks of a running call."""

    offer: Offer
    added: tuple[OfferedStream, ...]
    changes: tuple[StreamChange, ...]


def begin_streams(
    offered: tuple[OfferedStream, ...],
    ports: list[PortPair],
    *,
    keeps_digits: bool = False,
) -> dict[int, Stream]:
    """Give every offered stream its ports and a key of ours."""
    return {
        stream.index: Stream(
            offered=stream,
            ports=pair,
            our_key=_our_key(stream),
            keeps_digits=keeps_digits,
        )
        for stream, pair in zip(offered, ports, strict=True)
    }


def keyed_orders(streams: Iterable[Stream]) -> tuple[StreamOrder, ...]:
    """Return the orders of those that have keys already."""
    orders = (stream.order() for stream in streams)
    return tuple(order for order in orders if order is not None)


def call_order(session: Session, state: bytes) -> CallOrder:
    """Return what the media tap is told of a call, with its *state* to keep."""
    return CallOrder(
        recording_id=session.recording_id,
        dek=session.dek,
        streams=keyed_orders(session.streams.values()),
        open_part=session.folder.open_part,
        state=state,
    )


def renegotiate(session: Session, offer: Offer) -> Renegotiation:
    """Work out what *offer* changes, without changing anything.

    A stream that has no keys yet is not the media tap's to change.

    Raises:
        UnsupportedOfferError: It has fewer m-lines than the one before, goes on
            with plain RTP that its device is no longer allowed, or changes
            between keys in SDP and keys by DTLS.

    Spec: RFC 3264, section 8.
    """
    if len(offer.description.media) < len(session.offer.description.media):
        last = offer.description.media[-1].number
        raise UnsupportedOfferError("a new offer keeps all m-lines", line=last)
    offered = {stream.index: stream for stream in offer.streams}
    _refuse_plain(session, offer, offered)
    _refuse_other_keying(session, offer, offered)
    changes = [
        change
        for index, stream in session.streams.items()
        if stream.crypto is not None
        and (change := _change(stream.offered, offered.get(index))) is not None
    ]
    return Renegotiation(
        offer=offer,
        added=tuple(s for index, s in offered.items() if index not in session.streams),
        changes=tuple(changes),
    )


def take_over(
    session: Session, asked: Renegotiation, added: Mapping[int, Stream]
) -> None:
    """Make *asked* the state of *session*; the media tap has it already."""
    for new in asked.offer.streams:
        stream = session.streams.get(new.index)
        if stream is None:
            continue
        if new.suite is not stream.offered.suite:
            stream.our_key = _our_key(new)
        if _keys(new) != _keys(stream.offered):
            stream.authentic_before, stream.key_spent = stream.authentic, False
        stream.weakest_before = stream.weakest
        stream.offered = _relabelled(new, stream.offered.label)
    session.streams.update(added)
    session.offer = asked.offer
    session.version += 1


def _change(old: OfferedStream, new: OfferedStream | None) -> StreamChange | None:
    if new is None:
        # Switched off by port 0: its ports stay, it may come back.
        return StreamChange(index=old.index, held=True)
    crypto = new.crypto if _keys(old) != _keys(new) else None
    change = StreamChange(
        index=old.index,
        suite=None if crypto is None else crypto.suite,
        key=None if crypto is None else crypto.key,
        mkis=None if crypto is None else _mkis(new),
        payloads=new.payloads if new.payloads != old.payloads else None,
        rtcp_mux=new.rtcp_mux if new.rtcp_mux != old.rtcp_mux else None,
        remote=new.remote if new.remote != old.remote else None,
        held=new.held,
    )
    unchanged = StreamChange(index=old.index, held=old.held)
    return None if change == unchanged else change


def _refuse_plain(
    session: Session, offer: Offer, offered: Mapping[int, OfferedStream]
) -> None:
    """Refuse to go on with plain RTP that may not be sent any more.

    An answer with port 0 would silence a stream that runs; a refusal leaves it as
    it is, and tells the device why.
    """
    for index, stream in session.streams.items():
        section = offer.description.media[index]
        plain = stream.suite is SrtpSuite.PLAIN_RTP
        if plain and index not in offered and section.port:
            raise UnsupportedOfferError(PLAIN_REFUSED, line=section.number)


def _refuse_other_keying(
    session: Session, offer: Offer, offered: Mapping[int, OfferedStream]
) -> None:
    for index, stream in session.streams.items():
        new = offered.get(index)
        if new and (new.dtls is None) != (stream.offered.dtls is None):
            raise UnsupportedOfferError(
                "a running stream changes between a=crypto and DTLS-SRTP",
                line=offer.description.media[index].number,
            )


def _keys(
    offered: OfferedStream,
) -> tuple[SrtpSuite, SecretBytes, tuple[NamedKey, ...]] | None:
    crypto = offered.crypto
    return None if crypto is None else (crypto.suite, crypto.key, crypto.mkis)


def _our_key(offered: OfferedStream) -> SecretBytes:
    suite = offered.suite
    return SecretBytes(b"") if suite is None else fresh_key(suite)


def _mkis(offered: OfferedStream) -> tuple[MkiKey, ...]:
    return tuple(MkiKey(mki=one.mki, key=one.key) for one in offered.mkis)


def _relabelled(stream: OfferedStream, label: str) -> OfferedStream:
    """Keep the label a stream was born with: the capture knows it by that."""
    return replace(stream, label=label)
