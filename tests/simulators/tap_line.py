"""A call whose media come over Unix datagrams instead of UDP ports."""

import os
import socket
from pathlib import Path

from cryptography.cobblestone import Cobblestone256Decryptor

from vault.core.ids import RecordingId, new_recording_id
from vault.core.media import STATIC_PAYLOADS, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sealing import chunks
from vault.tap.calls import Call, Stream
from vault.tap.capture import Kind, Record, parse_records
from vault.tap.config import TapConfig
from vault.tap.orders import PortPair, StreamOrder
from vault.tap.part import Part
from vault.tap.rtp import RtpPacket
from vault.tap.srtp import OutboundSession
from vault.tap.sweep import Sweep

_SO_TIMESTAMPNS = 35


def fresh_key(suite: SrtpSuite) -> SecretBytes:
    return SecretBytes(os.urandom(suite.master_size_bytes))


class Line:
    """One captured call with one stream, and the peer that sends to it."""

    def __init__(self, folder: Path, suite: SrtpSuite, **config: object) -> None:
        self.folder = folder
        self.id: RecordingId = new_recording_id()
        self.dek = SecretBytes(os.urandom(32))
        self.sweep = Sweep(TapConfig(**config))  # type: ignore[arg-type] - names of settings
        self.peers: list[socket.socket] = []
        self.key = fresh_key(suite)
        self.order = StreamOrder(
            index=0,
            label="agent",
            media="audio",
            suite=suite,
            key=self.key,
            payloads=(STATIC_PAYLOADS[0],),
            ports=PortPair(address="127.0.0.1", rtp=40000, rtcp=40001),
        )
        self.call = Call(
            recording_id=self.id, dek=self.dek, part=self.part(1), paused=False
        )
        self.sweep.add_call(self.call, [(self.order, *self.ports())], gap="")
        self.session = OutboundSession(suite, self.key)

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
        packets = []
        for sequence in sequences:
            packet = RtpPacket(
                payload_type=0,
                sequence=sequence,
                timestamp=160 * sequence,
                ssrc=ssrc,
                payload=payload,
            )
            packets.append(bytes(packet))
            self.send((session or self.session).protect(bytes(packet)))
        return packets

    def close(self) -> bool:
        return self.sweep.close(self.call, "bye")

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
