"""Header values that mean something to a recording server, read and written.

Guarantees:
    * ``parse`` raises `MalformedSignallingError` or returns; nothing else, whatever
      the text, in time linear in its length.
    * ``parse(str(value)) == value``.
    * No name, number or address is in a ``repr`` or an error.

Left to others: the list of a message's headers (`vault.sip.messages`), URIs
(`vault.sip.uris`).

Spec: RFC 3261, sections 20.10, 20.16, 20.20, 20.39 and 20.42; RFC 3581.
"""

import re
from dataclasses import dataclass, field, replace
from typing import Final, Self

from vault.core.errors import MalformedSignallingError
from vault.sip.addresses import in_uri
from vault.sip.uris import (
    LWS,
    NO_PARAMETERS,
    Parameters,
    host_and_port,
    number,
    quoted,
    scheme_of,
    unquoted,
)

MAX_CSEQ: Final = 2**32 - 1
TOKEN: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")

# Possessive or bounded by a character that the run before it cannot hold: nothing
# here backtracks over a long run twice.
_VIA: Final = re.compile(
    r"SIP[ \t]*/[ \t]*([0-9]{1,3}\.[0-9]{1,3})[ \t]*/[ \t]*"
    r"([A-Za-z0-9.!%*_+`'~-]{1,32})[ \t]++([^;]++)(.*)",
    re.DOTALL | re.IGNORECASE,
)
_QUOTED: Final = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BAD_URI: Final = re.compile(r"[\x00-\x1f\x7f<>\"]")
_URI_PARAMETERS: Final = frozenset(
    {"transport", "user", "method", "ttl", "maddr", "lr", "comp", "ob", "gr"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Via:
    """One hop: how and where answers go."""

    transport: str
    "In upper case, as in ``SIP/2.0/UDP``."
    host: str = field(repr=False)
    "In lower case; an IPv6 literal without its brackets."
    port: int | None = None
    version: str = "2.0"
    "Of the protocol; another one is read, so that it can be answered 505."
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one element of a ``Via`` header.

        Raises:
            MalformedSignallingError: Not a Via.
        """
        match = _VIA.fullmatch(text.strip(LWS))
        if match is None:
            raise MalformedSignallingError("not a Via")
        host, port = host_and_port(match[3])
        return cls(
            transport=match[2].upper(),
            host=host,
            port=port,
            version=match[1],
            parameters=Parameters.parse(match[4]),
        )

    @property
    def branch(self) -> str:
        """The transaction's name as its client chose it; "" from RFC 2543 clients."""
        return self.parameters.get("branch") or ""

    @property
    def sent_by(self) -> str:
        """``host`` or ``host:port`` as transactions compare it (17.2.3)."""
        host = in_uri(self.host)
        return host if self.port is None else f"{host}:{self.port}"

    def with_parameter(self, name: str, value: str | None = None) -> Self:
        """Return a copy with one parameter set: ``received``, ``rport``."""
        return replace(self, parameters=self.parameters.with_(name, value))

    def __str__(self) -> str:
        hop = f"SIP/{self.version}/{self.transport}"
        return f"{hop} {self.sent_by}{self.parameters}"


@dataclass(frozen=True, slots=True, kw_only=True)
class NameAddr:
    """``"Alice" <sip:alice@example.com>;tag=1``: From, To, Contact, Route, ..."""

    display_name: str = field(default="", repr=False)
    "Without quotes and backslashes; may hold any character but CR and LF."
    uri: str = field(repr=False)
    "As it was spelled, whatever its scheme; `SipUri.parse` may refuse it."
    parameters: Parameters = NO_PARAMETERS

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read one address, also one whose ``>`` is missing.

        Raises:
            MalformedSignallingError: A quote that never ends, or no URI.
        """
        text = text.strip(LWS)
        display, rest = "", text
        if text.startswith('"'):
            match = _QUOTED.match(text)
            if match is None:
                raise MalformedSignallingError("a quote that never ends")
            display, rest = unquoted(match[0]), text[match.end() :].lstrip(LWS)
            if not rest.startswith("<"):
                raise MalformedSignallingError("no URI after a display name")
        before, bracket, after = rest.partition("<")
        if bracket:
            display = display or before.strip(LWS)
            uri, parameters = _bracketed(after)
        else:
            uri, _, parameters = rest.partition(";")
        uri = uri.strip(LWS)
        if not scheme_of(uri) and (uri != "*" or bracket):
            raise MalformedSignallingError("no URI in an address")
        if _BAD_URI.search(uri):
            raise MalformedSignallingError("a character that no URI has")
        return cls(
            display_name=display, uri=uri, parameters=Parameters.parse(parameters)
        )

    @property
    def tag(self) -> str:
        """The tag; "" where there is none."""
        return self.parameters.get("tag") or ""

    def __str__(self) -> str:
        if self.uri == "*":
            return f"*{self.parameters}"
        name = f"{quoted(self.display_name)} " if self.display_name else ""
        return f"{name}<{self.uri}>{self.parameters}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CSeq:
    """Number and method of a request within its dialog."""

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``314 INVITE``.

        Raises:
            MalformedSignallingError: Not that, or a number of 2**32 or more.
        """
        # Not split(): it takes every script's spaces.
        digits, _, method = text.strip(LWS).replace("\t", " ").partition(" ")
        method = method.lstrip(" ")
        if not TOKEN.fullmatch(method):
            raise MalformedSignallingError("not a CSeq")
        return cls(number=number(digits, MAX_CSEQ), method=method)

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def _bracketed(after: str) -> tuple[str, str]:
    """Divide what follows a ``<`` into URI and parameters."""
    uri, closed, parameters = after.partition(">")
    if not closed:
        return _unclosed(after)
    if parameters.strip(LWS)[:1] not in {"", ";"}:
        raise MalformedSignallingError("text after an address")
    return uri, parameters


def _unclosed(text: str) -> tuple[str, str]:
    """Divide what follows a ``<`` that nobody closed into URI and parameters.

    Metaswitch writes ``<sip:src@host;transport=tcp;+sip.src``: only what is known
    to belong to a URI is taken for its.
    """
    uri, *rest = text.split(";")
    for at, piece in enumerate(rest):
        if piece.partition("=")[0].strip(LWS).lower() not in _URI_PARAMETERS:
            return ";".join([uri, *rest[:at]]), ";".join(rest[at:])
    return text, ""
