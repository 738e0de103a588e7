"""multipart/mixed as recording clients really send it, split byte for byte.

Guarantees:
    * `split` raises `MalformedSignallingError` or returns; nothing else, whatever
      the octets, in time linear in their number.
    * The octets of a part are those that came: no charset, no line end is touched.
    * At most 64 parts and 4 levels.

Left to others: SDP (`vault.sip.sdp`) and metadata (`vault.siprec.metadata`).

Spec: RFC 2046, section 5.1; RFC 3261, section 7.4; RFC 7866, section 9.1.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.sip.framing import header_lines
from vault.sip.messages import NO_HEADERS, Headers
from vault.sip.uris import Parameters

MAX_PARTS: Final = 64
MAX_DEPTH: Final = 4
_MAX_BOUNDARY: Final = 256
_MAX_PART_HEAD: Final = 16_384
_MAX_LOOKS: Final = 2_048
"Lines that begin like a boundary and are none: nobody's body has a tenth of it."

_METADATA: Final = frozenset({"application/rs-metadata", "application/rs-metadata+xml"})
_HEADER: Final = re.compile(rb"[A-Za-z0-9.!%*_+`'~-]++[ \t]*+:")
_LF: Final = 10
_FIRST_LINE: Final = re.compile(rb"[ \t\r\n]*+--([^\r\n]++)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part that is no multipart itself; nested ones are laid flat, in order."""

    content_type: str
    "``type/subtype`` in lower case without parameters; empty where it is absent."
    disposition: str = ""
    "``Content-Disposition`` in lower case without parameters; empty where absent."
    headers: Headers = NO_HEADERS
    octets: bytes = field(repr=False)

    @property
    def is_sdp(self) -> bool:
        """An offer or answer, by its type or, where it has none, its first line."""
        if not self.content_type:
            return self.octets.lstrip(b"\r\n").startswith(b"v=0")
        return self.content_type == "application/sdp"

    @property
    def is_metadata(self) -> bool:
        """Recording metadata, by its type or, where that is odd, its disposition."""
        return self.content_type in _METADATA or (
            self.disposition == "recording-session" and not self.is_sdp
        )


def split(content_type: str, body: bytes) -> tuple[Part, ...]:
    """Split a body into its parts; a body that is no multipart is one part.

    Args:
        content_type: The message's ``Content-Type``, raw.
        body: Its body.

    Raises:
        MalformedSignallingError: A multipart without a boundary that can be found,
            with too many parts or too deep.
    """
    headers = Headers([("Content-Type", content_type)]) if content_type else NO_HEADERS
    found: list[Part] = []
    _collect(headers, body, 0, found)
    return tuple(found)


def _collect(headers: Headers, octets: bytes, depth: int, found: list[Part]) -> None:
    content_type = headers.get("content-type") or ""
    if not _bare(content_type).startswith("multipart/"):
        found.append(
            Part(
                content_type=_bare(content_type),
                disposition=_bare(headers.get("content-disposition") or ""),
                headers=headers,
                octets=octets,
            )
        )
        if len(found) > MAX_PARTS:
            raise MalformedSignallingError(f"more than {MAX_PARTS} parts")
        return
    if depth == MAX_DEPTH:
        raise MalformedSignallingError(f"parts nested deeper than {MAX_DEPTH}")
    for piece in _pieces(content_type, octets):
        at = _head_end(piece)
        inner, _ = Headers.read(header_lines(piece[:at]))
        _collect(inner, piece[at:], depth + 1, found)


def _bare(value: str) -> str:
    """Return a value in lower case, without its parameters."""
    return value.partition(";")[0].strip().lower()


def _pieces(content_type: str, body: bytes) -> list[bytes]:
    """Return what lies between the delimiters, with its headers.

    The boundary that is announced is tried first, then the one that is used: proxies
    that rewrite a body do forget its header.
    """
    for boundary in (_announced(content_type), _used(body)):
        if 0 < len(boundary) <= _MAX_BOUNDARY and (found := _cut(body, boundary)):
            return found
    raise MalformedSignallingError("a multipart without its boundary")


def _announced(content_type: str) -> bytes:
    try:
        parameters = Parameters.parse(content_type.partition(";")[2])
    except MalformedSignallingError:
        return b""
    boundary = parameters.unquoted("boundary") or ""
    return boundary.encode("utf-8", "surrogateescape")


def _used(body: bytes) -> bytes:
    match = _FIRST_LINE.match(body)
    return match[1].rstrip(b" \t") if match else b""


def _cut(body: bytes, boundary: bytes) -> list[bytes]:
    delimiter = b"--" + boundary
    found: list[bytes] = []
    begin, at, looks = -1, body.find(delimiter), 0
    while at >= 0:
        looks += 1
        if looks > _MAX_LOOKS:
            raise MalformedSignallingError("too many lines like the boundary")
        after = at + len(delimiter)
        end = body.find(b"\n", after)
        end = len(body) if end < 0 else end
        # Only at the start of a line, and alone on it: a boundary may be the
        # beginning of another one.
        rest = body[after:end].strip(b" \t\r")
        if (at == 0 or body[at - 1] == _LF) and rest in {b"", b"--"}:
            if begin >= 0:
                found.append(_without_line_end(body[begin:at]))
            if len(found) > MAX_PARTS:
                raise MalformedSignallingError(f"more than {MAX_PARTS} parts")
            if rest:
                return found
            begin = end + 1
        at = body.find(delimiter, end)
    if begin < 0:
        return found
    # The closing delimiter is missing, or hangs on the last line: what came is taken
    # for the last part.
    last, closing = body[begin:], delimiter + b"--"
    if last.rstrip().endswith(closing):
        last = last.rstrip().removesuffix(closing)
    return [*found, last]


def _without_line_end(octets: bytes) -> bytes:
    """Take off the line end that belongs to the delimiter behind it."""
    return octets.removesuffix(b"\n").removesuffix(b"\r")


def _head_end(piece: bytes) -> int:
    """Return where a part's content begins.

    Behind the first empty line or, where that was forgotten, at the first line that
    is no header.
    """
    at = 0
    while at < min(len(piece), _MAX_PART_HEAD):
        end = piece.find(b"\n", at)
        end = len(piece) if end < 0 else end + 1
        line = piece[at:end]
        if not line.strip():
            return end
        folded = at > 0 and line[:1] in b" \t"
        if not folded and not _HEADER.match(line):
            break
        at = end
    return at
