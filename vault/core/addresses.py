"""Addresses of parties, as PBXes spell them: numbers, users, SIP and tel URIs.

Guarantees: pure functions; nothing raises, whatever the text; work grows with the
length of an address, which is bounded.

Spec: RFC 3261, section 19.1.4; RFC 3966, section 5.1.1 (visual separators)
"""

import re
import unicodedata
from typing import Final
from urllib.parse import unquote

_MAX_ADDRESS: Final = 512
"Characters.  What is longer is nobody's address."
_SCHEMES: Final = ("sip:", "sips:", "tel:")
_SIP: Final = re.compile(r"\s*(?:[^<]*<\s*)?sips?:", re.IGNORECASE)
_NUMBER: Final = re.compile(r"\+?[0-9*?#().\-\s/]{2,}")
_QUAD: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")
_SEPARATORS: Final = re.compile(r"[().\-\s/]")


def address_key(address: str) -> tuple[str, str]:
    """Return user (or number) and host of an address; empty where it has none.

    Two spellings of one address have the same key: case, escapes, separators,
    display name, port and parameters make no difference.
    """
    if len(address) > _MAX_ADDRESS:
        return "", ""
    user, at, host = bare_address(address).rpartition("@")
    if not at and not _SIP.match(address):
        user, host = host, ""
    return user_key(user), _host_key(host)


def bare_address(text: str) -> str:
    """Return an address without display name, brackets, scheme and parameters."""
    bare = text.strip()
    if "<" in bare:
        bare = bare.rpartition("<")[2].partition(">")[0].strip()
    for scheme in _SCHEMES:
        if bare[: len(scheme)].casefold() == scheme:
            return bare[len(scheme) :].partition(";")[0].partition("?")[0]
    return bare.partition(";")[0]


def user_key(user: str) -> str:
    """Return what two spellings of a user or a number have in common."""
    key = unicodedata.normalize("NFKC", unquote(user.partition(":")[0])).casefold()
    number = _NUMBER.fullmatch(key) and any(one.isdigit() for one in key)
    # Four numbers with dots between are a host that somebody called a user.
    if number and not _QUAD.fullmatch(key):
        return _SEPARATORS.sub("", key)
    return key


def same_party(one: str, other: str) -> bool:
    """Return whether two addresses name the same user; a host counts if both have."""
    (user, host), (other_user, other_host) = address_key(one), address_key(other)
    if not user or user != other_user:
        return False
    return not host or not other_host or host == other_host


def _host_key(host: str) -> str:
    host = host.casefold()
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[")
    return host.partition(":")[0] if host.count(":") == 1 else host
