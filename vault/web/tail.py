"""The trail as it grows: entries sent as they are logged (server-sent events).

Guarantees:
    * Session, right and address are asked again every two seconds; the first "no" ends
      the stream, and so does its age: a browser comes back by itself, with a new leaf.
    * Who follows holds no thread while nothing happens, and few may follow at once.

Left to others: the leaf and what matches (`vault.web.trail`), how an entry is written
down (`vault.web.api.audit`, `vault.web.pages.audit`).

Spec: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Final

import structlog
from anyio.to_thread import run_sync
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from vault.audit.query import TrailQuery
from vault.audit.source import LoggedEntry
from vault.core.errors import VaultError
from vault.web.services import Services
from vault.web.streaming import ABORT, EVENT_STREAM_CUT
from vault.web.trail import TrailDesk

_RETRY_MS: Final = 3000
_EVERYBODY: Final = "*"
_ALIVE: Final = b":\n\n"

_log = structlog.get_logger()

Told = Callable[[LoggedEntry], Mapping[str, object]]
"Returns what is sent of an entry, as JSON."


class TailResponse(Response):
    """Entries as they are logged, until somebody or something ends it."""

    def __init__(
        self,
        services: Services,
        session_id: str,
        desk: TrailDesk,
        query: TrailQuery,
        told: Told,
        *,
        after: int | None = None,
    ) -> None:
        """Begin to follow; what is refused now is an error answer.

        Args:
            services: The rooms.
            session_id: Of whom slots are taken.
            desk: What follows for the asker.
            query: What of the trail.
            told: What is sent of an entry.
            after: The last index that the reader has; None for what is new.

        Raises:
            ThrottledError: The session, or everybody together, follows too often.
            AccessDeniedError: The asker may not read the trail.
            AuditUnavailableError: The leaf is not durable: nothing is shown.
        """
        self._desk = desk
        self._query = query
        self._told = told
        self._pace = services.tail_pace
        self._slots = ExitStack()
        with ExitStack() as taken:
            taken.enter_context(services.tails.taken(session_id))
            taken.enter_context(services.all_tails.taken(_EVERYBODY))
            new = desk.follow(query)
            self._next = new if after is None else min(after + 1, new)
            self._slots = taken.pop_all()
        super().__init__()
        self.raw_headers = [
            (b"cache-control", b"private, no-store"),
            (b"content-type", b"text/event-stream; charset=utf-8"),
            (b"x-accel-buffering", b"no"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the end of its life, the client's departure, or a refusal."""
        gone = asyncio.create_task(_until_gone(receive))
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": 200,
                    "headers": self.raw_headers,
                }
            )
            await self._block(send, f"retry: {_RETRY_MS}\n\n".encode())
            if await self._follow(gone, send):
                await send({"type": "http.response.body", "body": b""})
        except VaultError as error:
            _log.warning(EVENT_STREAM_CUT, error=type(error).__name__)
            # What the client has not taken yet is not waited for.
            if abort := scope.get("state", {}).get(ABORT):
                abort()
        finally:
            gone.cancel()
            self._slots.close()

    async def _follow(self, gone: asyncio.Task[None], send: Send) -> bool:
        """Return whether it ended by its age."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self._pace.life_s
        while loop.time() < ends_s:
            await asyncio.wait({gone}, timeout=self._pace.look_every_s)
            if gone.done():
                return False
            await self._block(send, await run_sync(self._look))
        return True

    def _look(self) -> bytes:
        entries, self._next = self._desk.since(self._query, self._next)
        events = [
            f"id: {one.index}\ndata: {json.dumps(self._told(one))}\n\n"
            for one in entries
        ]
        return "".join(events).encode() or _ALIVE

    async def _block(self, send: Send, block: bytes) -> None:
        message = {"type": "http.response.body", "body": block, "more_body": True}
        sending = asyncio.ensure_future(send(message))
        try:
            # One that does not read is asked about all the same.
            while not (await asyncio.wait({sending}, timeout=self._pace.look_every_s))[
                0
            ]:
                await run_sync(self._desk.still_reads)
            await sending
        finally:
            sending.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
