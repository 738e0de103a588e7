"""The shipped tap under load: a real pool and its workers, as a recorder runs it."""

import asyncio
import contextlib
import dataclasses
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import screens
from load import key_of
from processes import PORT, Load, cpu_us, resident_bytes, scratch
from screens import Screens

from vault.core.ids import new_recording_id
from vault.core.media import STATIC_PAYLOADS, PayloadFormat, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sealing.chunks import context
from vault.sealing.reader import open_sealed
from vault.tap.capture import Kind, parse_records
from vault.tap.config import SyncConfig, TapConfig
from vault.tap.orders import CallOrder, CallReport, PortPair, StreamOrder
from vault.tap.part import object_name
from vault.tap.pool import MediaPool
from vault.tap.syncer import Syncer

_H264 = PayloadFormat(payload_type=96, encoding="H264", clock_rate_hz=90_000)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a run of the tap cost and what became of its packets."""

    cpu_us: float
    "Of all workers, from the first to the last packet."
    resident_bytes: int
    "Of all workers, at the end of the load."
    sent: int
    authentic: int
    rejected: int
    kernel_drops: int
    sealed: int | None
    "RTP records that were read back from the spool; None where nobody looked."

    @property
    def cpu_us_per_packet(self) -> float:
        return self.cpu_us / max(self.authentic, 1)


def measure(
    streams: int,
    suite: SrtpSuite,
    seconds: float,
    *,
    workers: int = 1,
    durable: bool = False,
    read_back: bool = False,
) -> Measured:
    """Run the tap on *streams* streams for *seconds* and count.

    Args:
        durable: Write to a disk that the syncer process syncs, and not to memory.
        read_back: Decrypt what was written, and count it.
    """
    where = None if durable else scratch()
    with tempfile.TemporaryDirectory(dir=where) as folder:
        return asyncio.run(
            _measure(
                Path(folder),
                Load(streams, suite, seconds),
                _orders(Path(folder), streams, suite),
                workers=workers,
                durable=durable,
                read_back=read_back,
            )
        )


def measure_screens(streams: int, seconds: float) -> Measured:
    """Run the tap on *streams* screens, two a call, and read back what it wrote."""
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        where = Path(folder)
        return asyncio.run(
            _measure(
                where,
                Screens(streams, seconds),
                _orders(where, streams, screens.SUITE, media="video"),
                workers=1,
                durable=False,
                read_back=True,
            )
        )


def _orders(
    folder: Path, streams: int, suite: SrtpSuite, media: str = "audio"
) -> list[CallOrder]:
    """Return one order per two streams; its ports are filled in later."""
    orders = []
    for number in range(streams // 2):
        path = folder / f"call{number}"
        orders.append(
            CallOrder(
                recording_id=new_recording_id(),
                dek=SecretBytes(os.urandom(32)),
                streams=tuple(
                    _stream(2 * number, leg, suite, media) for leg in range(2)
                ),
                open_part=lambda part, path=path: os.open(
                    f"{path}.{part}", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600
                ),
            )
        )
    return orders


def _stream(first: int, leg: int, suite: SrtpSuite, media: str) -> StreamOrder:
    return StreamOrder(
        index=leg,
        label=("agent", "customer")[leg],
        media=media,
        suite=suite,
        key=SecretBytes(key_of(first + leg, suite)),
        payloads=(STATIC_PAYLOADS[0] if media == "audio" else _H264,),
        ports=PortPair(address="127.0.0.1", rtp=0, rtcp=0),
    )


async def _measure(
    folder: Path,
    load: Load | Screens,
    orders: list[CallOrder],
    *,
    workers: int,
    durable: bool,
    read_back: bool,
) -> Measured:
    async with _pool(workers, 2 * len(orders)) as pool, _synced(folder, durable):
        for order in orders:
            ports = pool.reserve(2)
            streams = tuple(
                dataclasses.replace(stream, ports=pair)
                for stream, pair in zip(order.streams, ports, strict=True)
            )
            await pool.open_call(dataclasses.replace(order, streams=streams))
        await asyncio.to_thread(load.wait_until_ready)
        before = sum(map(cpu_us, pool.worker_pids))
        sent = await asyncio.to_thread(load.send)
        await asyncio.sleep(0.3)
        used = sum(map(cpu_us, pool.worker_pids)) - before
        resident = sum(map(resident_bytes, pool.worker_pids))
        ends = (pool.close_call(order.recording_id) for order in orders)
        reports = await asyncio.gather(*ends)
        for order in orders:
            pool.forget(order.recording_id)
    counted = [stream for report in reports for stream in report.streams]
    sealed = None
    if read_back:
        sealed = sum(
            sum(1 for _ in _records(folder, number, order, report))
            for number, (order, report) in enumerate(zip(orders, reports, strict=True))
        )
    return Measured(
        cpu_us=used,
        resident_bytes=resident,
        sent=sent,
        authentic=sum(stream.authentic for stream in counted),
        rejected=sum(sum(stream.rejected.values()) for stream in counted),
        kernel_drops=sum(stream.kernel_drops for stream in counted),
        sealed=sealed,
    )


@contextlib.asynccontextmanager
async def _pool(workers: int, streams: int) -> AsyncIterator[MediaPool]:
    config = TapConfig(workers=workers, ports=(PORT, PORT + 2 * streams + 1))
    pool = MediaPool(config)
    await pool.start()
    try:
        yield pool
    finally:
        await pool.stop()


@contextlib.asynccontextmanager
async def _synced(folder: Path, durable: bool) -> AsyncIterator[None]:  # noqa: FBT001 - a state and no option
    syncer = Syncer(SyncConfig(folder=folder))
    if durable:
        await syncer.start()
    yield
    if durable:
        syncer.check()
        await syncer.stop()


def _records(
    folder: Path, number: int, order: CallOrder, report: CallReport
) -> Iterator[bytes]:
    """Yield the RTP of every record of a call that ended well."""
    for part in report.parts:
        octets = (folder / f"call{number}.{part.part}").read_bytes()
        bound = context(order.recording_id, object_name(part.part))
        for record in parse_records(open_sealed(octets, key=order.dek, context=bound)):
            if record.kind == Kind.RTP:
                yield record.octets
