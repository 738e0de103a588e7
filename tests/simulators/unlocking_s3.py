"""An S3 server in memory that promises Object Lock, and keeps what it is told to keep.

It knows as much of the protocol as `vault.objects.s3_locks` speaks: versions, locks on
them, and four ways of not meaning it.  A real server is in `tests/contract`.
"""

import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_NS = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass
class UnlockingS3:
    """The server; *lie* is what it does though it should not."""

    lie: str
    """``deletes``, ``bypasses``, ``shortens``, ``forgets``, ``unversioned``, ``busy``
    (neither does what it must not do nor says that it will not) or empty."""
    versions: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    "Octets and the end of the lock, by version."
    endpoint: str = ""


@contextmanager
def running(lie: str) -> Iterator[UnlockingS3]:
    """Serve on loopback while the block runs."""
    store = UnlockingS3(lie)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(store))
    server.daemon_threads = True
    store.endpoint = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(store: UnlockingS3) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *given: object) -> None:
            return

        def do_HEAD(self) -> None:
            found = store.versions.get(self._asked("versionId"))
            if "/" not in self._path.strip("/"):
                self._say(200)
            elif found is None or store.lie == "forgets":
                self._say(404)
            else:
                octets, until = found
                self._say(200, length=len(octets), **_locked(until))

        def do_GET(self) -> None:
            self._say(200, f'<ListVersionsResult xmlns="{_NS}"/>')

        def do_PUT(self) -> None:
            octets = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            if "retention" in self._query:
                self._refuse_unless(store.lie == "shortens")
                return
            version = f"v{len(store.versions) + 1}"
            until = self.headers.get("x-amz-object-lock-retain-until-date", "")
            store.versions[version] = (octets, until)
            shown = {} if store.lie == "unversioned" else {"x_amz_version_id": version}
            self._say(200, ETag='"x"', **shown)

        def do_DELETE(self) -> None:
            self._refuse_unless(store.lie == "deletes")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            error = "<Error><Key>k</Key><Code>AccessDenied</Code></Error>"
            inside = "" if store.lie == "bypasses" else error
            self._say(200, f'<DeleteResult xmlns="{_NS}">{inside}</DeleteResult>')

        @property
        def _path(self) -> str:
            return urllib.parse.urlsplit(self.path).path

        @property
        def _query(self) -> dict[str, list[str]]:
            query = urllib.parse.urlsplit(self.path).query
            return urllib.parse.parse_qs(query, keep_blank_values=True)

        def _asked(self, name: str) -> str:
            return self._query.get(name, [""])[0]

        def _refuse_unless(self, does: bool) -> None:
            if does:
                self._say(200)
            elif store.lie == "busy":
                self._say(409, "<Error><Code>OperationAborted</Code></Error>")
            else:
                self._say(403, "<Error><Code>AccessDenied</Code></Error>")

        def _say(
            self, status: int, body: str = "", *, length: int = 0, **more: str
        ) -> None:
            octets = body.encode()
            self.send_response(status)
            for name, value in more.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Last-Modified", "Mon, 23 Nov 2026 23:55:37 GMT")
            self.send_header("Content-Length", str(length or len(octets)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(octets)

    return Handler


def _locked(until: str) -> dict[str, str]:
    return {
        "x_amz_object_lock_mode": "COMPLIANCE",
        "x_amz_object_lock_retain_until_date": until,
    }
