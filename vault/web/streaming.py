"""An answer that comes in blocks from a thread, and can be cut off midway.

Guarantees:
    * The first block is made before the status line: what is damaged, refused
      or unreachable there is an error answer, without one octet.
    * A stream that has to stop midway ends the connection and never the answer:
      nobody takes a piece for the whole.
    * A client that went away is noticed, and nothing more is made for it.

Left to others: whether the stream may go on (whoever makes the blocks asks
before each of them).
"""

import asyncio
from collections.abc import Iterator
from typing import Final

import structlog
from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vault.core.errors import VaultError

_log = structlog.get_logger()
EVENT_STREAM_CUT: Final = "stream-cut"


class CuttableResponse(Response):
    """Blocks from a thread to a client, or a connection that ends early."""

    def __init__(
        self, blocks: Iterator[bytes], *, status_code: int, headers: dict[str, str]
    ) -> None:
        """Pull the first block now, so that what it raises becomes the answer."""
        self._blocks = blocks
        self._first = next(blocks, b"")
        super().__init__(status_code=status_code)
        self.raw_headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in headers.items()
        ]

    async def __call__(
        self,
        scope: Scope,  # noqa: ARG002 - the shape of ASGI
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
                await send(
                    {"type": "http.response.body", "body": block, "more_body": True}
                )
            try:
                block = await run_sync(next, self._blocks, None)
            except VaultError as error:
                # The status line is out.  Returning without the last body
                # message makes the server close the connection, which is the
                # only honest way to say "not all of it".
                _log.warning(EVENT_STREAM_CUT, error=type(error).__name__)
                return False
        return True

    def _close(self) -> None:
        close = getattr(self._blocks, "close", None)
        if close is not None:
            close()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
