"""What the media worker is measured against: the same work done otherwise.

    python sinks.py asyncio|c-sweep|c-epoll STREAMS FIRST_PORT SUITE FOLDER [LIBRARY]

Every sink binds the ports, takes packets in with the kernel's arrival time, removes
SRTP, seals each call under its own key into its own file, and prints READY and then
{"packets": n, ...}.  ``asyncio`` is the way most Python media servers take it
(DatagramProtocol and `pylibsrtp.Session.unprotect`; it has no kernel time); the C
ones are limit.h.  ``c-sweep@N`` stops after stage N of receive, unprotect, record,
seal, write, and so does ``sweep@N``, which is the vault's.
"""

import asyncio
import hashlib
import json
import os
import struct
import sys
import time
from pathlib import Path

import limit
import swept
from cryptography.cobblestone import Cobblestone256Encryptor
from load import session_of
from pylibsrtp import Error, Policy, Session
from pylibsrtp._binding import ffi, lib
from sockets import bound, part

from vault.core.media import SrtpSuite
from vault.tap.rtp import RTCP_SECOND_OCTETS

IDLE_S = 2.0
TICK_S = 0.2
RECORD, ALL_STAGES = 3, 5
ENOUGH = 4096
"Octets of a call that the loop per packet seals at once."
HEADER = struct.Struct("<qqBBH")


def encryptor(call: int) -> Cobblestone256Encryptor:
    return Cobblestone256Encryptor(hashlib.sha256(b"call %d" % call).digest(), b"bench")


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
    seal, fd = None, -1
    for i in range(streams):
        if i % 2 == 0:
            seal, fd = encryptor(i // 2), part(folder, i // 2)
        session = session_of(i, suite, Policy.SSRC_ANY_INBOUND)
        receiver = Receiver(session, seal, fd, i & 1)
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
    module = limit.load(library)
    per_packet, stage = mode == "c-epoll", int(mode.partition("@")[2] or ALL_STAGES)
    unprotect = int(ffi.cast("intptr_t", ffi.addressof(lib, "srtp_unprotect")))
    one = module.lib.limit_new(
        streams, unprotect, min(stage, RECORD), ENOUGH if per_packet else 1
    )
    sockets = [bound(port + 2 * i) for i in range(streams)]
    sessions = [session_of(i, suite, Policy.SSRC_ANY_INBOUND) for i in range(streams)]
    for i, (sock, session) in enumerate(zip(sockets, sessions, strict=True)):
        pointer = int(ffi.cast("intptr_t", session._srtp[0]))  # noqa: SLF001 - the C session
        module.lib.limit_add(one, i, sock.fileno(), pointer)
    calls = range(streams // 2)
    seals = [encryptor(i) for i in calls]
    files = [part(folder, i) for i in calls]

    def seal() -> None:
        for n in range(one.ready_count):
            call = one.calls[one.ready[n]]
            if stage > RECORD:
                sealed = seals[one.ready[n]].update(
                    module.ffi.buffer(call.octets, call.used)
                )
                if sealed and stage == ALL_STAGES:
                    os.write(files[one.ready[n]], sealed)
            call.used = call.queued = 0
        one.ready_count = 0

    print("READY", flush=True)
    last_s = next_s = time.monotonic()
    while not one.packets or time.monotonic() - last_s < IDLE_S:
        before = one.packets
        if not per_packet:
            next_s = max(next_s + TICK_S, time.monotonic())
            time.sleep(max(0.0, next_s - time.monotonic()))
        module.lib.limit_turn(one, streams, 200 if per_packet else 0, per_packet)
        seal()
        if one.packets != before:
            last_s = time.monotonic()
    return one.packets, one.refused


def main() -> None:
    # The receiver has the first core and the sender the last one.
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    mode, streams, port, suite, folder, *library = sys.argv[1:]
    given = int(streams), int(port), SrtpSuite(suite), Path(folder)
    if mode == "asyncio":
        packets, refused = asyncio.run(run_asyncio(*given))
    elif mode.startswith("sweep@"):
        packets, refused = swept.run(int(mode.partition("@")[2]), *given)
    else:
        packets, refused = run_c(mode, *given, library[0])
    print(json.dumps({"packets": packets, "refused": refused}), flush=True)


if __name__ == "__main__":
    main()
