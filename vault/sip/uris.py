"""SIP URIs and the parameters that hang on URIs and headers.

Guarantees:
    * ``parse`` raises `MalformedSignallingError` or returns; nothing else, whatever
      the text, in time linear in its length.
    * ``parse(str(value)) == value``.
    * No user, host or parameter is in a ``repr`` or an error.

Left to others: what a URI means; the headers of a URI (``?Route=...``) are kept and
never acted upon.

Spec: RFC 3261, sections 19.1 and 25.1.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Self

from vault.core.errors import MalformedSignallingError
from vault.sip.addresses import in_uri

LWS: Final = " \t"
"Linear white space that is left once folded lines are joined."

_MAX_PORT: Final = 65_535
_MAX_PARAMETERS: Final = 256

# Underscores, and names whose last label ends in a digit, are no hosts by the
# letter of RFC 3261 but come from real SBCs ("my_host", "sbc1").
_HOST: Final = re.compile(r"[A-Za-z0-9_.~%-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\]")
_NOT_IN_URI: Final = re.compile(r'[\x00-\x20<>"\x7f]')
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}")
_ESCAPED: Final = re.compile(r"\\?(.[^\\]*)", re.DOTALL)
_SEMICOLONS: Final = re.compile(r'[";\\]')
_LIST_MARKS: Final = re.compile(r'[",<>\\]')
# What a mark leads into: a quoted-string, a URI in brackets, or out of them.  A "<"
# in quotes and a quote in brackets are ordinary characters.
_INSIDE: Final = {("", '"'): '"', ('"', '"'): "", ("", "<"): "<", ("<", ">"): ""}


class Parameters:
    """``;name=value;flag`` in order; names are compared without case.  Immutable."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Iterable[tuple[str, str | None]] = ()) -> None:
        """Take (name, value) pairs; a flag has the value None."""
        self._pairs = tuple(pairs)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``a=b;c``; empty parameters (``;;``) are skipped.

        Raises:
            MalformedSignallingError: More than 256, or one name with two values.
        """
        # Those in quotes and between nothing count, too: all of them cost.
        if text.count(";") > _MAX_PARAMETERS:
            raise MalformedSignallingError("too many parameters")
        pairs: dict[str, tuple[str, str | None]] = {}
        for piece in split_outside_quotes(text):
            name, equals, value = piece.partition("=")
            name = name.strip(LWS)
            if not name:
                if equals:
                    raise MalformedSignallingError("a parameter without a name")
                continue
            pair = (name, value.strip(LWS) if equals else None)
            if pairs.setdefault(name.lower(), pair)[1] != pair[1]:
                raise MalformedSignallingError("one parameter with two values")
        return cls(pairs.values())

    def get(self, name: str) -> str | None:
        """Return the value as it was spelled, "" for a flag, None where absent."""
        wanted = name.lower()
        for found, value in self._pairs:
            if found.lower() == wanted:
                return value or ""
        return None

    def unquoted(self, name: str) -> str | None:
        """Return the value without its quotes and backslashes."""
        value = self.get(name)
        return None if value is None else unquoted(value)

    def with_(self, name: str, value: str | None = None) -> Self:
        """Return a copy in which *name* has *value* (None: a flag), in its place."""
        if self.get(name) is None:
            return type(self)((*self._pairs, (name, value)))
        wanted = name.lower()
        return type(self)(
            (found, value if found.lower() == wanted else kept)
            for found, kept in self._pairs
        )

    def without(self, name: str) -> Self:
        """Return a copy that lacks *name*."""
        wanted = name.lower()
        return type(self)(pair for pair in self._pairs if pair[0].lower() != wanted)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __iter__(self) -> Iterator[tuple[str, str | None]]:
        return iter(self._pairs)

    def __len__(self) -> int:
        return len(self._pairs)

    def __str__(self) -> str:
        """Spell them with the leading semicolon; "" where there are none."""
        return "".join(
            f";{name}" if value is None else f";{name}={value}"
            for name, value in self._pairs
        )

    def _normal(self) -> frozenset[tuple[str, str | None]]:
        return frozenset((name.lower(), value) for name, value in self._pairs)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Parameters):
            return NotImplemented
        return self._normal() == other._normal()

    def __hash__(self) -> int:
        return hash(self._normal())

    def __repr__(self) -> str:
        return f"Parameters({', '.join(name for name, _ in self._pairs)})"


NO_PARAMETERS: Final = Parameters()


@dataclass(frozen=True, slots=True, kw_only=True)
class SipUri:
    """A ``sip:`` or ``sips:`` URI."""

    scheme: str = "sip"
    user: str = field(default="", repr=False)
    "As it was escaped."
    password: str = field(default="", repr=False)
    host: str = field(repr=False)
    "A name or literal in lower case; an IPv6 literal without its brackets."
    port: int | None = None
    parameters: Parameters = NO_PARAMETERS
    headers: str = field(default="", repr=False)
    "What follows ``?``.  Never acted upon."

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a URI, leniently about hosts.

        Raises:
            MalformedSignallingError: Another scheme, no host, no such port.
        """
        scheme, colon, rest = text.strip(LWS).partition(":")
        scheme = scheme.lower()
        if not colon or scheme not in {"sip", "sips"}:
            raise MalformedSignallingError("not a SIP URI")
        if _NOT_IN_URI.search(rest):
            raise MalformedSignallingError("a character that no URI has")
        userinfo, hostpart = _divided(rest)
        user, _, password = userinfo.partition(":")
        hostpart, _, headers = hostpart.partition("?")
        hostport, _, parameters = hostpart.partition(";")
        host, port = host_and_port(hostport)
        return cls(
            scheme=scheme,
            user=user,
            password=password,
            host=host,
            port=port,
            parameters=Parameters.parse(parameters),
            headers=headers,
        )

    @property
    def transport(self) -> str:
        """``udp``, ``tcp``, ``tls``, ... in lower case (RFC 3263, section 4.1)."""
        named = (self.parameters.get("transport") or "").lower()
        if self.scheme == "sips":
            return "tls" if named in {"", "tcp"} else named
        return named or "udp"

    def __str__(self) -> str:
        password = f":{self.password}" if self.password else ""
        userinfo = f"{self.user}{password}@" if self.user or password else ""
        port = "" if self.port is None else f":{self.port}"
        headers = f"?{self.headers}" if self.headers else ""
        where = f"{in_uri(self.host)}{port}"
        return f"{self.scheme}:{userinfo}{where}{self.parameters}{headers}"


def _divided(rest: str) -> tuple[str, str]:
    """Divide ``user@host;parameters?headers`` behind the user."""
    # A user may hold ";" and "?", and some SBCs leave "@" in it unescaped; the
    # headers behind the host may hold "@" just so: it is the last one before them.
    question = rest.find("?", max(rest.find("@"), 0))
    at = rest.rfind("@", 0, question if question >= 0 else len(rest))
    return rest[: max(at, 0)], rest[at + 1 :]


def scheme_of(uri: str) -> str:
    """Return the scheme in lower case; "" for what is not a URI at all."""
    scheme, colon, _ = uri.partition(":")
    return scheme.lower() if colon and _SCHEME.fullmatch(scheme) else ""


def host_and_port(text: str) -> tuple[str, int | None]:
    """Read ``host[:port]``; the host in lower case, an IPv6 one without brackets.

    Raises:
        MalformedSignallingError: No host, or no such port.
    """
    text = text.strip(LWS)
    host, colon, digits = text, "", ""
    if text.startswith("["):
        host, bracket, tail = text.partition("]")
        host += bracket
        colon, digits = tail.strip(LWS)[:1], tail.strip(LWS)[1:]
        if colon not in {"", ":"}:
            raise MalformedSignallingError("not a host")
    else:
        host, colon, digits = text.partition(":")
    host, digits = host.strip(LWS), digits.strip(LWS)
    if not _HOST.fullmatch(host):
        raise MalformedSignallingError("not a host")
    host = host.strip("[]").lower()
    # "host:" without digits does occur; RFC 3986 allows it.
    return (host, number(digits, _MAX_PORT)) if colon and digits else (host, None)


def number(text: str, largest: int) -> int:
    """Read decimal digits.

    Raises:
        MalformedSignallingError: Anything else, or more than *largest*.
    """
    # isdigit() alone takes other scripts' digits; and int() is quadratic.
    if not (text.isascii() and text.isdigit()) or len(text.lstrip("0")) > len(
        str(largest)
    ):
        raise MalformedSignallingError("not a number that fits")
    found = int(text.lstrip("0") or "0")
    if found > largest:
        raise MalformedSignallingError("not a number that fits")
    return found


def unquoted(text: str) -> str:
    """Return *text* without quotes around it and backslashes in it."""
    if len(text) < 2 or text[0] != '"' or text[-1] != '"':  # noqa: PLR2004 - a pair
        return text
    # sub() with a group costs ten times as much for each backslash.
    return "".join(_ESCAPED.findall(text[1:-1])) if "\\" in text else text[1:-1]


def quoted(text: str) -> str:
    """Return *text* as a quoted-string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def split_outside_quotes(text: str) -> list[str]:
    """Split at semicolons that are not in a quoted-string.

    Raises:
        MalformedSignallingError: A quote that never ends: what is written behind it
            would be swallowed.
    """
    if '"' not in text:
        return text.split(";")
    pieces, start, is_quoted, escaped = [], 0, False, -1
    for mark in _SEMICOLONS.finditer(text):
        at = mark.start()
        if at == escaped:
            continue
        if text[at] == '"':
            is_quoted = not is_quoted
        elif text[at] == "\\":
            escaped = at + 1 if is_quoted else -1
        elif not is_quoted:
            pieces.append(text[start:at])
            start = at + 1
    if is_quoted:
        raise MalformedSignallingError("a quote that never ends")
    return [*pieces, text[start:]]


def split_list(text: str) -> list[str]:
    """Split a header's value at commas outside of quotes and angle brackets."""
    if "," not in text:
        return [text.strip(LWS)]
    pieces, start, inside, escaped = [], 0, "", -1
    for mark in _LIST_MARKS.finditer(text):
        at = mark.start()
        if at == escaped:
            continue
        if text[at] == "," and not inside:
            pieces.append(text[start:at].strip(LWS))
            start = at + 1
        elif text[at] == "\\":
            escaped = at + 1 if inside == '"' else -1
        else:
            inside = _INSIDE.get((inside, text[at]), inside)
    return [*pieces, text[start:].strip(LWS)]
