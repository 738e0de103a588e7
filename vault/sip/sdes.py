"""Keys in SDP: one ``a=crypto`` line, and the choice between several.

    a=crypto:<tag> <suite> inline:<base64>[|lifetime][|MKI:length] [parameters]

Guarantees:
    * Only a suite of `SrtpSuite` is ever chosen, the best that was offered by
      *our* order and not by the order of the lines: a 32-bit tag only where the
      device is allowed it, and never beside a line with a longer one.
    * A line that turns encryption or authentication off, asks for a key
      derivation rate or has a parameter we do not know is never chosen.
    * Several keys have an MKI each, all of one length and no two alike.
    * No key, nor any piece of one, is in an error or a ``repr``.

Spec: RFC 4568, sections 4, 6 and 9.2; RFC 6188, section 4.2; RFC 7714, section 14.2.
"""

import base64
import binascii
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vault.core.errors import MalformedSignallingError, UnsupportedOfferError
from vault.core.flow import NOTHING_ALLOWED, Allowance
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sip.sdp import Line

MAX_KEYS: Final = 16
"Keys of one line; a stream needs two at a time, and every one costs a session."

_PREFERENCE: Final = tuple(SrtpSuite)
_BY_DEFAULT: Final = tuple(
    suite for suite in SrtpSuite if not (suite.has_short_tag or suite.is_plain)
)
_MAX_LIFETIME: Final = 2**48
"Packets under one master key (RFC 3711, section 9.2)."
_MAX_MKI: Final = 128
_TAG: Final = re.compile(r"[0-9]{1,9}")
_LIFETIME: Final = re.compile(r"(2\^)?([0-9]{1,20})")
_MKI: Final = re.compile(r"([0-9]{1,309}):([0-9]{1,3})")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
# WSH only advises a window.  Parameters that start with "-" may be ignored
# (RFC 4568, section 6.3.7); every other unknown one makes the line unusable.
_HARMLESS: Final = re.compile(r"-.*|WSH=[0-9]{1,6}|KDR=0", re.IGNORECASE)

ACCEPTED: Final = (
    f"this version takes {', '.join(reversed(_BY_DEFAULT))} with inline keys, and no "
    "UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP or UNAUTHENTICATED_SRTP"
)
"For people whose offer was refused."
_SHORT_TAG_REFUSED: Final = (
    "SRTP with a 32-bit tag is refused: a forged packet passes after some hours of "
    "flood.  Offer an 80-bit tag or AEAD as well, or allow it for this device: "
    f"callvault device allow NAME {Allowance.SHORT_TAG}, "
    "and what it is allowed already"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedKey:
    """A master key with the name that packets call it by."""

    mki: bytes
    "Master Key Identifier as on the wire, 1 to 128 octets."
    key: SecretBytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Crypto:
    """An acceptable ``a=crypto`` line: which suite, under which key."""

    tag: int
    suite: SrtpSuite
    key: SecretBytes
    "Master key ‖ master salt; of the first, where there are several."
    mkis: tuple[NamedKey, ...] = ()
    "Every key, where packets carry an MKI."
    lifetime_packets: int | None = None
    "The shortest of the keys' lifetimes, where one was given."

    def __str__(self) -> str:
        """Return the attribute's value: **it shows the key**; only for an answer."""
        named = [
            f"{_inline(one.key)}|{int.from_bytes(one.mki)}:{len(one.mki)}"
            for one in self.mkis
        ]
        keys = ";".join(named or [_inline(self.key)])
        return f"{self.tag} {self.suite.value} {keys}"


def fresh_key(suite: SrtpSuite) -> SecretBytes:
    """Return a random master key and salt for *suite*; none for plain RTP."""
    return SecretBytes(secrets.token_bytes(suite.master_size_bytes))


def choose(
    lines: Sequence[Line], allowed: frozenset[Allowance] = NOTHING_ALLOWED
) -> Crypto | None:
    """Return the best acceptable of the ``a=crypto`` *lines* of one section.

    Args:
        lines: All of the section.
        allowed: What the device may do that others may not.

    Returns:
        The line whose suite comes first in `SrtpSuite`, or None if none will do.

    Raises:
        MalformedSignallingError: A line breaks the grammar, repeats a tag, or
            its key does not have the length of its suite; ``line`` says which.
    """
    suites = _BY_DEFAULT
    if Allowance.SHORT_TAG in allowed:
        suites = tuple(suite for suite in SrtpSuite if not suite.is_plain)
    seen: set[int] = set()
    found: list[Crypto] = []
    for line in lines:
        tag, crypto = _read(line)
        if tag in seen:
            raise MalformedSignallingError("a crypto tag twice", line=line.number)
        seen.add(tag)
        if crypto is not None and crypto.suite in suites:
            found.append(crypto)
    return min(found, key=lambda one: _PREFERENCE.index(one.suite), default=None)


def refusal(lines: Sequence[Line]) -> UnsupportedOfferError:
    """Return what to say about *lines*, of which `choose` took none."""
    weak = choose(lines, frozenset(Allowance))
    for line in lines:
        if weak is not None and _read(line)[0] == weak.tag:
            return UnsupportedOfferError(_SHORT_TAG_REFUSED, line=line.number)
    return UnsupportedOfferError(
        f"no crypto line is acceptable: {ACCEPTED}", line=lines[0].number
    )


def _read(line: Line) -> tuple[int, Crypto | None]:
    fields = line.attribute[1].split()
    if len(fields) < 3 or not _TAG.fullmatch(fields[0]):  # noqa: PLR2004 - tag, suite, key
        raise MalformedSignallingError("not a crypto attribute", line=line.number)
    tag = int(fields[0])
    try:
        suite = SrtpSuite(fields[1].upper())
    except ValueError:
        return tag, None
    if suite.is_plain:
        return tag, None  # our own word for it, no suite that a peer could name
    keys = [_key(text, suite, line.number) for text in fields[2].split(";")]
    _check_names(keys, line.number)
    usable = len(keys) <= MAX_KEYS and all(one.usable for one in keys)
    if not usable or not all(map(_HARMLESS.fullmatch, fields[3:])):
        return tag, None
    lifetimes = [one.lifetime for one in keys if one.lifetime is not None]
    return tag, Crypto(
        tag=tag,
        suite=suite,
        key=keys[0].key,
        mkis=tuple(NamedKey(mki=one.mki, key=one.key) for one in keys if one.mki),
        lifetime_packets=min(lifetimes, default=None),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Key:
    key: SecretBytes
    mki: bytes
    "Empty where packets carry none."
    lifetime: int | None

    @property
    def usable(self) -> bool:
        # "If it is too large or otherwise invalid, then the entire crypto
        # attribute MUST be considered invalid" (RFC 4568, section 6.1).
        return self.lifetime is None or 0 < self.lifetime <= _MAX_LIFETIME


def _key(text: str, suite: SrtpSuite, number: int) -> _Key:
    method, _, info = text.partition(":")
    encoded, *rest = info.split("|")
    if method.lower() != "inline" or not _BASE64.fullmatch(encoded):
        raise MalformedSignallingError("not an inline key", line=number)
    named = _MKI.fullmatch(rest[-1]) if rest else None
    lifetimes = [_LIFETIME.fullmatch(one) for one in (rest[:-1] if named else rest)]
    if len(lifetimes) > 1 or not all(lifetimes):
        raise MalformedSignallingError("not a key lifetime or MKI", line=number)
    return _Key(
        key=_master(encoded, suite, number),
        mki=_mki(named, number) if named else b"",
        lifetime=next((_packets(one) for one in lifetimes if one), None),
    )


def _master(encoded: str, suite: SrtpSuite, number: int) -> SecretBytes:
    try:
        # rtpengine leaves the padding away: put back what is missing.
        bare = encoded.rstrip("=")
        octets = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedSignallingError("not a base64 key", line=number) from None
    if len(octets) != suite.master_size_bytes:
        raise MalformedSignallingError(
            f"the key of {suite.value} has {len(octets)} octets, "
            f"not {suite.master_size_bytes}",
            line=number,
        )
    return SecretBytes(octets)


def _mki(named: re.Match[str], number: int) -> bytes:
    """Write the decimal value in as many octets as the line says: ``1:4``."""
    value, length = int(named[1]), int(named[2])
    if not 1 <= length <= _MAX_MKI or value.bit_length() > 8 * length:
        raise MalformedSignallingError(
            "an MKI has 1 to 128 octets, and its value fits into them", line=number
        )
    return value.to_bytes(length)


def _packets(lifetime: re.Match[str]) -> int:
    value = int(lifetime[2])
    # Bounded before it is raised: 2^999999999999 would fill the memory.
    return 2 ** min(value, 64) if lifetime[1] else value


def _check_names(keys: Sequence[_Key], number: int) -> None:
    """Refuse what would leave it open which key a packet is under."""
    names = [one.mki for one in keys]
    if len(keys) > 1 and not all(names):
        raise MalformedSignallingError("several keys need an MKI each", line=number)
    if len({len(name) for name in names}) > 1:
        raise MalformedSignallingError("MKIs of different lengths", line=number)
    if len(set(names)) != len(names):
        raise MalformedSignallingError("one MKI twice", line=number)


def _inline(key: SecretBytes) -> str:
    return f"inline:{base64.b64encode(key.reveal()).decode()}"
