"""The web application behind a real server on a real port, in a thread."""

import asyncio
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import uvicorn

from vault.serving.http import Announced, http_config
from vault.serving.listener import ConnectionLimits, CountedListener

_START_WITHIN_S: Final = 20.0
MANY: Final = ConnectionLimits(total=1000, per_address=1000)


@contextmanager
def serving(
    app: Any,
    *,
    parser: Literal["h11", "httptools"] = "h11",
    limits: ConnectionLimits = MANY,
    tls: ssl.SSLContext | None = None,
    port: int = 0,
) -> Iterator[int]:
    """Give the port that *app* is served on.

    Args:
        app: An ASGI application.
        parser: ``h11`` is served as it is in production; ``httptools`` is uvicorn's
            other parser as it comes, which shows what the application does alone.
        limits: Of connections.
        tls: To serve with.
        port: Where; 0 lets the kernel choose.
    """
    if parser == "h11":
        with CountedListener.bound("127.0.0.1", port, limits) as listener:
            server: uvicorn.Server = Announced(http_config(app), lambda: None, tls=tls)
            server.config.timeout_graceful_shutdown = 1
            with _in_a_thread(server, lambda: asyncio.run(server.serve([listener]))):
                yield listener.getsockname()[1]
        return
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port,
        http=parser,
        ws="none",
        log_level="critical",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with _in_a_thread(server, server.run):
        yield server.servers[0].sockets[0].getsockname()[1]


@contextmanager
def _in_a_thread(server: uvicorn.Server, run: Any) -> Iterator[None]:
    thread = threading.Thread(target=run, name="uvicorn")
    thread.start()
    try:
        deadline = time.monotonic() + _START_WITHIN_S
        while not server.started:
            assert time.monotonic() < deadline, "the server did not start"
            threading.Event().wait(0.02)
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=20)
