"""uvicorn, the way Callvault runs it: strict limits, quiet, TLS where it is asked for.

Guarantees: no server banner; so many connections and not more, each with its clocks;
shutting down waits for answers in progress, and for nobody who asks for nothing;
whoever called `serve` goes on after it.

Left to others: TLS (`vault.serving.tls`), counting connections
(`vault.serving.listener`), one connection (`vault.serving.protocol`).
"""

import asyncio
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Final, Literal

import structlog
import uvicorn
from starlette.types import ASGIApp

from vault.config import Settings
from vault.core.endpoints import Endpoint
from vault.core.errors import ConfigurationError
from vault.edge.config import MAX_HEADER_BYTES, EdgeConfig
from vault.serving.listener import ConnectionLimits, CountedListener
from vault.serving.protocol import StrictHttp
from vault.serving.tls import server_context

DRAIN_FAILED: Final = "http.drain.failed"
_log = structlog.get_logger()
_IDLE_S: Final = 20
_HANDSHAKE_S: Final = 10.0
_LAST_ANSWERS_S: Final = 8
_GOODBYE_S: Final = 1.0
"How long a client that asks for nothing may take to close its connection."


async def serve(
    app: ASGIApp,
    settings: Settings,
    name: Literal["web", "forks"],
    *,
    started: Callable[[], None],
    drain: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve *app* until SIGTERM or SIGINT, and finish the answers in progress.

    Args:
        app: The application.
        settings: Where to listen, and with which certificate.
        name: Which listener of the settings.
        started: Called when connections are answered.
        drain: Awaited after the first signal, while requests are still answered; a
            second signal ends the waiting.

    Raises:
        ConfigurationError: The port is taken, or TLS cannot be set up.
    """
    endpoint: Endpoint = getattr(settings, f"{name}_listen")
    cert, key = settings.tls_for(name)
    tls = server_context(cert, key, name=name) if cert and key else None
    limits = ConnectionLimits(
        total=getattr(settings, f"{name}_max_connections"),
        per_address=getattr(settings, f"{name}_max_connections_per_address"),
        trusted_proxies=settings.trusted_proxies,
    )
    listener = bound(endpoint, limits, name=f"{name}_listen")
    await serve_on(listener, app, tls=tls, started=started, drain=drain)


def bound(
    endpoint: Endpoint, limits: ConnectionLimits, *, name: str
) -> CountedListener:
    """Return a socket that listens at *endpoint*.

    Raises:
        ConfigurationError: It cannot; the message says *name*.
    """
    try:
        # Bound here: uvicorn would end the process without a word of its own.
        return CountedListener.bound(endpoint.host, endpoint.port, limits)
    except OSError as exc:
        raise ConfigurationError(f"{name} {endpoint}: {exc.strerror}") from None


async def serve_on(
    listener: CountedListener,
    app: ASGIApp,
    *,
    tls: ssl.SSLContext | None,
    started: Callable[[], None],
    drain: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Serve *app* on *listener*, which is closed in the end; see `serve`."""
    # uvicorn raises the signal that ended it once more, for whoever had a handler
    # before.  Its callers have things to end in order, calls among them: nothing
    # that was asked for already may end the process before they have.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    with listener:
        server = Announced(http_config(app), started, drain, tls=tls)
        await server.serve(sockets=[listener])


def edge_config(
    settings: Settings, name: Literal["web", "forks"], *, max_body_bytes: int | None
) -> EdgeConfig:
    """Return what the edge of the listener *name* is told."""
    return EdgeConfig(
        requests_per_minute=getattr(settings, f"{name}_requests_per_minute"),
        trusted_proxies=settings.trusted_proxies,
        proxy_header=settings.trusted_proxy_header,
        allow=getattr(settings, f"{name}_allow"),
        deny=getattr(settings, f"{name}_deny"),
        # Whoever sits at the machine can take back what shuts everybody out.
        spares_loopback=name == "web",
        max_body_bytes=max_body_bytes,
    )


def http_config(app: ASGIApp) -> uvicorn.Config:
    """Return how *app* is served."""
    return uvicorn.Config(
        app,
        http=StrictHttp,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        ws="none",
        # The web application ends leases and listening sessions when it ends.
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )


class Announced(uvicorn.Server):
    """A server that says when it has begun, and may end in two steps."""

    def __init__(
        self,
        config: uvicorn.Config,
        started: Callable[[], None],
        drain: Callable[[], Awaitable[None]] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(config)
        self._tls = tls
        self._announce = started
        self._drain = drain
        self._draining: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain at the first signal, to end at the second."""
        if self._drain is None or self._loop is None:
            super().handle_exit(sig, frame)
            return
        # In a signal handler: nothing of the loop may be touched from here.
        drain, self._drain = self._drain, None
        self._loop.call_soon_threadsafe(self._begin_to_drain, drain, sig)

    def _begin_to_drain(self, drain: Callable[[], Awaitable[None]], sig: int) -> None:
        async def drained() -> None:
            try:
                await drain()
            except Exception as error:  # noqa: BLE001 - whatever it was, it must end
                _log.error(DRAIN_FAILED, problem=type(error).__name__)
            self.handle_exit(sig, None)

        self._draining = asyncio.create_task(drained())

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer; as uvicorn does, with a limit for the TLS handshake."""
        loop = self._loop = asyncio.get_running_loop()
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise RuntimeError("the application did not start")
        tls = self._tls
        self.servers = [
            await loop.create_server(
                self._protocol,
                sock=listener,
                ssl=tls,
                ssl_handshake_timeout=_HANDSHAKE_S if tls else None,
                ssl_shutdown_timeout=_HANDSHAKE_S if tls else None,
            )
            for listener in sockets or ()
        ]
        self.started = True
        self._announce()

    def _protocol(self) -> asyncio.Protocol:
        return StrictHttp(self.config, self.server_state, self.lifespan.state)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the answers in progress, and leave whoever asks for nothing."""
        if self._draining is not None:
            self._draining.cancel()
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
