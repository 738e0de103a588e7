"""A time stamping authority: ``openssl ts`` behind a small HTTP server.

The answers are OpenSSL's own, signed with a key that is made here; what goes wrong is
asked for by name.
"""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CONF = """
[tsa]
default_tsa = here
[here]
serial = {folder}/serial
signer_cert = {folder}/tsa.pem
signer_key = {folder}/tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
accuracy = secs:1
ess_cert_id_chain = no
ess_cert_id_alg = sha256
[extensions]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
[root]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign
subjectKeyIdentifier = hash
"""


@dataclass
class Tsa:
    """A running authority."""

    folder: Path
    port: int = 0
    lie: str = ""
    "``error``: 500; ``other``: stamps other octets; ``text``: no time stamp."
    asked: int = 0
    queries: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/tsr"

    @property
    def roots(self) -> Path:
        return self.folder / "root.pem"

    def answer(self, query: bytes) -> bytes:
        """Return what ``openssl ts`` says to *query*."""
        (self.folder / "query").write_bytes(query)
        _openssl(
            self.folder, "ts", "-reply", "-config", "conf", "-queryfile", "query",
            "-out", "reply",
        )  # fmt: skip
        return (self.folder / "reply").read_bytes()

    def query_about(self, octets: bytes) -> bytes:
        """Return a query about *octets*, by OpenSSL."""
        (self.folder / "octets").write_bytes(octets)
        _openssl(
            self.folder, "ts", "-query", "-data", "octets", "-sha512", "-cert",
            "-out", "made",
        )  # fmt: skip
        return (self.folder / "made").read_bytes()

    def verifies(self, response: bytes, octets: bytes) -> bool:
        """Tell what ``openssl ts -verify`` says of *response* over *octets*."""
        (self.folder / "octets").write_bytes(octets)
        (self.folder / "response").write_bytes(response)
        done = subprocess.run(
            ["openssl", "ts", "-verify", "-data", "octets", "-in", "response",
             "-CAfile", "root.pem"],
            cwd=self.folder, capture_output=True, check=False,
        )  # fmt: skip
        return done.returncode == 0


@contextmanager
def running(folder: Path) -> Iterator[Tsa]:
    """Serve on loopback while the block runs."""
    folder.mkdir(exist_ok=True)
    (folder / "conf").write_text(_CONF.format(folder=folder))
    (folder / "serial").write_text("01\n")
    _make_keys(folder)
    tsa = Tsa(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = self.rfile.read(int(self.headers["Content-Length"]))
            tsa.asked += 1
            status, body = 200, b"not a time stamp"
            if tsa.lie == "error":
                status = 500
            elif tsa.lie == "other":
                body = tsa.answer(tsa.query_about(b"something else"))
            elif tsa.lie != "text":
                body = tsa.answer(query)
            self.send_response(status)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    tsa.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield tsa
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _make_keys(folder: Path) -> None:
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    _openssl(
        folder, "req", "-x509", *curve, "-keyout", "root.key", "-out", "root.pem",
        "-days", "30", "-subj", "/CN=Root", "-config", "conf", "-extensions", "root",
    )  # fmt: skip
    _openssl(
        folder, "req", *curve, "-keyout", "tsa.key", "-out", "tsa.csr",
        "-subj", "/CN=Authority",
    )  # fmt: skip
    _openssl(
        folder, "x509", "-req", "-in", "tsa.csr", "-CA", "root.pem", "-CAkey",
        "root.key", "-CAcreateserial", "-out", "tsa.pem", "-days", "30",
        "-extfile", "conf", "-extensions", "extensions",
    )  # fmt: skip


def _openssl(folder: Path, *words: str) -> None:
    done = subprocess.run(
        ["openssl", *words], cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
