"""The web application behind a real server on a real port, in a thread."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, Literal

import uvicorn

_START_WITHIN_S: Final = 20.0


@contextmanager
def serving(app: Any, *, parser: Literal["h11", "httptools"] = "h11") -> Iterator[int]:
    """Give the port that *app* is served on, as it is in production."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=parser,
        ws="none",
        log_level="critical",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="uvicorn")
    thread.start()
    try:
        yield _port(server)
    finally:
        server.should_exit = True
        thread.join(timeout=20)


def _port(server: uvicorn.Server) -> int:
    deadline = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < deadline:
        if server.started:
            port: int = server.servers[0].sockets[0].getsockname()[1]
            return port
        threading.Event().wait(0.02)
    raise RuntimeError("the server did not start")
