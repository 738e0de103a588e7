"""An S3 server in memory that says one thing and does another.

It knows as much of the protocol as the vault speaks: buckets are there, objects are
put, looked at and read by ranges.  It checks no signature; a real server does that
in `tests/contract`.  Lies are told to the next requests, as many as are asked for.
"""

import contextlib
import email.utils
import hashlib
import re
import threading
from collections.abc import Iterator
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final
from urllib.parse import urlsplit

_RANGE: Final = re.compile(r"bytes=([0-9]+)-([0-9]*)")


class Lie(Enum):
    """What goes wrong with a request."""

    ERROR_500 = "every request is answered 500"
    SLOW_DOWN = "every request is answered 503 SlowDown"
    FORBIDDEN = "every request is answered 403, as after a rotation of keys"
    SKEWED = "every request is answered 403 RequestTimeTooSkewed"
    REDIRECT_LOOP = "every request is sent to where it was sent to"
    HANG = "no request is answered"
    RESET = "the connection ends in the middle of a body"
    TRUNCATES = "200, and half of it is stored"
    FORGETS = "200, and nothing is stored"
    ALTERS = "200, and one octet is another"
    WRONG_ETAG = "200, with an ETag of something else"
    LOSES_LATER = "200, read back once, and gone"


_OF_PUTS: Final = frozenset(
    {Lie.RESET, Lie.TRUNCATES, Lie.FORGETS, Lie.ALTERS, Lie.WRONG_ETAG}
)
_CODES: Final = {
    Lie.ERROR_500: (500, "InternalError"),
    Lie.SLOW_DOWN: (503, "SlowDown"),
    Lie.FORBIDDEN: (403, "InvalidAccessKeyId"),
    Lie.SKEWED: (403, "RequestTimeTooSkewed"),
}


class LyingS3:
    """The server; `objects` is what it really holds."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        self._lie: Lie | None = None
        self._left = 0
        self._doomed: set[str] = set()
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._server.server_address[1]}"

    def lie(self, lie: Lie, times: int) -> None:
        """Tell *lie* to the next *times* requests that it is about."""
        with self._lock:
            self._lie, self._left = lie, times

    @property
    def lies_left(self) -> int:
        return self._left

    def close(self) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def lie_for(self, method: str, key: str) -> Lie | None:
        """Return what to do to this request, and count it."""
        with self._lock:
            about_puts = self._lie in _OF_PUTS
            loses = self._lie is Lie.LOSES_LATER and method == "PUT"
            if not self._left or (about_puts and method != "PUT"):
                return None
            if self._lie is Lie.LOSES_LATER and not loses:
                return None
            self._left -= 1
            if loses:
                self._doomed.add(key)
            return self._lie

    def read(self, key: str) -> bytes | None:
        with self._lock:
            octets = self.objects.get(key)
            if key in self._doomed:
                self._doomed.discard(key)
                self.objects.pop(key, None)
            return octets

    def wait_for_end(self) -> None:
        self._released.wait(30)


def _handler(store: LyingS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *given: object) -> None:
            return

        def do_HEAD(self) -> None:
            if self._spoiled() or self._of_bucket():
                return
            octets = store.objects.get(self._key)
            if octets is None:
                self._answer(404, b"")
            else:
                self._answer(200, b"", length=len(octets), octets=octets)

        def do_GET(self) -> None:
            if self._spoiled() or self._of_bucket():
                return
            octets = store.read(self._key)
            if octets is None:
                self._error(404, "NoSuchKey")
                return
            asked = _RANGE.fullmatch(self.headers.get("Range", ""))
            if asked is None:
                self._answer(200, octets, octets=octets)
                return
            first, last = int(asked[1]), int(asked[2] or len(octets))
            if first >= len(octets):
                self._error(416, "InvalidRange")
                return
            self._answer(206, octets[first : last + 1], octets=octets)

        def do_PUT(self) -> None:
            size = int(self.headers.get("Content-Length", "0"))
            lie = self._lied()
            if lie is Lie.RESET:
                self.rfile.read(size // 2)
                self.close_connection = True
                self.connection.close()
                return
            octets = self.rfile.read(size)
            if self._spoiled(lie):
                return
            store.puts.append(self._key)
            stored = {
                Lie.TRUNCATES: octets[: size // 2],
                Lie.ALTERS: octets[:-1] + bytes([octets[-1] ^ 1]) if octets else b"",
            }.get(lie, octets)  # type: ignore[arg-type] # None finds nothing
            if lie is not Lie.FORGETS:
                store.objects[self._key] = stored
            shown = b"something else" if lie is Lie.WRONG_ETAG else octets
            self._answer(200, b"", octets=shown)

        @property
        def _key(self) -> str:
            return urlsplit(self.path).path.lstrip("/")

        def _of_bucket(self) -> bool:
            if "/" in self._key:
                return False
            self._answer(200, b"<VersioningConfiguration/>")
            return True

        def _lied(self) -> Lie | None:
            # A bucket that is asked for is no object: lies are about those.
            if "/" not in self._key:
                return None
            return store.lie_for(self.command, self._key)

        def _spoiled(self, lie: Lie | None = None) -> bool:
            lie = lie if self.command == "PUT" else self._lied()
            if lie in _CODES:
                self._error(*_CODES[lie])
            elif lie is Lie.REDIRECT_LOOP:
                self.send_response(307)
                self.send_header("Location", f"http://{store.endpoint}{self.path}")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif lie is Lie.HANG:
                store.wait_for_end()
                self.close_connection = True
            else:
                return False
            return True

        def _error(self, status: int, code: str) -> None:
            body = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
            self._answer(status, body.encode())

        def _answer(
            self,
            status: int,
            body: bytes,
            *,
            length: int | None = None,
            octets: bytes = b"",
        ) -> None:
            self.send_response(status)
            self.send_header("ETag", f'"{hashlib.md5(octets).hexdigest()}"')
            self.send_header("Last-Modified", email.utils.formatdate(usegmt=True))
            self.send_header("Content-Type", "application/xml")
            size = len(body) if length is None else length
            self.send_header("Content-Length", str(size))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

    return Handler


@contextlib.contextmanager
def lying_s3() -> Iterator[LyingS3]:
    """Run a server."""
    running = LyingS3()
    try:
        yield running
    finally:
        running.close()
