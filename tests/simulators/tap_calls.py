"""A pool of real workers, calls in it, and peers that send over loopback."""

import asyncio
import os
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from cryptography.cobblestone import Cobblestone256Decryptor

from vault.core.ids import RecordingId, new_recording_id
from vault.core.media import STATIC_PAYLOADS, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sealing import chunks
from vault.sealing.unfinished import UnfinishedReader
from vault.tap.capture import Kind, Record, parse_records
from vault.tap.config import TapConfig
from vault.tap.orders import CallOrder, CallReport, StreamCounters, StreamOrder
from vault.tap.pool import MediaPool
from vault.tap.rtp import RtpPacket
from vault.tap.srtp import OutboundSession

T = TypeVar("T")


class TapCall:
    """One call in a pool, with a spool folder and a sender per stream."""

    def __init__(
        self,
        pool: MediaPool,
        folder: Path,
        *,
        keys: list[tuple[SrtpSuite, bytes]],
        address: str = "127.0.0.1",
        media: str = "audio",
    ) -> None:
        self.pool = pool
        self.folder = folder
        self.id: RecordingId = new_recording_id()
        self.dek = SecretBytes(os.urandom(32))
        self.ports = pool.reserve(len(keys))
        self.refusals = 0
        "How many more times `open_part` finds no room."
        self.streams = tuple(
            StreamOrder(
                index=index,
                label=f"stream{index}",
                media=media,
                suite=suite,
                key=SecretBytes(key),
                payloads=(STATIC_PAYLOADS[0],),
                ports=ports,
            )
            for index, ((suite, key), ports) in enumerate(
                zip(keys, self.ports, strict=True)
            )
        )
        self._begin(address)

    def _begin(self, address: str) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.peer = socket.socket(family, socket.SOCK_DGRAM)
        self.senders = [OutboundSession(s.suite, s.key) for s in self.streams]
        self.sent: list[list[bytes]] = [[] for _ in self.streams]
        self._next = [1000] * len(self.streams)

    async def open(self, *, paused: bool = False) -> "TapCall":
        await self.pool.open_call(
            CallOrder(
                recording_id=self.id,
                dek=self.dek,
                streams=self.streams,
                open_part=self.open_part,
                paused=paused,
            )
        )
        return self

    def path(self, part: int) -> Path:
        return self.folder / f"{self.id}.{part}"

    def open_part(self, part: int) -> int:
        if self.refusals:
            self.refusals -= 1
            raise OSError(28, "No space left on device")
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND
        return os.open(self.path(part), flags, 0o600)

    def send(self, octets: bytes, stream: int = 0, *, rtcp: bool = False) -> None:
        ports = self.ports[stream]
        port = ports.rtcp if rtcp else ports.rtp
        self.peer.sendto(octets, (ports.address, port))

    def talk(self, packets: int, stream: int = 0) -> None:
        """Send the next *packets* packets of a stream, at once."""
        for _ in range(packets):
            number = self._next[stream]
            self._next[stream] += 1
            packet = bytes(
                RtpPacket(
                    payload_type=0,
                    sequence=number & 0xFFFF,
                    timestamp=160 * number,
                    ssrc=stream + 1,
                    payload=number.to_bytes(4, "big") * 40,
                )
            )
            self.sent[stream].append(packet)
            self.send(self.senders[stream].protect(packet), stream)

    async def counted(
        self, enough: Callable[[StreamCounters], bool], stream: int = 0
    ) -> StreamCounters:
        """Wait until the counters of a stream satisfy *enough*."""

        async def look() -> StreamCounters | None:
            counters = (await self.pool.counters(self.id))[stream]
            return counters if enough(counters) else None

        return await until(look)

    async def close(self) -> CallReport:
        report = await self.pool.close_call(self.id)
        self.peer.close()
        return report

    def plaintext(self, part: int = 1) -> bytes:
        """Open a finished part with pyca's decryptor."""
        context = chunks.context(self.id, f"capture/{part:04d}")
        opener = Cobblestone256Decryptor(self.dek.reveal(), context)
        return opener.update(self.path(part).read_bytes()) + opener.finalize()

    def prefix(self, part: int) -> bytes:
        """Open what verifies of a part without a last chunk."""
        octets = self.path(part).read_bytes()
        context = chunks.context(self.id, f"capture/{part:04d}")
        reader = UnfinishedReader(_Octets(octets), key=self.dek, context=context)
        return b"".join(reader.prefix())

    def records(self, plaintext: bytes, kind: Kind, stream: int = 0) -> list[Record]:
        return [
            record
            for record in parse_records(plaintext)
            if record.kind == kind and record.stream in (stream, 255)
        ]

    def rtp(self, plaintext: bytes, stream: int = 0) -> list[bytes]:
        return [r.octets for r in self.records(plaintext, Kind.RTP, stream)]


class _Octets:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self.size = len(octets)

    def read(self, start: int, stop: int) -> bytes:
        return self._octets[start:stop]


async def until(look: Callable[[], Awaitable[T | None]], seconds: float = 20.0) -> T:
    """Poll *look* until it finds something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = await look()
        if found is not None:
            return found
        await asyncio.sleep(0.05)
    raise TimeoutError("what was waited for did not happen")


async def eventually(look: Callable[[], T | None], seconds: float = 20.0) -> T:
    """Poll *look*, which does not wait itself, until it finds something."""

    async def glance() -> T | None:
        return look()

    return await until(glance, seconds)


def free_ports() -> tuple[int, int]:
    """Return a range of media ports that nobody uses now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        start = min(int(probe.getsockname()[1]), 65000) & ~1
    return start, start + 200


def config(**settings: object) -> TapConfig:
    """Return settings for a small pool that ticks fast."""
    given = {"workers": 1, "ports": free_ports(), "tick_s": 0.05, **settings}
    return TapConfig(**given)  # type: ignore[arg-type] - names of settings


def datagrams(pcap: Path) -> Iterator[tuple[int, bytes]]:
    """Yield destination port and payload of every UDP datagram in a capture."""
    octets = pcap.read_bytes()
    order = "<" if octets[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    (link,) = struct.unpack_from(order + "I", octets, 20)
    head = {1: 14, 101: 0, 113: 16, 228: 0, 276: 20}[link]
    at = 24
    while at < len(octets):
        size = struct.unpack_from(order + "IIII", octets, at)[2]
        packet = octets[at + 16 + head : at + 16 + size]
        at += 16 + size
        udp = (packet[0] & 15) * 4
        _, port, length = struct.unpack_from(">HHH", packet, udp)
        yield port, packet[udp + 8 : udp + length]
