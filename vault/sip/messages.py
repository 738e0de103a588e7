"""SIP messages: read leniently where the field needs it, written strictly.

Guarantees:
    * `parse_message` raises `MalformedSignallingError` or returns; nothing else,
      whatever the octets, in time linear in their number.
    * ``parse_message(bytes(message)) == message`` once it has a Content-Length.
    * No header that may be said once is taken from a message that says it twice.
    * ``bytes(message)`` never holds a CR or LF that a value brought in.
    * No value of a header, no URI and no body is in a ``repr`` or an error.

Left to others: what single values mean (`vault.sip.headers`), where a message ends
on a stream (`vault.sip.framing`), 405, 416, 420, 483 and all that needs to know what
we support (`vault.sip.user_agent`).

Spec: RFC 3261, sections 7, 8.1.1, 8.2.6 and 25.1; RFC 4475.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.sip.framing import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    body_length,
    head_end,
    header_lines,
)
from vault.sip.header_fields import NO_HEADERS, Headers
from vault.sip.headers import TOKEN, CSeq, NameAddr, Via
from vault.sip.uris import number, split_list

# `Headers` has a module of its own for its length; it is imported from here.
__all__ = [
    "MAX_HEADERS",
    "MAX_HOPS",
    "NO_HEADERS",
    "Headers",
    "MalformedMessageError",
    "Request",
    "Response",
    "parse_message",
    "respond",
]

MAX_HEADERS: Final = 1_000
MAX_HOPS: Final = 256
"Elements of Via, Route and Record-Route; a request may be forwarded 255 times."

_MAX_FORWARDS: Final = 255

_ONCE: Final = (
    "call-id",
    "cseq",
    "from",
    "to",
    "max-forwards",
    "content-length",
    "content-type",
)
_ANSWERABLE: Final = ("via", "from", "to", "call-id", "cseq")
_REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    408: "Request Timeout",
    413: "Request Entity Too Large",
    414: "Request-URI Too Long",
    415: "Unsupported Media Type",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    421: "Extension Required",
    422: "Session Interval Too Small",
    423: "Interval Too Brief",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    491: "Request Pending",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    505: "Version Not Supported",
    513: "Message Too Large",
    603: "Decline",
}
_COPIED: Final = frozenset({"via", "from", "call-id", "cseq", "timestamp"})
_VERSION: Final = "SIP/2.0"
_BREAKS: Final = re.compile(r"[\r\n]")
_NOT_IN_TARGET: Final = re.compile(r'[\x00-\x20<>"\x7f]')


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request; *uri* as it was spelled."""

    method: str
    uri: str = field(repr=False)
    headers: Headers = NO_HEADERS
    body: bytes = field(default=b"", repr=False)

    def __bytes__(self) -> bytes:
        """Write it with the right Content-Length.

        Raises:
            ValueError: The method is no token, or the URI would end its line.
        """
        if not TOKEN.fullmatch(self.method) or _NOT_IN_TARGET.search(self.uri):
            raise ValueError("not a method and a URI")
        return _written(
            f"{self.method} {self.uri} SIP/2.0\r\n", self.headers, self.body
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """A response."""

    status: int
    reason: str = ""
    headers: Headers = NO_HEADERS
    body: bytes = field(default=b"", repr=False)

    def __bytes__(self) -> bytes:
        """Write it with the right Content-Length.

        Raises:
            ValueError: No such status, or the reason would end its line.
        """
        if not 100 <= self.status <= 699 or _BREAKS.search(self.reason):  # noqa: PLR2004 - RFC 3261, section 7.2
            raise ValueError("not a status line")
        return _written(
            f"SIP/2.0 {self.status} {self.reason}\r\n", self.headers, self.body
        )


class MalformedMessageError(MalformedSignallingError):
    """A SIP message that is refused, and what of it is good enough to say so."""

    def __init__(
        self, message: str, *, partial: Request | None = None, status: int = 400
    ) -> None:
        """Keep what `respond` needs.

        Args:
            message: What is wrong; never a value of the message.
            partial: The request, each header that may be said once at most once;
                None for a response, and where Via, From, To, Call-ID or CSeq could
                not be read: it is dropped.
            status: How it is to be refused.
        """
        super().__init__(message)
        self.partial = partial
        self.status = status


def parse_message(octets: bytes) -> Request | Response:
    """Read one datagram, or one message as `Framer` cut it.

    Octets after the Content-Length of a datagram are dropped (RFC 3261, section
    18.3); without one, the body goes to the end.

    Raises:
        MalformedMessageError: Not a message, or one that contradicts itself.
    """
    octets = octets.lstrip(b"\r\n")
    end = head_end(octets, 0, MAX_HEAD_BYTES)
    if end < 0 and len(octets) >= MAX_HEAD_BYTES:
        raise MalformedMessageError("the head is too long", status=513)
    lines = header_lines(octets[:end] if end >= 0 else octets)
    if not lines:
        raise MalformedMessageError("nothing was said")
    headers, fault = Headers.read(lines[1 : MAX_HEADERS + 1])
    fault = fault if end >= 0 else "the head does not end"
    try:
        _check(headers, fault, len(lines))
        body = _body(octets, end, body_length(lines))
        return _message(lines[0], headers, body)
    except MalformedSignallingError as exc:
        raise MalformedMessageError(
            str(exc),
            partial=_partial(lines[0], headers),
            status=exc.status if isinstance(exc, MalformedMessageError) else 400,
        ) from None


def respond(
    request: Request,
    status: int,
    reason: str = "",
    *,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    content_type: str = "",
    to_tag: str = "",
) -> Response:
    """Make the answer to *request*: Via, From, To, Call-ID, CSeq, Timestamp copied.

    Args:
        request: As it was received; its topmost Via with ``received``/``rport``.
        status: 100 to 699.
        reason: "" for the usual phrase.
        headers: What else to say.
        body: The body, if any.
        content_type: Of the body.
        to_tag: Put on To where it has none.

    Spec: RFC 3261, section 8.2.6.
    """
    rows = [(name, value) for name, value in request.headers if name.lower() in _COPIED]
    rows += [("To", _tagged(to, to_tag)) for to in request.headers.all("to")]
    rows += headers
    if content_type:
        rows.append(("Content-Type", content_type))
    return Response(
        status=status,
        reason=reason or _REASONS.get(status, "Unknown"),
        headers=Headers(rows),
        body=body,
    )


def _check(headers: Headers, fault: str, lines: int) -> None:
    """See that what every message must say once is said once, and can be read."""
    if lines > MAX_HEADERS:
        raise MalformedMessageError("too many headers", status=513)
    if fault:
        raise MalformedSignallingError(fault)
    for name in _ONCE:
        if len(headers.all(name)) > 1:
            raise MalformedSignallingError("a header twice that may be there once")
    CSeq.parse(headers.one("cseq"))
    NameAddr.parse(headers.one("from"))
    NameAddr.parse(headers.one("to"))
    if not headers.one("call-id"):
        raise MalformedSignallingError("an empty Call-ID")
    number(headers.get("max-forwards") or "0", _MAX_FORWARDS)
    for name in ("via", "route", "record-route"):
        # Each is split again and again on the way of a request.
        if sum(row.count(",") + 1 for row in headers.all(name)) > MAX_HOPS:
            raise MalformedMessageError("too many hops", status=513)
    _top_via(headers)
    if any(not piece for row in headers.all("via") for piece in split_list(row)):
        raise MalformedSignallingError("an empty Via")


def _top_via(headers: Headers) -> Via:
    rows = headers.all("via")
    if not rows:
        raise MalformedSignallingError("no Via")
    return Via.parse(split_list(rows[0])[0])


def _body(octets: bytes, end: int, length: int | None) -> bytes:
    body = octets[end:] if length is None else octets[end : end + length]
    if length is not None and len(body) < length:
        raise MalformedSignallingError("less body than Content-Length says")
    if len(body) > MAX_BODY_BYTES:
        raise MalformedMessageError("the body is too long", status=513)
    return body


def _message(start: str, headers: Headers, body: bytes) -> Request | Response:
    if start[:4].upper() == "SIP/":
        version, _, rest = start.partition(" ")
        code, space, reason = rest[:3], rest[3:4], rest[4:]
        if (
            version.upper() != _VERSION
            or space not in {"", " "}
            or code[:1] not in "123456"
        ):
            raise MalformedSignallingError("not a status line")
        return Response(
            status=number(code, 699), reason=reason, headers=headers, body=body
        )
    method, _, rest = start.partition(" ")
    uri, _, version = rest.strip(" ").partition(" ")
    version = version.lstrip(" ")
    if not TOKEN.fullmatch(method) or not uri or " " in version:
        raise MalformedSignallingError("not a request line")
    if version.upper() != _VERSION:
        is_sip = version[:4].upper() == "SIP/"
        raise MalformedMessageError("another version", status=505 if is_sip else 400)
    if _NOT_IN_TARGET.search(uri):
        raise MalformedSignallingError("a character that no URI has")
    if CSeq.parse(headers.one("cseq")).method != method:
        raise MalformedSignallingError("CSeq names another method")
    return Request(method=method, uri=uri, headers=headers, body=body)


def _partial(start: str, headers: Headers) -> Request | None:
    """Return what a refusal can be addressed with; None where that is too little."""
    if start[:4].upper() == "SIP/":
        return None
    if not all(headers.get(name) for name in _ANSWERABLE):
        return None
    try:
        _top_via(headers)
    except MalformedSignallingError:
        return None
    said: set[str] = set()
    rows = []
    for name, value in headers:
        key = name.lower()
        if key not in said or key not in _ONCE:
            rows.append((name, value))
        said.add(key)
    method, _, uri = start.partition(" ")
    return Request(method=method, uri=uri.strip(" "), headers=Headers(rows))


def _tagged(to: str, tag: str) -> str:
    """Put our tag on a To that has none; what can't be read goes back as it came."""
    try:
        address = NameAddr.parse(to)
    except MalformedSignallingError:
        return to
    if not tag or address.tag:
        return to
    return str(replace(address, parameters=address.parameters.with_("tag", tag)))


def _written(start: str, headers: Headers, body: bytes) -> bytes:
    lines, length = [start], f"Content-Length: {len(body)}\r\n"
    for name, value in headers:
        if name.lower() == "content-length":
            # Where it stood, and what is true: written once, whatever was said.
            lines.append(length)
            length = ""
        else:
            lines.append(f"{name}: {value}\r\n")
    head = "".join([*lines, length, "\r\n"])
    return head.encode("utf-8", "surrogateescape") + body
