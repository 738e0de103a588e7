"""uvicorn, the way Callvault runs it: strict limits, quiet, TLS where it is asked for.

Guarantees: TLS 1.2 or newer; no server banner; a request line or header that is
too large ends the connection; shutting down waits for answers in progress, and for
nobody who asks for nothing; whoever called `serve` goes on after it.
"""

import asyncio
import signal
import socket
import ssl
from collections.abc import Callable
from typing import Final, Literal

import uvicorn
from fastapi import FastAPI

from vault.config import Endpoint, Settings
from vault.core.errors import ConfigurationError

_HEADER_BYTES: Final = 16 * 1024
_IDLE_S: Final = 20
_LAST_ANSWERS_S: Final = 8
_GOODBYE_S: Final = 1.0
"How long a client that asks for nothing may take to close its connection."


async def serve(
    app: FastAPI,
    settings: Settings,
    name: Literal["web", "forks"],
    *,
    started: Callable[[], None],
) -> None:
    """Serve *app* until SIGTERM or SIGINT, and finish the answers in progress.

    Args:
        app: The application.
        settings: Where to listen, and with which certificate.
        name: Which listener of the settings.
        started: Called when connections are answered.

    Raises:
        ConfigurationError: The port is taken, or TLS cannot be set up.
    """
    endpoint: Endpoint = getattr(settings, f"{name}_listen")
    cert, key = settings.tls_for(name)
    config = uvicorn.Config(
        app,
        http="h11",
        h11_max_incomplete_event_size=_HEADER_BYTES,
        ws="none",
        # The web application ends leases and listening sessions when it ends.
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
        ssl_certfile=str(cert) if cert else None,
        ssl_keyfile=str(key) if key else None,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as exc:
        raise ConfigurationError(f"{name}: TLS: {exc}") from None
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Bound here: uvicorn would end the process without a word of its own.
        listener = socket.create_server(
            (endpoint.host, endpoint.port),
            family=socket.AF_INET6 if ":" in endpoint.host else socket.AF_INET,
            backlog=512,
        )
    except OSError as exc:
        raise ConfigurationError(f"{name}_listen {endpoint}: {exc.strerror}") from None
    # uvicorn raises the signal that ended it once more, for whoever had a handler
    # before.  Its callers have things to end in order, calls among them: nothing
    # that was asked for already may end the process before they have.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    with listener:
        await _Announced(config, started).serve(sockets=[listener])


class _Announced(uvicorn.Server):
    """A server that says when it has begun."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        loop = asyncio.get_running_loop()
        goodbye = loop.call_later(_GOODBYE_S, self._abort_idle)
        try:
            await super().shutdown(sockets)
        finally:
            goodbye.cancel()

    def _abort_idle(self) -> None:
        """End connections on which nothing is being answered.

        They were closed in order.  Over TLS that waits for the peer's own goodbye,
        which a client between two requests does not send: without this, stopping
        takes as long as the slowest answer might.
        """
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            if cycle is None or cycle.response_complete:
                connection.transport.abort()
