"""Keys in SDP: one ``a=crypto`` line, and the choice between several.

    a=crypto:<tag> <suite> inline:<base64>[|lifetime][|MKI:length] [parameters]

Guarantees:
    * Only a suite of `SrtpSuite` is ever chosen, the best that was offered by
      *our* order and not by the order of the lines.
    * A line that turns encryption or authentication off, uses an MKI, several
      keys, a key derivation rate or a parameter we do not know is never chosen.
    * No key, nor any piece of one, is in an error or a ``repr``.

Spec: RFC 4568, sections 4, 6 and 9.2; RFC 7714, section 14.2.
"""

import base64
import binascii
import re
import secrets
from dataclasses import dataclass
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sip.sdp import Line

_PREFERENCE: Final = tuple(SrtpSuite)
_BY_DEFAULT: Final = tuple(
    suite for suite in SrtpSuite if not (suite.has_short_tag or suite.is_plain)
)
_TAG: Final = re.compile(r"[0-9]{1,9}")
_LIFETIME: Final = re.compile(r"2\^[0-9]{1,2}|[0-9]{1,20}")
_MKI: Final = re.compile(r"[0-9]{1,40}:[0-9]{1,3}")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")
# WSH only advises a window.  Parameters that start with "-" may be ignored
# (RFC 4568, section 6.3.7); every other unknown one makes the line unusable.
_HARMLESS: Final = re.compile(r"-.*|WSH=[0-9]{1,6}|KDR=0", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crypto:
    """An acceptable ``a=crypto`` line: which suite, under which key."""

    tag: int
    suite: SrtpSuite
    key: SecretBytes
    "Master key ‖ master salt."

    def __str__(self) -> str:
        """Return the attribute's value: **it shows the key**; only for an answer."""
        inline = base64.b64encode(self.key.reveal()).decode()
        return f"{self.tag} {self.suite.value} inline:{inline}"


ACCEPTED: Final = (
    f"this version takes {', '.join(reversed(_BY_DEFAULT))} with an inline key, and no "
    "MKI, no UNENCRYPTED_SRTP, UNENCRYPTED_SRTCP or UNAUTHENTICATED_SRTP"
)
"For people whose offer was refused."


def fresh_key(suite: SrtpSuite) -> SecretBytes:
    """Return a random master key and salt for *suite*."""
    return SecretBytes(secrets.token_bytes(suite.master_size_bytes))


def choose(lines: list[Line]) -> Crypto | None:
    """Return the best acceptable of the ``a=crypto`` *lines* of one section.

    Returns:
        The line whose suite comes first in `SrtpSuite`, or None if none will do.

    Raises:
        MalformedSignallingError: A line breaks the grammar, repeats a tag, or
            its key does not have the length of its suite; ``line`` says which.
    """
    seen: set[int] = set()
    found: list[Crypto] = []
    for line in lines:
        tag, crypto = _read(line)
        if tag in seen:
            raise MalformedSignallingError("a crypto tag twice", line=line.number)
        seen.add(tag)
        if crypto is not None:
            found.append(crypto)
    return min(found, key=lambda one: _PREFERENCE.index(one.suite), default=None)


def _read(line: Line) -> tuple[int, Crypto | None]:
    fields = line.attribute[1].split()
    if len(fields) < 3 or not _TAG.fullmatch(fields[0]):  # noqa: PLR2004 - tag, suite, key
        raise MalformedSignallingError("not a crypto attribute", line=line.number)
    tag = int(fields[0])
    try:
        suite = SrtpSuite(fields[1].upper())
    except ValueError:
        return tag, None
    if suite not in _BY_DEFAULT:
        return tag, None
    # Several keys need an MKI to tell them apart, so they fall with it.
    keys = [_key(text, suite, line.number) for text in fields[2].split(";")]
    if len(keys) != 1 or keys[0] is None:
        return tag, None
    if not all(_HARMLESS.fullmatch(parameter) for parameter in fields[3:]):
        return tag, None
    return tag, Crypto(tag=tag, suite=suite, key=keys[0])


def _key(text: str, suite: SrtpSuite, number: int) -> SecretBytes | None:
    """Read one ``inline:`` key; None where it comes with an MKI."""
    method, _, info = text.partition(":")
    encoded, *rest = info.split("|")
    if method.lower() != "inline" or not _BASE64.fullmatch(encoded):
        raise MalformedSignallingError("not an inline key", line=number)
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
    has_mki = bool(rest) and _MKI.fullmatch(rest[-1]) is not None
    lifetime = rest[:-1] if has_mki else rest
    if len(lifetime) > 1 or not all(map(_LIFETIME.fullmatch, lifetime)):
        raise MalformedSignallingError("not a key lifetime or MKI", line=number)
    return None if has_mki else SecretBytes(octets)
