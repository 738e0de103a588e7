"""A call whose media come over Unix datagrams instead of UDP ports."""

import os
import socket
from pathlib import Path

from cryptography.cobblestone import Cobblestone256Decryptor

from vault.core.ids import RecordingId, new_recording_id
from vault.core.media import STATIC_PAYLOADS, PayloadFormat, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sealing import chunks
from vault.tap.calls import Call, Stream
from vault.tap.capture import Kind, Record, parse_records
from vault.tap.config import TapConfig
from vault.tap.orders import PortPair, StreamOrder
from vault.tap.page import CallPage, PageWriter
from vault.tap.part import Part
from vault.tap.rtp import RtpPacket
from vault.tap.srtp import OutboundSession
from vault.tap.sweep import Sweep

_SO_TIMESTAMPNS = 35


def fresh_key(suite: SrtpSuite) -> SecretBytes:
    return SecretBytes(os.urandom(suite.master_size_bytes))


def press(sequence: int, timestamp: int, *, key: int = 5) -> bytes:
    """Return an RFC 4733 packet of payload type 101."""
    packet = RtpPacket(
        payload_type=101,
        sequence=sequence,
        timestamp=timestamp,
        ssrc=7,
        payload=bytes([key, 0x0A, 0, 160]),
    )
    return bytes(packet)


def rtp(sequence: int, ssrc: int = 7, payload: bytes = bytes(160)) -> bytes:
    packet = RtpPacket(
        payload_type=0,
        sequence=sequence,
        timestamp=160 * sequence,
        ssrc=ssrc,
        payload=payload,
    )
    return bytes(packet)


class Line:
    """One captured call with one stream, and the peer that sends to it."""

    def __init__(
        self,
        folder: Path,
        suite: SrtpSuite,
        *,
        host: str = "127.0.0.1",
        key: SecretBytes | None = None,
        remote: tuple[str, int] | None = None,
        beside: "Line | None" = None,
        further: tuple[PayloadFormat, ...] = (),
        held: bool = False,
        keeps_digits: bool = False,
        **config: object,
    ) -> None:
        self.host = host
        self.folder = folder
        self.id: RecordingId = new_recording_id()
        self.dek = SecretBytes(os.urandom(32))
        self.now_s = 1000.0
        "The sweep's clock: it stands still until a test moves it."
        self._config = TapConfig(**config)  # type: ignore[arg-type] - names of settings
        self._beside = beside
        "Whose sweep this one is in, too."
        self.page = CallPage.create()
        self.sweep = self.new_sweep()
        self.peers: list[socket.socket] = []
        self._led: dict[OutboundSession, int] = {}
        self.key = key or fresh_key(suite)
        self.order = StreamOrder(
            index=0,
            label="agent",
            media="audio",
            suite=suite,
            key=self.key,
            payloads=(STATIC_PAYLOADS[0], *further),
            ports=PortPair(address=host, rtp=40000, rtcp=40001),
            remote=remote,
            held=held,
            keeps_digits=keeps_digits,
        )
        self.call = self.new_call(1)
        self._fds = self.ports()
        self._begin("")
        self.session = OutboundSession(suite, self.key)

    def new_sweep(self) -> Sweep:
        if self._beside is not None:
            return self._beside.sweep
        return Sweep(self._config, lambda: self.now_s)

    def new_call(self, part: int) -> Call:
        return Call(
            recording_id=self.id,
            dek=self.dek,
            part=self.part(part),
            paused=False,
            page=PageWriter(os.dup(self.page.fd)),
        )

    def restart(self, part: int = 2) -> None:
        """Kill the worker: its page and the sockets go to a new one."""
        self._drop()
        self.sweep, self.call = self.new_sweep(), self.new_call(part)
        self._begin("worker-restart")

    def end(self) -> None:
        """Close what is open, without an orderly end."""
        if self.id in self.sweep.calls:
            self._drop()
        for fd in self._fds:
            os.close(fd)
        for peer in self.peers:
            peer.close()
        self.page.close()

    def _begin(self, gap: str) -> None:
        fds = [os.dup(fd) for fd in self._fds]
        self.sweep.add_call(self.call, [(self.order, *fds)], gap=gap)

    def _drop(self) -> None:
        """Forget everything that was in the worker's memory, as its death does."""
        for port in self.stream.ports:
            port.close_stray()
            os.close(port.fd)
        self.call.part.abandon()
        assert self.call.page is not None
        self.call.page.close()
        del self.sweep.calls[self.id]

    @property
    def stream(self) -> Stream:
        return self.call.streams[0]

    def path(self, number: int) -> Path:
        return self.folder / f"{self.id}.{number}"

    def part(self, number: int) -> Part:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
        fd = os.open(self.path(number), flags, 0o600)
        return Part(recording_id=self.id, dek=self.dek, number=number, fd=fd)

    def ports(self) -> tuple[int, int]:
        fds = []
        for _ in range(2):
            near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            near.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            far.setblocking(False)
            self.peers.append(far)
            fds.append(near.detach())
        return fds[0], fds[1]

    def send(self, datagram: bytes, port: int = 0) -> None:
        self.peers[port].send(datagram)

    def send_rtp(
        self,
        *sequences: int,
        ssrc: int = 7,
        payload: bytes = bytes(160),
        session: OutboundSession | None = None,
    ) -> list[bytes]:
        """Send packets; return them as they were before protection."""
        packets = [rtp(sequence, ssrc, payload) for sequence in sequences]
        for packet in packets:
            self.send((session or self.session).protect(packet))
        return packets

    def record_index(self, *indexes: int, ssrc: int = 7) -> list[bytes]:
        """Return packets as someone on the way could record them; none is sent."""
        self._led[self.session] = max(indexes)
        return [self.session.protect(rtp(n & 0xFFFF, ssrc)) for n in indexes]

    def send_index(
        self, *indexes: int, ssrc: int = 7, session: OutboundSession | None = None
    ) -> list[bytes]:
        """Send packets whose rollovers count; return them before protection."""
        self._led[session or self.session] = max(indexes)
        return self.send_rtp(
            *(index & 0xFFFF for index in indexes), ssrc=ssrc, session=session
        )

    def lead(
        self, index: int, *, ssrc: int = 7, session: OutboundSession | None = None
    ) -> None:
        """Bring a sender to just before *index*; its packets go nowhere."""
        start = self._led.get(session or self.session, -1)
        steps = {*range(start + 1, index, 0x7000), max(start, index - 1)} - {start}
        for step in sorted(steps):
            (session or self.session).protect(rtp(step & 0xFFFF, ssrc, b""))
        self._led[session or self.session] = index - 1

    def tick(self, seconds: float = 0.0) -> None:
        """Sweep once, *seconds* later."""
        self.now_s += seconds
        self.sweep.tick()

    def close(self) -> bool:
        page = self.call.page
        final = self.sweep.close(self.call, "bye")
        if page is not None:
            page.close()
        return final

    def plaintext(self, number: int = 1) -> bytes:
        """Open a finished part with an implementation that is not ours."""
        context = chunks.context(self.id, f"capture/{number:04d}")
        opener = Cobblestone256Decryptor(self.dek.reveal(), context)
        return opener.update(self.path(number).read_bytes()) + opener.finalize()

    def records(self, *kinds: Kind, number: int = 1) -> list[Record]:
        found = parse_records(self.plaintext(number))
        return [record for record in found if record.kind in kinds]

    def octets(self, *kinds: Kind, number: int = 1) -> list[bytes]:
        return [record.octets for record in self.records(*kinds, number=number)]
