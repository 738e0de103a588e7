"""A SIP peer that says what a test writes, and an application that notes what it hears.

Nothing here uses `vault.sip` to read or write messages or to speak TLS: it is the
other side.
"""

import asyncio
import contextlib
import itertools
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

from vault.sip.dialogs import Dialog
from vault.sip.interfaces import Incoming, WhyLost
from vault.sip.messages import Response, respond

SDP = (
    b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 40000 RTP/AVP 0\r\na=sendonly\r\n"
)
_numbers = itertools.count(1)
_ANSWER_WITHIN_S = 20.0


@dataclass
class Heard:
    """An `Application` that takes everything, unless a test says otherwise."""

    events: list[tuple[str, object]] = field(default_factory=list)
    answers: int = 0
    may: Callable[[Incoming], Response | None] = lambda _: None
    hold: asyncio.Event | None = None
    answer_with: Callable[[Incoming], Response] | None = None
    dialogs: list[Dialog] = field(default_factory=list)
    incoming: list[Incoming] = field(default_factory=list)

    def admit(self, incoming: Incoming) -> Response | None:
        return self.may(incoming)

    async def answer(self, incoming: Incoming) -> Response:
        self.answers += 1
        self.incoming.append(incoming)
        self.events.append((incoming.request.method, incoming.dialog is not None))
        if self.hold is not None:
            await self.hold.wait()
        if self.answer_with is not None:
            return self.answer_with(incoming)
        if incoming.request.method == "INVITE":
            return respond(
                incoming.request, 200, body=SDP, content_type="application/sdp"
            )
        return respond(incoming.request, 200)

    def confirmed(self, dialog: Dialog, body: bytes) -> None:
        self.events.append(("confirmed", body))

    def lost(self, dialog: Dialog, why: WhyLost) -> None:
        self.events.append(("lost", why))

    def changed(self, dialog: Dialog) -> None:
        if not any(dialog is known for known in self.dialogs[-3:]):
            self.dialogs.append(dialog)


@dataclass(frozen=True)
class Said:
    """A message as the peer heard it."""

    start: str
    headers: dict[str, list[str]]
    body: bytes

    @classmethod
    def read(cls, octets: bytes) -> Self:
        head, _, body = octets.partition(b"\r\n\r\n")
        start, *lines = head.decode().split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers.setdefault(name.lower(), []).append(value.strip())
        return cls(start=start, headers=headers, body=body)

    @property
    def status(self) -> int:
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/") else 0

    def one(self, name: str) -> str:
        assert len(self.headers[name.lower()]) == 1
        return self.headers[name.lower()][0]


@dataclass
class Wire:
    """One socket of the peer's: datagrams, or a connection."""

    transport: str
    local: tuple[str, int]
    send: Callable[[bytes], None]
    inbox: "asyncio.Queue[bytes]"
    close: Callable[[], None]
    closed: asyncio.Event
    reset: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.seen: list[Said] = []

    async def next(self, within_s: float = _ANSWER_WITHIN_S) -> Said:
        octets = await asyncio.wait_for(self.inbox.get(), within_s)
        said = Said.read(octets)
        self.seen.append(said)
        return said

    async def final(self) -> Said:
        """Return the next response that is not provisional."""
        while (said := await self.next()).status < 200:
            pass
        return said


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.inbox: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.inbox.put_nowait(data)


async def by_udp(
    to: tuple[str, int], *, local: tuple[str, int] | None = None, connect: bool = True
) -> Wire:
    """Return a UDP socket; a connected one hears nobody else."""
    loop = asyncio.get_running_loop()
    host = "::1" if ":" in to[0] else "127.0.0.1"
    transport, protocol = await loop.create_datagram_endpoint(
        _Datagrams,
        local_addr=local or (host, 0),
        remote_addr=to if connect else None,
    )
    return Wire(
        transport="UDP",
        local=transport.get_extra_info("sockname")[:2],
        send=lambda octets: transport.sendto(octets, None if connect else to),
        inbox=protocol.inbox,
        close=transport.close,
        closed=asyncio.Event(),
    )


async def by_tcp(
    to: tuple[str, int],
    *,
    tls: ssl.SSLContext | None = None,
    local: tuple[str, int] | None = None,
) -> Wire:
    """Return a connection."""
    reader, writer = await asyncio.open_connection(
        *to, ssl=tls, server_hostname="sip.test" if tls else None, local_addr=local
    )
    return wire_of(reader, writer, tls="TLS" if tls else "TCP")


def wire_of(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, tls: str = "TCP"
) -> Wire:
    """Return a connection that somebody has opened."""
    inbox: asyncio.Queue[bytes] = asyncio.Queue()
    closed = asyncio.Event()

    async def read() -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n")
                if head == b"\r\n":
                    inbox.put_nowait(head)
                    continue
                head += await reader.readuntil(b"\r\n\r\n")
                length = int(Said.read(head).one("content-length"))
                inbox.put_nowait(head + await reader.readexactly(length))
        except (OSError, asyncio.IncompleteReadError):
            closed.set()

    task = asyncio.get_running_loop().create_task(read())
    closer = writer.transport

    def close() -> None:
        task.cancel()
        closer.abort()

    def reset() -> None:
        # Without lingering the kernel says RST instead of FIN.
        one = writer.get_extra_info("socket")
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        close()

    wire = Wire(
        transport=tls,
        local=writer.get_extra_info("sockname")[:2],
        send=writer.write,
        inbox=inbox,
        close=close,
        closed=closed,
        reset=reset,
    )
    wire.reading = task  # type: ignore[attr-defined] # keeps it alive
    return wire


@asynccontextmanager
async def callee() -> AsyncIterator[tuple[int, "asyncio.Queue[Said]"]]:
    """Take connections, and say OK to every request; give the port and what came."""
    said: asyncio.Queue[Said] = asyncio.Queue()
    wires: list[Wire] = []

    async def called(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        wire = wire_of(reader, writer)
        wires.append(wire)
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                message = Said.read(await wire.inbox.get())
                said.put_nowait(message)
                if not message.status:
                    wire.send(ok(message))

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], said
    finally:
        server.close()
        for wire in wires:
            wire.close()
        await asyncio.sleep(0)


@dataclass
class Call:
    """The messages of one dialog, from the peer's side."""

    wire: Wire
    server: tuple[str, int]
    call_id: str = field(default_factory=lambda: f"call-{next(_numbers)}@peer.test")
    tag: str = field(default_factory=lambda: f"from-{next(_numbers)}")
    to_tag: str = ""
    cseq: int = 0
    rport: bool = True
    contact: str = ""

    def request(
        self,
        method: str,
        *,
        branch: str = "",
        extra: tuple[str, ...] = (),
        body: bytes = b"",
        cseq: int | None = None,
        uri: str = "",
        via: str = "",
    ) -> bytes:
        """Write one."""
        if cseq is None:
            if method not in {"ACK", "CANCEL"}:
                self.cseq += 1
            cseq = self.cseq
        host, port = self.wire.local
        host = f"[{host}]" if ":" in host else host
        server = f"[{self.server[0]}]" if ":" in self.server[0] else self.server[0]
        branch = branch or f"z9hG4bK{next(_numbers)}"
        parameter = ";rport" if self.rport else ""
        via = via or f"{host}:{port}"
        to = f"<sip:srs@{server}>" + (f";tag={self.to_tag}" if self.to_tag else "")
        transport = self.wire.transport.lower()
        contact = self.contact or f"<sip:src@{host}:{port};transport={transport}>"
        lines = [
            f"{method} {uri or f'sip:srs@{server}'} SIP/2.0",
            f"Via: SIP/2.0/{self.wire.transport} {via};branch={branch}{parameter}",
            "Max-Forwards: 70",
            f"From: <sip:src@peer.test>;tag={self.tag}",
            f"To: {to}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: {contact};+sip.src",
            *extra,
        ]
        if body:
            lines.append("Content-Type: application/sdp")
        lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def invite(self, **kwargs: object) -> Said:
        """Set it up; return the final answer, which is acknowledged if it is a 2xx."""
        self.wire.send(self.request("INVITE", body=SDP, **kwargs))  # type: ignore[arg-type]
        said = await self.wire.final()
        if said.status == 200:
            self.to_tag = said.one("to").partition("tag=")[2]
            self.wire.send(self.request("ACK"))
        return said

    async def ask(self, method: str, **kwargs: object) -> Said:
        """Send a request; return its final answer."""
        self.wire.send(self.request(method, **kwargs))  # type: ignore[arg-type]
        return await self.wire.final()


def ok(request: Said, status: str = "200 OK", *extra: str) -> bytes:
    """Answer a request of the agent's."""
    names = ("via", "from", "to", "call-id", "cseq")
    lines = [f"{n}: {value}" for n in names for value in request.headers[n]]
    lines += extra
    return "\r\n".join(
        [f"SIP/2.0 {status}", *lines, "Content-Length: 0", "", ""]
    ).encode()
