"""Who an address means, however it is spelled: the number or name of a person.

Field: ``sip:7301@192.0.2.8``, ``+15550100010@192.0.2.22``, ``sip:02077705371``,
``9000``, ``tel:+49-30-1;ext=2``, ``sip:+1555%200100@host;user=phone``.

Guarantees: nothing raises; what leaves here is text that can be sealed and shown:
without control characters, lone surrogates, and what turns the text around it.

Spec: RFC 3261, section 19.1; RFC 3966
"""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

from vault.core.errors import MalformedSignallingError
from vault.sip.headers import NameAddr

MAX_TEXT: Final = 256
_SCHEME: Final = re.compile(r"(sips?|tel|h323):", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\+?[0-9*#().\- ]{1,32}")
_HOST: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)+|\[[0-9A-Fa-f:.]+\]")
_ESCAPED: Final = 0xDC00
_TURNING: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Embeddings, overrides and isolates of the bidirectional algorithm (UAX 9): who puts
one into a name turns round what a page or a terminal shows behind it."""
_LATIN_1: Final = range(0xA0, 0x100)
_END_OF_USER: Final = re.compile(r"[;?:]")
_END_OF_HOST: Final = re.compile(r"[;?>]")
_PORT: Final = re.compile(r":[0-9]{1,5}\Z")
_OPENSIPS_NAME: Final = re.compile(r";lang=.*\Z", re.DOTALL)


def shown(text: str, *, most: int = MAX_TEXT) -> str:
    """Return *text* as it can be sealed and shown, cut to *most* characters.

    Octets of a header that are no UTF-8 (by PEP 383) are read as Latin-1: what they
    nearly always are.
    """
    clean = "".join(map(_visible, text[: 4 * most]))
    return " ".join(clean.split())[:most]


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cs":
        octet = ord(character) - _ESCAPED
        if octet not in _LATIN_1:
            return "\N{REPLACEMENT CHARACTER}"
        return chr(octet)
    if character in _TURNING:
        return ""
    return " " if category == "Cc" else character


def display_name(text: str) -> str:
    """Return a display name without quotes and what OpenSIPS leaves behind it."""
    name = shown(text)
    if len(name) > 1 and name[0] == name[-1] == '"':
        name = name[1:-1]
    return _OPENSIPS_NAME.sub("", name).strip()


def uri_of(text: str) -> str:
    """Return an address of record with a scheme, if it is clear which."""
    address = shown(text)
    if not address or _SCHEME.match(address) or "@" not in address:
        return address
    return f"sip:{address}"


def name_addr_of(text: str) -> NameAddr | None:
    """Return the address in a header's value; None where there is none."""
    try:
        return NameAddr.parse(text)
    except MalformedSignallingError:
        return None


def person_of(text: str) -> str:
    """Return whom an address means: a number, or ``user@host``.

    A host is no part of a number: ``9000@192.0.2.2`` must be found as 9000.
    """
    user, host = _split(shown(text))
    if not user:
        return ""
    if _NUMBER.fullmatch(user) or not host:
        return user
    return f"{user}@{host}"


def user_of(text: str) -> str:
    """Return the part before the ``@``."""
    return _split(shown(text))[0]


def _split(address: str) -> tuple[str, str]:
    scheme = _SCHEME.match(address)
    rest = address[scheme.end() :] if scheme else address
    user, at, host = rest.rpartition("@")
    if not at:
        alone = _PORT.sub("", _END_OF_HOST.split(rest, maxsplit=1)[0]).strip()
        # "sip:10.42.30.10" is a host by the grammar; "sip:02077705371" is one, too,
        # and is what BroadWorks writes for a user.
        return ("", alone) if _HOST.fullmatch(alone) else (shown(unquote(alone)), "")
    host = _END_OF_HOST.split(host, maxsplit=1)[0]
    user = shown(unquote(_END_OF_USER.split(user, maxsplit=1)[0]))
    return user, _PORT.sub("", host)
