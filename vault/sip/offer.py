"""Offer and answer for a party that only listens.

`read_offer` says which media sections we take and under which keys; `answer`
writes the description that goes back: the same sections in the same order with
the same profiles, ours receive-only, the ones we don't take with port 0.

Guarantees:
    * Nothing but the two error classes leaves `read_offer`, each with a line.
    * What we take is audio and video over SRTP with a key for a suite of
      `SrtpSuite`.  ``RTP/AVP`` with ``a=crypto`` is SRTP, too: ffmpeg says it so.
    * Or in a ``UDP/TLS/RTP`` profile, with a fingerprint: keys by DTLS-SRTP.
    * Plain RTP, and SRTP with a 32-bit tag, is taken only where the device is
      allowed it; keys that do not fit never turn a section into plain RTP.
    * Every payload type offered is in the answer (rtpengine insists), so that
      even a codec we cannot decode is captured.
    * Labels are unique within an offer.

Left to others: ports and addresses (`vault.tap`), what a change of offer does
to running streams (`vault.recorder`).  Nothing is ever sent to an address in
the offer: `OfferedStream.remote` is for a filter.

Spec: RFC 3264, sections 6 and 8; RFC 4568, section 7.1; RFC 4574; RFC 5761.
"""

import ipaddress
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Final

from vault.core.errors import MalformedSignallingError, UnsupportedOfferError
from vault.core.flow import NOTHING_ALLOWED, Allowance
from vault.core.media import PayloadFormat, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sip.connection import Remote, check_address, remote_of
from vault.sip.dtls import (
    AnsweredDtls,
    DtlsOffer,
    answered_dtls,
    answered_head,
    mid_of,
    read_dtls,
)
from vault.sip.payloads import payloads_of
from vault.sip.sdes import Crypto, NamedKey, choose, refusal
from vault.sip.sdp import (
    Line,
    MediaSection,
    SessionDescription,
    attribute_line,
    attributes,
)

_PLAIN_PROFILES: Final = frozenset({"RTP/AVP", "RTP/AVPF"})
_PROFILES: Final = _PLAIN_PROFILES | {"RTP/SAVP", "RTP/SAVPF"}
_TAKEN: Final = frozenset({"audio", "video"})
_LABEL: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}")
_DEFAULT_LABELS: Final = ("agent", "customer")
_SCREEN: Final = "screen"
_PLAIN: Final = Crypto(tag=0, suite=SrtpSuite.PLAIN_RTP, key=SecretBytes(b""))
PLAIN_REFUSED: Final = (
    "no section has a=crypto or a=fingerprint over RTP.  Send SRTP; if the device "
    f"cannot, allow it plain RTP: callvault device allow NAME {Allowance.PLAIN_RTP}, "
    "and what it is allowed already"
)


@unique
class MediaDirection(StrEnum):
    """Which way media may flow, as the one who writes it sees it."""

    SENDRECV = "sendrecv"
    SENDONLY = "sendonly"
    RECVONLY = "recvonly"
    INACTIVE = "inactive"

    @property
    def sends(self) -> bool:
        """Whether the writer may send."""
        return self in {MediaDirection.SENDRECV, MediaDirection.SENDONLY}


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedStream:
    """A media section that we take."""

    index: int
    "Place among the ``m=`` lines, from 0: a stream's name for life (RFC 3264)."
    media: str
    label: str
    crypto: Crypto | None
    "None where *dtls* says how the keys will come about."
    payloads: tuple[PayloadFormat, ...]
    rtcp_mux: bool
    direction: MediaDirection
    remote: Remote | None = None
    "Where it comes from, if that can be known; port 0 for any."
    dtls: DtlsOffer | None = None

    @property
    def suite(self) -> SrtpSuite | None:
        """What protects it, if the offer says so."""
        return None if self.crypto is None else self.crypto.suite

    @property
    def mkis(self) -> tuple[NamedKey, ...]:
        """Every key by its name, where packets carry an MKI."""
        return () if self.crypto is None else self.crypto.mkis

    @property
    def held(self) -> bool:
        """Whether the offerer says that nothing will be sent for now."""
        return not self.direction.sends


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """An offer that can be answered."""

    description: SessionDescription
    streams: tuple[OfferedStream, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredStream:
    """What we put into the answer for one stream."""

    port: int
    key: SecretBytes
    "Our master key and salt.  We never send; SDES wants one all the same."
    dtls: AnsweredDtls | None = None
    "Instead of it, where that was offered."


def read_offer(
    text: str,
    labels: Sequence[str] = (),
    allowed: frozenset[Allowance] = NOTHING_ALLOWED,
    *,
    origin: str = "",
    media_addresses: Sequence[str] = (),
) -> Offer:
    """Read *text* and decide section by section what we take.

    Args:
        text: The offer.
        labels: Names for the sections in order, where there is no ``a=label``.
        allowed: What the device may do that others may not.
        origin: Address that it came from: that of plain RTP whose ``c=`` is of no
            use; empty where nobody knows.
        media_addresses: Prefixes that media of the device may come from; none
            means any for SRTP and *origin* for plain RTP.

    Raises:
        MalformedSignallingError: It is not SDP, or a line breaks its grammar.
        UnsupportedOfferError: Neither audio nor video, none with SRTP keys, a
            section whose keys are all for suites that we refuse, or media from
            where the device may not send it.
    """
    description = SessionDescription.parse(text)
    media = [section for section in description.media if section.media in _TAKEN]
    if not any(section.port for section in media):
        line = description.media[0].number if description.media else 1
        raise UnsupportedOfferError("the offer has no audio and no video", line=line)
    names = _labels(description.media, labels)
    default = _direction(description.lines, MediaDirection.SENDRECV)
    streams: list[OfferedStream] = []
    for index, section in enumerate(description.media):
        crypto = _crypto(section, allowed)
        dtls = read_dtls(description, section) if section.media in _TAKEN else None
        if crypto is None and dtls is None:
            continue
        payloads = payloads_of(section)
        if not payloads:
            continue
        check_address(
            description,
            section,
            is_plain=crypto is not None and crypto.suite.is_plain,
            listed=media_addresses,
            origin=origin,
        )
        streams.append(
            OfferedStream(
                index=index,
                media=section.media,
                label=names[index],
                crypto=crypto,
                payloads=payloads,
                rtcp_mux=bool(attributes(section.lines, "rtcp-mux")),
                direction=_direction(section.lines, default),
                remote=remote_of(description, section, origin=origin),
                dtls=dtls,
            )
        )
    if not streams:
        raise UnsupportedOfferError(PLAIN_REFUSED, line=media[0].number)
    return Offer(description=description, streams=tuple(streams))


def answer(
    offer: Offer,
    streams: Mapping[int, AnsweredStream],
    *,
    address: str,
    session: int,
    version: int,
) -> SessionDescription:
    """Write the answer to *offer*.

    Args:
        offer: What was read.
        streams: Ours by index; a section without one gets port 0.
        address: IPv4 or IPv6 literal for ``c=``: where media must be sent.
        session: Number of the session in ``o=``, constant for its life.
        version: Grows by one with each answer of a session.

    Raises:
        ValueError: *address* is not a literal.
    """
    family = f"IP{ipaddress.ip_address(address).version}"
    taken = {stream.index: stream for stream in offer.streams}
    head = (
        ("v", "0"),
        ("o", f"callvault {session} {version} IN {family} {address}"),
        ("s", "-"),
        ("c", f"IN {family} {address}"),
        ("t", "0 0"),
    )
    keyed_later = [(i, s.dtls) for i, s in taken.items() if i in streams and s.dtls]
    lines = tuple(Line(type=type_, value=value) for type_, value in head)
    return SessionDescription(
        lines=lines + answered_head(offer.description, keyed_later),
        media=tuple(
            _answered(section, taken[index], streams[index], address)
            if index in taken and index in streams
            else _declined(section)
            for index, section in enumerate(offer.description.media)
        ),
    )


def _crypto(section: MediaSection, allowed: frozenset[Allowance]) -> Crypto | None:
    """Return how the media of *section* is protected; None if we don't take it.

    Raises:
        UnsupportedOfferError: We would take it, but under none of its keys.
    """
    # 1. A broken line is the whole offer's fault, also where it is declined.
    lines = attributes(section.lines, "crypto")
    crypto = choose(lines, allowed)
    # 2. Media that we know, switched on, over RTP on UDP.
    profile = section.profile.upper()
    if section.media not in _TAKEN or not section.port or profile not in _PROFILES:
        return None
    # 3. Keys mean SRTP, whatever the profile says.  Where none of them will do
    #    the answer is no: the peer would not expect to be taken for plain RTP.
    if lines:
        if crypto is None:
            raise refusal(lines)
        return crypto
    # 4. Without keys, plain RTP from a device that may; a profile that promises
    #    SRTP is never plain.
    plain = profile in _PLAIN_PROFILES and Allowance.PLAIN_RTP in allowed
    return _PLAIN if plain else None


def _direction(lines: Sequence[Line], default: MediaDirection) -> MediaDirection:
    for line in lines:
        if line.type == "a" and line.attribute[0] in set(MediaDirection):
            return MediaDirection(line.attribute[0])
    return default


def _labels(media: Sequence[MediaSection], given: Sequence[str]) -> list[str]:
    """Name every section: its own label, then the order's, then by place."""
    names: list[str] = []
    audio = 0
    for index, section in enumerate(media):
        audio += section.media == "audio"
        own = [_label(line) for line in attributes(section.lines, "label")]
        if own:
            name = own[0]
        elif index < len(given) and given[index]:
            name = given[index]
        elif section.media == "audio" and audio <= len(_DEFAULT_LABELS):
            name = _DEFAULT_LABELS[audio - 1]
        elif section.media == "video":
            name = _SCREEN
        else:
            name = f"stream{(audio if section.media == 'audio' else index + 1)}"
        names.append(unused_label(name, names))
    return names


def unused_label(name: str, names: Container[str]) -> str:
    """Return *name*, with a number behind it where it is one of *names*.

    Whoever reads labels elsewhere must number them alike, or streams would be given
    to the wrong party.
    """
    candidate, number = name, 1
    while candidate in names:
        number += 1
        candidate = f"{name}-{number}"
    return candidate


def _label(line: Line) -> str:
    if not _LABEL.fullmatch(line.attribute[1]):
        raise MalformedSignallingError("not a label", line=line.number)
    return line.attribute[1]


def _declined(section: MediaSection) -> MediaSection:
    return MediaSection(
        media=section.media,
        port=0,
        profile=section.profile,
        formats=section.formats,
        lines=_named(section),
    )


def _answered(
    section: MediaSection, stream: OfferedStream, ours: AnsweredStream, address: str
) -> MediaSection:
    way = MediaDirection.INACTIVE if stream.held else MediaDirection.RECVONLY
    formats = {str(payload.payload_type) for payload in stream.payloads}
    maps = [
        line
        for line in section.lines
        if line.type == "a"
        and line.attribute[0] in {"rtpmap", "fmtp"}
        and line.attribute[1].split()[0].lstrip("0").zfill(1) in formats
    ]
    lines = [
        *(attribute_line(line.attribute[0], line.attribute[1]) for line in maps),
        *_protection(stream, ours, address),
        *_named(section),
        *([attribute_line("rtcp-mux")] if stream.rtcp_mux else []),
        attribute_line(way.value),
    ]
    return MediaSection(
        media=section.media,
        port=ours.port,
        profile=section.profile,
        formats=section.formats,
        lines=tuple(lines),
    )


def _protection(
    stream: OfferedStream, ours: AnsweredStream, address: str
) -> tuple[Line, ...]:
    """Return our side of the keys."""
    if stream.dtls is not None and ours.dtls is not None:
        return answered_dtls(stream.dtls, ours.dtls, address=address, port=ours.port)
    if stream.crypto is None or stream.crypto.suite.is_plain:
        return ()
    # No MKI in ours: it is each sender's own business (RFC 4568, section 6.1),
    # and nothing is ever sent under this key.
    crypto = Crypto(tag=stream.crypto.tag, suite=stream.crypto.suite, key=ours.key)
    return (attribute_line("crypto", str(crypto)),)


def _named(section: MediaSection) -> tuple[Line, ...]:
    """Return the names that a section keeps in its answer, declined or not."""
    mid = mid_of(section)
    lines = attributes(section.lines, "label")[:1]
    names = [attribute_line("label", line.attribute[1]) for line in lines]
    return (*names, *([attribute_line("mid", mid)] if mid else []))
