"""Who gets how much of a sweep: video between ticks, and senders beyond their share."""

import asyncio
import os
from pathlib import Path

import pytest

from tests.simulators.tap_calls import TapCall, config, eventually
from vault.core.media import SrtpSuite
from vault.tap.orders import StreamCounters
from vault.tap.pool import MediaPool
from vault.tap.rtp import RtpPacket

pytestmark = pytest.mark.network

SUITE = SrtpSuite.AES_CM_128_HMAC_SHA1_80
KEY_FRAME = 300


def key_frame(call: TapCall, first: int, stream: int = 0) -> None:
    """Send a key frame of a screen at once: 300 packets, 330 KB."""
    for number in range(first, first + KEY_FRAME):
        packet = RtpPacket(
            payload_type=96,
            sequence=number & 0xFFFF,
            timestamp=3000 * first,
            ssrc=stream + 1,
            payload=os.urandom(1100),
        )
        call.send(call.senders[stream].protect(bytes(packet)), stream)


def waiting(port: int) -> int:
    """Return the octets that wait in the kernel on a local UDP port."""
    octets = 0
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].split(":")[1], 16) == port:
            octets += int(fields[4].split(":")[1], 16)
    return octets


class TestVideo:
    @pytest.mark.parametrize("calls", [pytest.param(8, id="M26")])
    def test_of_many_screens_loses_no_packet_of_a_key_frame(
        self, tmp_path: Path, calls: int
    ) -> None:
        async def play() -> list[StreamCounters]:
            pool = MediaPool(config(tick_s=0.2))
            await pool.start()
            try:
                screens = [
                    await TapCall(
                        pool, tmp_path, keys=[(SUITE, os.urandom(30))], media="video"
                    ).open()
                    for _ in range(calls)
                ]
                for frame in range(3):
                    for screen in screens:
                        key_frame(screen, KEY_FRAME * frame)
                    await asyncio.sleep(0.05)
                return [(await screen.close()).streams[0] for screen in screens]
            finally:
                await pool.stop()

        streams = asyncio.run(play())

        assert [s.kernel_drops for s in streams] == [0] * calls
        assert [s.authentic for s in streams] == [3 * KEY_FRAME] * calls
        assert [s.lost for s in streams] == [0] * calls

    def test_does_not_wait_for_the_sweep_of_audio(self, tmp_path: Path) -> None:
        async def play() -> tuple[int, int]:
            pool = MediaPool(config(tick_s=3.0, video_tick_s=0.02))
            await pool.start()
            try:
                keys = [(SUITE, os.urandom(30))]
                audio = await TapCall(pool, tmp_path, keys=keys).open()
                video = await TapCall(pool, tmp_path, keys=keys, media="video").open()
                ports = audio.ports[0].rtp, video.ports[0].rtp
                audio.talk(5)
                # The first sweep of all tells the worker that there is video.
                await eventually(lambda: True if not waiting(ports[0]) else None)
                audio.talk(5)
                key_frame(video, 0)
                await eventually(lambda: True if not waiting(ports[1]) else None)
                found = waiting(ports[0]), waiting(ports[1])
                await audio.close()
                await video.close()
                return found
            finally:
                await pool.stop()

        audio, video = asyncio.run(play())

        assert audio > 0
        assert video == 0


class TestASenderBeyondItsShare:
    @pytest.mark.parametrize("rate", [pytest.param(100, id="M27")])
    def test_loses_its_own_packets_only_and_is_counted(
        self, tmp_path: Path, rate: int
    ) -> None:
        async def play() -> tuple[StreamCounters, StreamCounters, int]:
            pool = MediaPool(config(tick_s=0.2, audio_batches=2))
            await pool.start()
            try:
                keys = [(SUITE, os.urandom(30))]
                loud = await TapCall(pool, tmp_path, keys=keys).open()
                quiet = await TapCall(pool, tmp_path, keys=keys).open()
                sent = 0
                for _ in range(100):
                    loud.talk(rate)
                    sent += rate
                    quiet.talk(1)
                    await asyncio.sleep(0.01)
                return (
                    (await loud.close()).streams[0],
                    (await quiet.close()).streams[0],
                    sent,
                )
            finally:
                await pool.stop()

        loud, quiet, sent = asyncio.run(play())

        assert (quiet.authentic, quiet.lost, quiet.over_budget) == (100, 0, 0)
        assert loud.over_budget > 0
        assert loud.authentic + loud.kernel_drops == sent
        assert sum(loud.rejected.values()) == 0
