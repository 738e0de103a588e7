"""The process of a `SyslogReceiver`; it imports little, since many are started.

It writes every octet down before it reads the next ones, and answers the end of a
connection with its own, as RFC 5425 asks.  Faults:

    ok       as above            hang     accepts and never reads
    slow     a little at a time  rude     ends without close_notify
    full     as above, and its disk is full after 20 kB
    strict   lets nobody in without a certificate of its own root
"""

import os
import signal
import socket
import ssl
import sys
import time
from contextlib import suppress
from pathlib import Path

_HERE = "127.0.0.1"
_FULL_BYTES = 20_000


def _serve(folder: Path, port: int, fault: str, *, tls: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    if fault == "strict":
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.crt")
    with socket.create_server((_HERE, port)) as listener:
        if fault == "hang":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        (folder / f"listens-{os.getpid()}").touch()
        while True:
            peer, _ = listener.accept()
            with suppress(OSError):
                _receive(
                    context.wrap_socket(peer, server_side=True) if tls else peer,
                    _next_file(folder / "got"),
                    fault,
                )
            peer.close()


def _next_file(folder: Path) -> Path:
    numbers = [int(one.name) for one in folder.iterdir()]
    return folder / str(max(numbers, default=0) + 1)


def _receive(peer: socket.socket, place: Path, fault: str) -> None:
    # A look at whether it listens is no connection of its own.
    if fault == "hang":
        signal.pause()
    with peer, place.open("wb", buffering=0) as file:
        written = 0
        while octets := peer.recv(200 if fault == "slow" else 65_536):
            written += len(octets)
            if fault == "full" and written > _FULL_BYTES:
                raise OSError
            file.write(octets)
            if fault == "slow":
                time.sleep(0.001)
        if isinstance(peer, ssl.SSLSocket) and fault != "rude":
            peer.unwrap()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], tls=sys.argv[4] == "tls")
