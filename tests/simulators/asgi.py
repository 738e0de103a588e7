"""A synchronous HTTP client for an ASGI application: no server and no socket.

What a server does with an answer that never ends (it closes the connection) is
an `httpx.RemoteProtocolError` here, too.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import httpx

SignedInAs = Callable[..., httpx.Client]
"``signed_in(name)``: a client with that person's credential."


class AsgiTransport(httpx.BaseTransport):
    """Runs each request in an event loop of its own, or in that of *runner*."""

    def __init__(
        self,
        app: Any,
        *,
        peer: str = "192.0.2.7",
        runner: asyncio.Runner | None = None,
    ) -> None:
        self._app = app
        self._peer = peer
        self._run = asyncio.run if runner is None else runner.run

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._run(self._handle(request))

    async def _handle(self, request: httpx.Request) -> httpx.Response:
        body = request.read()
        sent: list[dict[str, Any]] = []
        asked = 0

        async def receive() -> dict[str, Any]:
            nonlocal asked
            asked += 1
            if asked == 1:
                return {"type": "http.request", "body": body, "more_body": False}
            await asyncio.Event().wait()  # the client stays
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        await self._app(self._scope(request), receive, send)
        if not sent or sent[-1].get("more_body", sent[-1]["type"].endswith("start")):
            raise httpx.RemoteProtocolError("the answer was cut off", request=request)
        start, *blocks = sent
        return httpx.Response(
            start["status"],
            headers=start["headers"],
            content=b"".join(block.get("body", b"") for block in blocks),
        )

    def _scope(self, request: httpx.Request) -> dict[str, Any]:
        raw_path = request.url.raw_path.partition(b"?")[0]
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": request.method,
            "scheme": request.url.scheme,
            "path": unquote(raw_path.decode("ascii")),
            "raw_path": raw_path,
            "query_string": request.url.query,
            "root_path": "",
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "client": (self._peer, 50_000),
            "server": (request.url.host, request.url.port),
            "state": {},
        }


def client_for(app: Any, *, peer: str = "192.0.2.7") -> httpx.Client:
    """Return a client of *app*; https, or no ``Secure`` cookie would come back."""
    return httpx.Client(
        transport=AsgiTransport(app, peer=peer), base_url="https://vault.test"
    )


def send_form(client: httpx.Client, path: str, **fields: str) -> httpx.Response:
    """Send a form as a page of that client's session has it."""
    csrf = re.search(r'data-csrf="([^"]+)"', client.get("/account").text)
    assert csrf is not None
    return client.post(path, data={"csrf": csrf[1], **fields})
