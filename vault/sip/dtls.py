"""DTLS-SRTP in SDP: what a section offers instead of ``a=crypto``, and our answer.

    m=audio 9 UDP/TLS/RTP/SAVPF 111        m=audio 40000 UDP/TLS/RTP/SAVPF 111
    a=fingerprint:sha-256 4A:AD:...        a=fingerprint:sha-256 19:E2:...
    a=setup:actpass                        a=setup:passive
    a=ice-ufrag:F7gI                       a=ice-ufrag:8hhY
    a=ice-pwd:x9cml/YzichV2+XlhiMu8g       a=ice-pwd:asd88fgpdd777uzjYhagZg
    a=rtcp-mux                             a=rtcp-mux
                                           a=candidate:1 1 UDP 2130706431 ...

We are the passive side and an ICE lite one: the peer checks, and it speaks first.

Guarantees:
    * A section is taken with at least one fingerprint by SHA-256, 384 or 512, and
      only for a peer that will be the DTLS client; fingerprints by other hashes
      count for nothing.
    * Where there are several, those of the strongest hash count and no others.
    * Nothing but the two error classes leaves `read_dtls`, each with a line.

Left to others: handshakes and keys (`vault.tap.dtls`), checks (`vault.tap.stun`).
Candidates of the offer are not used: nothing is ever sent to them.

Spec: RFC 5763, section 5; RFC 8122, section 5; RFC 8839, section 5; RFC 8842,
section 5; RFC 9143, section 7.3; ADR 0010.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from vault.core.errors import MalformedSignallingError, UnsupportedOfferError
from vault.core.secrets import SecretBytes
from vault.sip.sdp import (
    Line,
    MediaSection,
    SessionDescription,
    attribute_line,
    attributes,
)

PROFILES: Final = frozenset({"UDP/TLS/RTP/SAVP", "UDP/TLS/RTP/SAVPF"})

_DIGEST_SIZES: Final = MappingProxyType({"sha-512": 64, "sha-384": 48, "sha-256": 32})
"Octets by hash, strongest first."
_MAX_FINGERPRINTS: Final = 16
_FINGERPRINT: Final = re.compile(r"([A-Za-z0-9-]{1,32}) +([0-9A-Fa-f:]{1,512})")
_HEX: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}")
_TLS_ID: Final = re.compile(r"[A-Za-z0-9+/_-]{20,255}")
_SETUPS: Final = frozenset({"actpass", "active", "passive", "holdconn"})
_PEER_IS_CLIENT: Final = frozenset({"actpass", "active"})
_HOST_PRIORITY: Final = (126 << 24) + (65535 << 8) + 255
"Of the one candidate of component 1 (RFC 8445, section 5.1.2)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """A digest of a certificate, and by which hash."""

    algorithm: str
    "``sha-256``, ``sha-384`` or ``sha-512``."
    digest: bytes

    def __str__(self) -> str:
        return f"{self.algorithm} {self.digest.hex(':').upper()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class IceOffer:
    """What the offerer says about itself for ICE."""

    ufrag: str
    password: str = field(repr=False)
    lite: bool = False
    "It checks nothing itself, just as we don't."


@dataclass(frozen=True, slots=True, kw_only=True)
class DtlsOffer:
    """How the keys of a section will come about."""

    fingerprints: tuple[Fingerprint, ...]
    "All by one hash; the peer's certificate has one of them."
    ice: IceOffer | None = None
    tls_id: str = ""

    @property
    def is_checked(self) -> bool:
        """Whether the peer proves its address by connectivity checks."""
        return self.ice is not None and not self.ice.lite

    def is_same_association(self, other: "DtlsOffer") -> bool:
        """Whether *other*, a later offer, means the association that there is.

        Spec: RFC 8842, section 4.
        """
        # The offerer stays the client, so its role cannot change either.
        return (self.fingerprints, self.tls_id) == (other.fingerprints, other.tls_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredDtls:
    """What we put into the answer of such a section."""

    fingerprint: Fingerprint
    ufrag: str = ""
    "Empty where the offer has no ICE."
    password: SecretBytes = field(default_factory=lambda: SecretBytes(b""))
    tls_id: str = ""


def read_dtls(
    description: SessionDescription, section: MediaSection
) -> DtlsOffer | None:
    """Return how *section* offers DTLS-SRTP; None where it does not, or is off.

    Raises:
        MalformedSignallingError: A line breaks its grammar.
        UnsupportedOfferError: The peer wants to be the server, has no fingerprint
            that we take, or wants a port of its own for RTCP.
    """
    # 1. Only what says so: `a=fingerprint` beside `a=crypto` is an SDES offer
    #    that could also do DTLS, in a profile that cannot say both.
    if section.profile.upper() not in PROFILES or not section.port:
        return None
    # 2. Who the peer is.  Without this the keys could be anybody's.
    fingerprints = _fingerprints(_effective(description, section, "fingerprint"))
    if not fingerprints:
        raise UnsupportedOfferError(
            f"{section.profile} without a=fingerprint by "
            f"{', '.join(reversed(_DIGEST_SIZES))}",
            line=_line_of(description, section, "fingerprint"),
        )
    # 3. Who speaks first: never we.
    _check_setup(description, section)
    # 4. One port: a port for RTCP would need a handshake of its own (ADR 0010).
    if not attributes(section.lines, "rtcp-mux"):
        raise UnsupportedOfferError(
            "DTLS-SRTP without a=rtcp-mux is refused", line=section.number
        )
    # 5. What our answer will name.
    _value(attributes(section.lines, "mid"), _TOKEN, "mid")
    return DtlsOffer(
        fingerprints=fingerprints,
        ice=_ice(description, section),
        tls_id=_checked(description, section, "tls-id", _TLS_ID),
    )


def mid_of(section: MediaSection) -> str:
    """Return the ``a=mid`` of *section*, empty where it has none that is a token."""
    lines = attributes(section.lines, "mid")
    mid = lines[0].attribute[1] if lines else ""
    return mid if _TOKEN.fullmatch(mid) else ""


def answered_dtls(
    dtls: DtlsOffer, ours: AnsweredDtls, *, address: str, port: int
) -> tuple[Line, ...]:
    """Return our lines for a section that is taken.

    Args:
        dtls: What the section offered.
        ours: What we answer.
        address: Literal that the peer sends to.
        port: Where.
    """
    lines = [
        ("fingerprint", str(ours.fingerprint)),
        ("setup", "passive"),
        *([("tls-id", ours.tls_id)] if dtls.tls_id else []),
    ]
    if dtls.ice is not None:
        lines += [
            ("ice-ufrag", ours.ufrag),
            ("ice-pwd", ours.password.reveal().decode()),
            ("candidate", f"1 1 UDP {_HOST_PRIORITY} {address} {port} typ host"),
            ("end-of-candidates", ""),
        ]
    return tuple(attribute_line(name, value) for name, value in lines)


def answered_head(
    description: SessionDescription, taken: Sequence[tuple[int, DtlsOffer]]
) -> tuple[Line, ...]:
    """Return our session-level lines for the sections that are *taken*.

    Every section has a port of its own, so that a bundle holds at most the first
    of them: RFC 9143 lets an answerer leave sections out, and a peer that wants
    ``max-bundle`` still sees a group.
    """
    lines: list[Line] = []
    if any(dtls.ice is not None for _, dtls in taken):
        lines.append(attribute_line("ice-lite"))
    mids = {mid_of(description.media[index]): index for index, _ in taken}
    for group in attributes(description.lines, "group"):
        words = group.attribute[1].split()
        ours = [mid for mid in words[1:] if mid in mids]
        if words[:1] == ["BUNDLE"] and ours:
            first = min(ours, key=lambda mid: mids[mid])
            lines.append(attribute_line("group", f"BUNDLE {first}"))
            break
    return tuple(lines)


def _fingerprints(lines: Sequence[Line]) -> tuple[Fingerprint, ...]:
    if len(lines) > _MAX_FINGERPRINTS:
        raise MalformedSignallingError(
            f"more than {_MAX_FINGERPRINTS} fingerprints", line=lines[-1].number
        )
    found = [read for line in lines if (read := _fingerprint(line)) is not None]
    for algorithm in _DIGEST_SIZES:
        strongest = tuple(one for one in found if one.algorithm == algorithm)
        if strongest:
            return strongest
    return ()


def _fingerprint(line: Line) -> Fingerprint | None:
    """Read one; None where it is by a hash that proves nothing (MD5, SHA-1)."""
    match = _FINGERPRINT.fullmatch(line.attribute[1])
    if match is None or not _HEX.fullmatch(match[2]):
        raise MalformedSignallingError("not a fingerprint", line=line.number)
    algorithm = match[1].lower()
    if algorithm not in _DIGEST_SIZES:
        return None
    digest = bytes.fromhex(match[2].replace(":", ""))
    if len(digest) != _DIGEST_SIZES[algorithm]:
        raise MalformedSignallingError(
            f"a fingerprint by {algorithm} has {len(digest)} octets", line=line.number
        )
    return Fingerprint(algorithm=algorithm, digest=digest)


def _check_setup(description: SessionDescription, section: MediaSection) -> None:
    lines = _effective(description, section, "setup")
    # "The default value of the setup attribute in an offer is 'active'"
    # (RFC 4145, section 4).
    setup = lines[0].attribute[1].lower() if lines else "active"
    number = lines[0].number if lines else section.number
    if setup not in _SETUPS:
        raise MalformedSignallingError("not a=setup", line=number)
    if setup not in _PEER_IS_CLIENT:
        raise UnsupportedOfferError(
            f"a=setup:{setup} is refused: the offerer is the DTLS client "
            "(actpass or active)",
            line=number,
        )


def _ice(description: SessionDescription, section: MediaSection) -> IceOffer | None:
    ufrag = _checked(description, section, "ice-ufrag", _UFRAG)
    password = _checked(description, section, "ice-pwd", _PASSWORD)
    if not ufrag and not password:
        return None
    if not ufrag or not password:
        raise MalformedSignallingError(
            "a=ice-ufrag and a=ice-pwd come together", line=section.number
        )
    lite = bool(attributes(description.lines, "ice-lite"))
    return IceOffer(ufrag=ufrag, password=password, lite=lite)


def _checked(
    description: SessionDescription,
    section: MediaSection,
    name: str,
    grammar: re.Pattern[str],
) -> str:
    return _value(_effective(description, section, name), grammar, name)


def _value(lines: Sequence[Line], grammar: re.Pattern[str], name: str) -> str:
    if not lines:
        return ""
    value = lines[0].attribute[1]
    if not grammar.fullmatch(value):
        raise MalformedSignallingError(f"not an {name}", line=lines[0].number)
    return value


def _effective(
    description: SessionDescription, section: MediaSection, name: str
) -> list[Line]:
    """Return the section's own lines, else those of the session (RFC 8866, 5.13)."""
    return attributes(section.lines, name) or attributes(description.lines, name)


def _line_of(description: SessionDescription, section: MediaSection, name: str) -> int:
    lines = _effective(description, section, name)
    return lines[0].number if lines else section.number
