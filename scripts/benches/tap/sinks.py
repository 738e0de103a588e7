"""What the media worker is measured against: the same work done otherwise.

    python sinks.py asyncio|c-sweep|c-epoll STREAMS FIRST_PORT SUITE FOLDER [LIBRARY]

Every sink binds the ports, takes packets in, removes SRTP, seals each call under
its own key into its own file, and prints READY and then {"packets": n, ...}.
``asyncio`` is the way most Python media servers take it (DatagramProtocol and
`pylibsrtp.Session.unprotect`); the C ones are limit.c.
"""

import asyncio
import ctypes
import hashlib
import json
import os
import socket
import struct
import sys
import time
from pathlib import Path

from cryptography.cobblestone import Cobblestone256Encryptor
from load import session_of
from pylibsrtp import Error, Policy, Session
from pylibsrtp._binding import ffi, lib

from vault.core.media import SrtpSuite
from vault.tap.rtp import RTCP_SECOND_OCTETS

IDLE_S = 2.0
HEADER = struct.Struct("<qqBBH")


def bound(port: int) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.setblocking(False)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 256 * 1024)
    one.bind(("127.0.0.1", port))
    return one


def part(folder: Path, number: int) -> int:
    flags = os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_TRUNC
    return os.open(folder / f"call{number}", flags, 0o600)


class Receiver(asyncio.DatagramProtocol):
    """One stream on the event loop."""

    packets = 0
    refused = 0
    last_s = 0.0

    def __init__(
        self, session: Session, encryptor: Cobblestone256Encryptor, fd: int, number: int
    ) -> None:
        self._session, self._encryptor = session, encryptor
        self._fd, self._number = fd, number

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's signature
        Receiver.packets += 1
        Receiver.last_s = time.monotonic()
        if data[1] in RTCP_SECOND_OCTETS:
            return
        try:
            packet = self._session.unprotect(data)
        except Error:
            Receiver.refused += 1
            return
        s, ns = divmod(time.time_ns(), 1_000_000_000)
        head = HEADER.pack(s, ns, self._number, 0, len(packet))
        sealed = self._encryptor.update(head + packet)
        if sealed:
            os.write(self._fd, sealed)


async def run_asyncio(
    streams: int, port: int, suite: SrtpSuite, folder: Path
) -> tuple[int, int]:
    loop = asyncio.get_running_loop()
    encryptor, fd = None, -1
    for i in range(streams):
        if i % 2 == 0:
            key = hashlib.sha256(b"call %d" % i).digest()
            encryptor, fd = Cobblestone256Encryptor(key, b"bench"), part(folder, i // 2)
        session = session_of(i, suite, Policy.SSRC_ANY_INBOUND)
        receiver = Receiver(session, encryptor, fd, i & 1)
        await loop.create_datagram_endpoint(
            lambda receiver=receiver: receiver, sock=bound(port + 2 * i)
        )
    print("READY", flush=True)
    while not Receiver.packets or time.monotonic() - Receiver.last_s < IDLE_S:  # noqa: ASYNC110 - an event would be measured
        await asyncio.sleep(0.2)
    return Receiver.packets, Receiver.refused


def run_c(
    mode: str, streams: int, port: int, suite: SrtpSuite, folder: Path, library: str
) -> tuple[int, int]:
    sockets = [bound(port + 2 * i) for i in range(streams)]
    sessions = [session_of(i, suite, Policy.SSRC_ANY_INBOUND) for i in range(streams)]
    files = [part(folder, i) for i in range(streams // 2)]
    run = ctypes.CDLL(library).limit_run
    run.restype = ctypes.c_uint64
    refused = ctypes.c_uint64()
    print("READY", flush=True)
    packets = run(
        ctypes.c_int(mode == "c-epoll"),
        ctypes.c_double(0.2),
        ctypes.c_int(streams),
        (ctypes.c_int * streams)(*(s.fileno() for s in sockets)),
        (ctypes.c_void_p * streams)(
            *(int(ffi.cast("intptr_t", s._srtp[0])) for s in sessions)  # noqa: SLF001 - the C session
        ),
        (ctypes.c_int * len(files))(*files),
        ctypes.c_void_p(
            int(ffi.cast("intptr_t", ffi.addressof(lib, "srtp_unprotect")))
        ),
        ctypes.byref(refused),
    )
    return packets, refused.value


def main() -> None:
    mode, streams, port, suite, folder, *library = sys.argv[1:]
    given = int(streams), int(port), SrtpSuite(suite), Path(folder)
    if mode == "asyncio":
        packets, refused = asyncio.run(run_asyncio(*given))
    else:
        packets, refused = run_c(mode, *given, library[0])
    print(json.dumps({"packets": packets, "refused": refused}), flush=True)


if __name__ == "__main__":
    main()
