"""How long an answer may take to begin.

Guarantees: whoever asks hears something within the limit, even if the work goes on in
a thread that nothing can stop.

Left to others: clients that do not read their answer (`vault.serving.protocol`).
"""

import asyncio
from typing import Final

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vault.edge.config import EdgeConfig
from vault.edge.problems import NO_ANSWER, refuse

LATE: Final = "edge.answer.late"
_log = structlog.get_logger()


class Deadline:
    """Wraps an application; one for as long as it serves."""

    def __init__(self, app: ASGIApp, config: EdgeConfig) -> None:
        self._app = app
        self._answer_within_s = config.answer_within_s
        self._abandoned: set[asyncio.Future[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, or say in time that it takes too long."""
        begun = asyncio.Event()
        is_late = False

        async def timely(message: Message) -> None:
            # Somebody else has answered a request that is late.
            if not is_late:
                begun.set()
                await send(message)

        async def present() -> Message:
            return {"type": "http.disconnect"} if is_late else await receive()

        serving = asyncio.ensure_future(self._app(scope, present, timely))
        beginning = asyncio.create_task(begun.wait())
        try:
            await asyncio.wait(
                {serving, beginning},
                timeout=self._answer_within_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if serving.done() or begun.is_set():
                await serving
                return
            is_late = True
        except asyncio.CancelledError:
            serving.cancel()
            raise
        finally:
            beginning.cancel()
        # A thread cannot be stopped, and what is half done is better finished: to who
        # serves it looks as if the client had gone away.
        self._abandoned.add(serving)
        serving.add_done_callback(self._abandoned.discard)
        _log.error(LATE, within_s=self._answer_within_s)
        await refuse(NO_ANSWER, send)
