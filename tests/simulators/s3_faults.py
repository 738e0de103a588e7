"""A wire between a client and an S3 server that can be made to misbehave.

Faults are set while it runs: `SILENT` takes connections and never answers,
`CUT` ends an answer after its first octets, `FLIP` alters one octet of each
answer's body, `REDIRECT` sends the client elsewhere.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum


class Fault(Enum):
    """What is wrong with the wire."""

    NONE = 0
    SILENT = 1
    CUT = 2
    FLIP = 3
    REDIRECT = 4


class Wire:
    """A TCP relay on a port of its own."""

    def __init__(self, host: str, port: int) -> None:
        self.fault = Fault.NONE
        self.requests: list[bytes] = []
        self._target = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            server = socket.create_connection(self._target)
            self._open.append(server)
            threading.Thread(
                target=self._relay_answers, args=(server, client), daemon=True
            ).start()
            while octets := client.recv(65536):
                self.requests.append(octets[:200])
                if self.fault is Fault.REDIRECT:
                    client.sendall(
                        b"HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\n"
                        b"Location: http://127.0.0.1:9/stolen\r\n\r\n"
                    )
                elif self.fault is not Fault.SILENT:
                    server.sendall(octets)

    def _relay_answers(self, server: socket.socket, client: socket.socket) -> None:
        in_body = False
        with contextlib.suppress(OSError):
            while octets := server.recv(65536):
                if self.fault is Fault.FLIP and self.requests[-1].startswith(b"GET"):
                    head, end, body = octets.partition(b"\r\n\r\n")
                    if in_body or not end:
                        head, end, body = b"", b"", octets
                    octets = head + end + _flipped(body)
                    in_body = bool(end) and not body
                client.sendall(octets[:20] if self.fault is Fault.CUT else octets)
                if self.fault is Fault.CUT:
                    client.shutdown(socket.SHUT_RDWR)


def _flipped(body: bytes) -> bytes:
    return bytes([body[0] ^ 1]) + body[1:] if body else body


@contextmanager
def wire(host: str, port: int) -> Iterator[Wire]:
    """Run a wire to *host*:*port*."""
    running = Wire(host, port)
    try:
        yield running
    finally:
        running.close()
