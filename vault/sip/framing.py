"""Where a SIP message begins and ends: on a stream, and its head from its body.

One way of finding the end of the head and of reading ``Content-Length`` serves the
stream and the parser: where two readings of one message differ, a second one can be
smuggled in.

Guarantees:
    * What cannot be framed raises `MalformedSignallingError`, and so does every
      call after it: the connection is to be closed, there is no way back into step.
      Messages that were whole before it are handed over first.
    * Memory is bounded by the caps; time is linear in the octets fed, however they
      were cut.

Left to others: what the message says (`vault.sip.messages`), idle and slow peers
(`vault.sip.transport`).

Spec: RFC 3261, sections 7.5 and 18.3; RFC 5626, section 4.4.1.
"""

import re
from dataclasses import dataclass
from typing import Final

from vault.core.errors import MalformedSignallingError
from vault.sip.uris import LWS, number

MAX_HEAD_BYTES: Final = 65_536
MAX_BODY_BYTES: Final = 1_048_576
_FOLD: Final = re.compile(r"\n[ \t]+")
_BLANK: Final = re.compile(rb"[\r\n]*")


@dataclass(frozen=True, slots=True)
class Ping:
    """A double CRLF between messages: to be answered with one CRLF."""


def head_end(octets: bytes | bytearray, start: int = 0, end: int | None = None) -> int:
    """Return where the body begins: after the first empty line; -1 for none yet.

    Lines may end in LF alone, and in both ways in one message.
    """
    stop = len(octets) if end is None else end
    crlf = octets.find(b"\n\r\n", start, stop)
    bare = octets.find(b"\n\n", start, stop if crlf < 0 else crlf + 1)
    if bare >= 0:
        return bare + 2
    return crlf + 3 if crlf >= 0 else -1


def header_lines(head: bytes) -> list[str]:
    """Return the lines of a head, folded ones joined by a space, none of them empty.

    Octets that are no UTF-8 come back from ``encode("utf-8", "surrogateescape")``.
    A CR that ends no line stays in its line, for the reader of the line to refuse.
    """
    text = head.decode("utf-8", "surrogateescape").replace("\r\n", "\n")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    return [line for line in text.split("\n") if line]


def body_length(lines: list[str]) -> int | None:
    """Return what ``Content-Length`` says; None where it is absent.

    Raises:
        MalformedSignallingError: No number, too large, or said twice.
    """
    found: int | None = None
    for line in lines:
        if line[:1] not in "lLcC":
            continue
        name, colon, value = line.partition(":")
        if colon and name.rstrip(LWS).lower() in {"l", "content-length"}:
            # Twice the same is refused, too: some other hop may read only one.
            if found is not None:
                raise MalformedSignallingError("two Content-Length headers")
            found = number(value.strip(LWS), 2**31)
    return found


class Framer:
    """Cuts one TCP or TLS connection into messages.

    Args:
        max_head_bytes: Start line and headers, in octets.
        max_body_bytes: Body, in octets.
    """

    __slots__ = (
        "_blank_lines",
        "_buffer",
        "_fault",
        "_max_body",
        "_max_head",
        "_need",
        "_scanned",
        "_started",
    )

    def __init__(
        self,
        *,
        max_head_bytes: int = MAX_HEAD_BYTES,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._max_head = max_head_bytes
        self._max_body = max_body_bytes
        self._buffer = bytearray()
        self._fault = ""
        self._blank_lines = 0
        self._begin()

    def _begin(self) -> None:
        self._need = 0  # octets of this message; 0 while its head has not ended
        self._scanned = 0  # octets known not to hold the end of the head
        self._started = False  # the start line was whole, and was one

    @property
    def failed(self) -> bool:
        """The next call raises: handle what was returned and close."""
        return bool(self._fault)

    @property
    def waiting(self) -> bool:
        """Something has begun and not ended: its sender is being waited for."""
        return bool(self._buffer or self._fault)

    @property
    def in_head(self) -> bool:
        """What is waited for is the end of a head, not of a body."""
        return self.waiting and not self._need

    def feed(self, octets: bytes) -> list[bytes | Ping]:
        """Take what was received; return what it completed.

        A row of empty lines gives one `Ping`, however long it is.

        Raises:
            MalformedSignallingError: It cannot be framed.  Close the connection.
        """
        found: list[bytes | Ping] = []
        if not self._fault:
            self._buffer += octets
            try:
                self._cut(found)
            except MalformedSignallingError as exc:
                self._fault = str(exc)
                self._buffer.clear()
        if self._fault and not found:
            raise MalformedSignallingError(self._fault)
        return found

    def _cut(self, found: list[bytes | Ping]) -> None:
        while self._buffer:
            if not self._need:
                self._skip_blank_lines(found)
                self._read_head()
            if not self._need or len(self._buffer) < self._need:
                return
            found.append(bytes(self._buffer[: self._need]))
            del self._buffer[: self._need]
            self._blank_lines = 0
            self._begin()

    def _skip_blank_lines(self, found: list[bytes | Ping]) -> None:
        match = _BLANK.match(self._buffer)
        blank = match.end() if match else 0
        del match  # it pins the buffer, which could not shrink
        if not blank:
            return
        self._blank_lines += self._buffer.count(b"\n", 0, blank)
        del self._buffer[:blank]
        if self._blank_lines >= 2:  # noqa: PLR2004 - a ping is two line ends
            self._blank_lines %= 2
            found.append(Ping())

    def _read_head(self) -> None:
        self._check_start()
        # The end may have begun in octets that were looked at before.
        end = head_end(self._buffer, max(0, self._scanned - 2), self._max_head)
        if end < 0:
            self._scanned = len(self._buffer)
            if self._scanned >= self._max_head:
                raise MalformedSignallingError("the head is too long")
            return
        lines = header_lines(bytes(self._buffer[:end]))
        _check_step(lines)
        length = body_length(lines)
        if length is None:
            raise MalformedSignallingError("no Content-Length on a stream")
        if length > self._max_body:
            raise MalformedSignallingError("the body is too long")
        self._need = end + length

    def _check_start(self) -> None:
        """See at its first line that something is no SIP: TLS, HTTP, a stray body."""
        if self._started:
            return
        end = self._buffer.find(b"\n", self._scanned)
        if end < 0:
            return
        line = bytes(self._buffer[:end]).rstrip(b" \t\r")
        last = line.rpartition(b" ")[2]
        if line[:4].upper() != b"SIP/" and last[:4].upper() != b"SIP/":
            raise MalformedSignallingError("not a start line")
        self._started = True


def _check_step(lines: list[str]) -> None:
    """See that the rest of a body was not taken for the beginning of a start line.

    After a length too small ``abcBYE sip:... SIP/2.0`` would pass for a request; its
    CSeq does not know that method.
    """
    method = lines[0].partition(" ")[0]
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        if not colon or name.rstrip(LWS).lower() != "cseq":
            continue
        if method[:4].upper() != "SIP/" and value.split()[-1:] != [method]:
            raise MalformedSignallingError("the head is of another start line")
