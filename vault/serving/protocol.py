"""One HTTP connection: what no application sees of it, and how long it may idle.

uvicorn's h11 protocol, made stricter where h11 is lenient on purpose.

Guarantees:
    * Lines end with CRLF, none goes on in the next one, no control character is in
      any, and chunks have no extensions: else one 400, and the connection ends.
    * A head that is not complete in ten seconds ends the connection, and so does an
      answer that its client leaves unread for two minutes.

Left to others: how many connections (`vault.serving.listener`), what parsers do hand
over (`vault.edge.framing`), bodies (`vault.edge.bodies`).

Spec: RFC 9112, sections 2.2, 5.2 and 7.1.
"""

import asyncio
import re
from typing import Any, Final

import h11
from h11._receivebuffer import ReceiveBuffer
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

from vault.edge.problems import BAD_REQUEST, last_answer
from vault.web.streaming import ABORT

MAX_HEAD_WAIT_S: Final = 10.0
MAX_STALL_S: Final = 120.0
_END: Final = b"\r\n\r\n"
_BARE: Final = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_LENGTH: Final = b"content-length"
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class StrictBuffer(ReceiveBuffer):
    r"""Hands h11 the lines of a head or a trailer, or refuses them.

    h11 reads ``\n`` for ``\r\n`` and joins folded lines: a proxy in front may see
    another request there (research F8).
    """

    def maybe_extract_lines(self) -> list[bytearray] | None:
        """Return the lines up to the first empty one, once they are here.

        Raises:
            h11.RemoteProtocolError: They are none.
        """
        if self._data[:2] == b"\r\n":
            self._extract(2)
            return []
        # Seen before: all but the last three octets, which may begin an end.
        seen = max(0, self._multiple_lines_search - len(_END) + 1)
        end = self._data.find(_END, seen)
        stop = len(self._data) if end < 0 else end + len(_END)
        if _BARE.search(self._data, seen, stop):
            raise h11.RemoteProtocolError("a line ends with CRLF")
        if end < 0:
            self._multiple_lines_search = len(self._data)
            return None
        lines = self._extract(stop)[: -len(_END)].split(b"\r\n")
        lengths = [one for one in lines if one[: len(_LENGTH)].lower() == _LENGTH]
        if len(lengths) > 1:
            # h11 makes one of two that say the same; others need not.
            raise h11.RemoteProtocolError("a length twice")
        for line in lines:
            if line.startswith((b" ", b"\t")) or _CONTROL.search(line):
                raise h11.RemoteProtocolError("a folded line, or a control character")
        return lines

    def maybe_extract_next_line(self) -> bytearray | None:
        """Return the line before a chunk, once it is here.

        Raises:
            h11.RemoteProtocolError: It says more than a length.
        """
        line = super().maybe_extract_next_line()
        if line is not None and b";" in line:
            raise h11.RemoteProtocolError("a chunk with extensions")
        return line


class StrictHttp(H11Protocol):
    """uvicorn's protocol with a strict buffer and two more clocks."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        abort = {ABORT: self._abort}
        super().__init__(config, server_state, {**app_state, **abort}, _loop)
        self.conn._receive_buffer = StrictBuffer()  # noqa: SLF001 - h11 has no other way in; a test sees when it moves
        self._head = _Patience(self, MAX_HEAD_WAIT_S)
        self._stall = _Patience(self, MAX_STALL_S)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # - as uvicorn has it
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._head.begin()

    def data_received(self, data: bytes) -> None:
        """Take octets; wait for the rest of a head that they begin."""
        super().data_received(data)
        self._mind_the_clock()

    def _abort(self) -> None:
        """End the connection, and forget what the client has not taken yet."""
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop both clocks."""
        self._head.end()
        self._stall.end()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Give the client some time to read what is there."""
        super().pause_writing()
        self._stall.begin()

    def resume_writing(self) -> None:
        """The client reads."""
        self._stall.end()
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Answer what h11 could not read, as the applications answer."""
        del msg
        unanswered: RequestResponseCycle | None = self.cycle
        if unanswered is not None and not unanswered.response_complete:
            # Whatever answers a request with a broken body is not listened to.
            unanswered.disconnected = True
            unanswered.message_event.set()
        # An answer that has begun is cut off: nobody takes a piece for the whole.
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            headers, body = last_answer(BAD_REQUEST)
            for event in (
                h11.Response(
                    status_code=BAD_REQUEST.status,
                    headers=headers,
                    reason=b"Bad Request",
                ),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def on_response_complete(self) -> None:
        """Go on with the next request; the rest of this one has to come soon."""
        super().on_response_complete()
        self._mind_the_clock()

    def _mind_the_clock(self) -> None:
        # An answer may be out before the body is all here, which nobody reads.
        answered: RequestResponseCycle | None = self.cycle
        is_unread = (
            self.conn.their_state is h11.SEND_BODY
            and answered is not None
            and answered.response_complete
        )
        if is_unread or (
            self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]
        ):
            self._head.begin()
        else:
            self._head.end()


class _Patience:
    """A time after which a connection is given up."""

    def __init__(self, connection: StrictHttp, limit_s: float) -> None:
        self._connection = connection
        self._limit_s = limit_s
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Begin to wait, unless that has begun."""
        connection = self._connection
        if self._timer is None and not connection.transport.is_closing():
            self._timer = connection.loop.call_later(
                self._limit_s, connection.transport.abort
            )

    def end(self) -> None:
        """Wait no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
