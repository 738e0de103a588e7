"""An answer that comes in blocks from a thread, and can be cut off midway.

Guarantees:
    * The first block is made before the status line: what is damaged, refused
      or unreachable there is an error answer, without one octet.
    * A stream that has to stop midway ends the connection and never the answer:
      nobody takes a piece for the whole.
    * A client that went away is noticed, and nothing more is made for it.
    * One that does not read is asked about all the same: a stream that may not go on
      ends within seconds, with what waits for the client on this side.

Left to others: whether the stream may go on.  Whoever makes the blocks asks while they
are made; here it is asked while nobody takes them.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog
from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vault.core.errors import VaultError

_log = structlog.get_logger()
EVENT_STREAM_CUT: Final = "stream-cut"
ABORT: Final = "abort_connection"
"What the server puts into the state of a request: ends its connection at once."

ASK_EVERY_S: Final = 1.0
StillAllowed = Callable[[], None]
"Raises a `VaultError` once the stream may not go on; may block."


def asked_again(
    blocks: Iterator[bytes], still_allowed: StillAllowed
) -> Iterator[bytes]:
    """Return *blocks*, asking every second whether there may be another one.

    Raises:
        VaultError: Whatever *still_allowed* says.
    """
    asked_s = time.monotonic()
    try:
        for block in blocks:
            if time.monotonic() - asked_s >= ASK_EVERY_S:
                still_allowed()
                asked_s = time.monotonic()
            yield block
    finally:
        _end(blocks)


class CuttableResponse(Response):
    """Blocks from a thread to a client, or a connection that ends early."""

    def __init__(
        self,
        blocks: Iterator[bytes],
        *,
        status_code: int,
        headers: dict[str, str],
        still_allowed: StillAllowed | None = None,
    ) -> None:
        """Pull the first block now, so that what it raises becomes the answer."""
        self._blocks = blocks
        self._still_allowed = still_allowed
        self._first = next(blocks, b"")
        super().__init__(status_code=status_code)
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]

    async def __call__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Send until the end, the client's departure, or a refusal."""
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            if await self._send_blocks(gone, send):
                await send({"type": "http.response.body", "body": b""})
        except _StalledError:
            # What the client has not taken yet is not waited for.
            if abort := scope.get("state", {}).get(ABORT):
                abort()
        finally:
            gone.cancel()
            await run_sync(self._close)

    async def _send_blocks(self, gone: asyncio.Task[None], send: Send) -> bool:
        """Return whether the whole answer was sent."""
        block: bytes | None = self._first
        while block is not None:
            if gone.done():
                return False
            if block:
                await self._send_block(block, send)
            try:
                block = await run_sync(next, self._blocks, None)
            except VaultError as error:
                # The status line is out.  Returning without the last body
                # message makes the server close the connection, which is the
                # only honest way to say "not all of it".
                _log.warning(EVENT_STREAM_CUT, error=type(error).__name__)
                return False
        return True

    async def _send_block(self, block: bytes, send: Send) -> None:
        message = {"type": "http.response.body", "body": block, "more_body": True}
        sending = asyncio.ensure_future(send(message))
        try:
            while not (await asyncio.wait({sending}, timeout=ASK_EVERY_S))[0]:
                if self._still_allowed is None:
                    continue
                try:
                    await run_sync(self._still_allowed)
                except VaultError as error:
                    _log.warning(EVENT_STREAM_CUT, error=type(error).__name__)
                    raise _StalledError from None
            await sending
        finally:
            sending.cancel()

    def _close(self) -> None:
        _end(self._blocks)


def _end(blocks: Iterator[bytes]) -> None:
    close = getattr(blocks, "close", None)
    if close is not None:
        close()


class _StalledError(Exception):
    """The client does not read what it may not have any more."""


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
