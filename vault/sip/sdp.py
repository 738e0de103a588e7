"""SDP as lines: read leniently, written strictly, nothing thrown away.

A description is its lines: those before the first ``m=`` and, per media
section, the ``m=`` line and what follows it.  Every line keeps its number, so
that whatever is wrong with it later can still name it.

Guarantees:
    * `SessionDescription.parse` raises `MalformedSignallingError` with the line
      (from 1), or returns; no other exception, whatever the octets.
    * ``parse(str(description)) == description``; line numbers do not count.
    * No line's value is in a ``repr`` or an error: some of them hold keys.
    * At most 64 KiB, 2,000 lines and 16 media sections.

Left to others: what an offer means (`vault.sip.offer`), keys (`vault.sip.sdes`).

Spec: RFC 8866.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Self

from vault.core.errors import MalformedSignallingError

MAX_SDP_BYTES: Final = 65_536
MAX_MEDIA: Final = 16
_MAX_LINES: Final = 2_000
_MAX_LINE: Final = 4_096
_MAX_FORMATS: Final = 64
_MAX_PORT: Final = 65_535

_LINE: Final = re.compile(r"([a-zA-Z])=(.*)", re.DOTALL)
# C0 without TAB, DEL, C1 and lone surrogates: RFC 8866's byte-string excludes
# NUL, CR and LF; the rest only ever came with attacks on logs and terminals.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\ud800-\udfff]")
_MEDIA: Final = re.compile(
    r"([A-Za-z0-9_.-]{1,32}) +([0-9]{1,9})(?:/([0-9]{1,9}))?"
    r" +([A-Za-z0-9/_.-]{1,64}) +([\x21-\x7e][\x20-\x7e]*)"
)
_CONNECTION: Final = re.compile(r"IN +(IP4|IP6) +([0-9A-Za-z.:%/_-]{1,255})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One ``type=value`` line."""

    type: str
    value: str = field(repr=False)
    number: int = field(default=0, compare=False)
    "Where it stood, from 1; 0 for a line that we made."

    def __str__(self) -> str:
        return f"{self.type}={self.value}\r\n"

    @property
    def attribute(self) -> tuple[str, str]:
        """Name (lower case) and value of an ``a=`` line; the value may be empty."""
        name, _, value = self.value.partition(":")
        return name.strip().lower(), value.strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaSection:
    """An ``m=`` line, read, and the lines that belong to it."""

    media: str
    port: int
    port_count: int = 1
    profile: str
    formats: tuple[str, ...]
    lines: tuple[Line, ...] = ()
    number: int = field(default=0, compare=False)

    def __str__(self) -> str:
        count = f"/{self.port_count}" if self.port_count != 1 else ""
        head = f"m={self.media} {self.port}{count} {self.profile}"
        return f"{head} {' '.join(self.formats)}\r\n" + "".join(map(str, self.lines))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDescription:
    """A whole description: session lines, then media sections."""

    lines: tuple[Line, ...]
    media: tuple[MediaSection, ...]

    def __str__(self) -> str:
        """Spell it as RFC 8866 wants it: CRLF after every line."""
        return "".join(map(str, (*self.lines, *self.media)))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a description from a peer.

        CRLF, LF and CR end a line; blank lines and a leading ``SDP:`` (ffmpeg
        prints one) are skipped; unknown types and attributes are kept.

        Raises:
            MalformedSignallingError: Not SDP, or beyond the limits; ``line``
                says where.
        """
        lines = _lines(text)
        starts = [at for at, line in enumerate(lines) if line.type == "m"]
        if len(starts) > MAX_MEDIA:
            raise MalformedSignallingError(
                f"more than {MAX_MEDIA} media sections", line=lines[starts[-1]].number
            )
        head = lines[: starts[0]] if starts else lines
        return cls(
            lines=tuple(head),
            media=tuple(
                _section(lines[start], lines[start + 1 : end])
                for start, end in pairwise([*starts, len(lines)])
            ),
        )


def attributes(lines: Iterable[Line], name: str) -> list[Line]:
    """Return the ``a=`` lines called *name*."""
    return [line for line in lines if line.type == "a" and line.attribute[0] == name]


def _lines(text: str) -> list[Line]:
    if len(text) > MAX_SDP_BYTES or len(text.encode(errors="replace")) > MAX_SDP_BYTES:
        raise MalformedSignallingError("longer than 64 KiB", line=1)
    # Not splitlines(): U+2028 and friends are characters of a value here.
    texts = re.split(r"\r\n|\n|\r", text)
    if len(texts) > _MAX_LINES:
        raise MalformedSignallingError("too many lines", line=_MAX_LINES + 1)
    found = [
        _line(content, number)
        for number, content in enumerate(texts, start=1)
        if content.strip() and not (number == 1 and content.strip() == "SDP:")
    ]
    if not found or (found[0].type, found[0].value.strip()) != ("v", "0"):
        number = found[0].number if found else 1
        raise MalformedSignallingError("SDP starts with v=0", line=number)
    return found


def _line(content: str, number: int) -> Line:
    match = _LINE.fullmatch(content.rstrip(" \t"))
    if match is None:
        raise MalformedSignallingError("not a type=value line", line=number)
    if len(content) > _MAX_LINE:
        raise MalformedSignallingError("the line is too long", line=number)
    if _CONTROL.search(content):
        raise MalformedSignallingError("a control character", line=number)
    line = Line(type=match[1].lower(), value=match[2], number=number)
    if line.type == "c" and not _CONNECTION.fullmatch(line.value.strip()):
        raise MalformedSignallingError("not a connection line", line=number)
    return line


def _section(head: Line, lines: list[Line]) -> MediaSection:
    match = _MEDIA.fullmatch(head.value.strip())
    if match is None:
        raise MalformedSignallingError("not a media line", line=head.number)
    media, port, count, profile, formats = match.groups()
    if int(port) > _MAX_PORT or int(port) + 2 * int(count or 1) > _MAX_PORT + 2:
        raise MalformedSignallingError("no such port", line=head.number)
    if count is not None and int(count) == 0:
        raise MalformedSignallingError("zero ports", line=head.number)
    if len(formats.split()) > _MAX_FORMATS:
        raise MalformedSignallingError("too many formats", line=head.number)
    return MediaSection(
        media=media.lower(),
        port=int(port),
        port_count=int(count or 1),
        profile=profile,
        formats=tuple(formats.split()),
        lines=tuple(lines),
        number=head.number,
    )


def attribute_line(name: str, value: str = "") -> Line:
    """Return ``a=name:value``, or ``a=name`` for a flag."""
    return Line(type="a", value=f"{name}:{value}" if value else name)
