"""Senders of whole calls: our simulated PBX, and ffmpeg, which we did not write."""

import asyncio
import base64
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulators.tap_calls import TapCall, config
from vault.core.flow import Allowance
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.sip.offer import read_offer
from vault.tap.capture import Kind
from vault.tap.orders import CallReport, MkiKey
from vault.tap.pool import MediaPool
from vault.tap.rtcp import SenderReport, parse_compound
from vault.tap.rtp import RtpPacket
from vault.tap.simulate import Sent, SimulatedCall

pytestmark = pytest.mark.network


def answer(call: TapCall) -> str:
    lines = ["v=0", "c=IN IP4 127.0.0.1"]
    lines += [f"m=audio {pair.rtp} RTP/SAVP 0" for pair in call.ports]
    return "\r\n".join(lines)


def play(
    folder: Path, simulated: SimulatedCall, told: list[float]
) -> tuple[TapCall, CallReport, tuple[Sent, ...]]:
    """Send a call to a pool of its own."""

    async def scene() -> tuple[TapCall, CallReport, tuple[Sent, ...]]:
        pool = MediaPool(config())
        await pool.start()
        text = simulated.build_offer()
        cryptos = [
            stream.crypto
            for stream in read_offer(text, allowed=frozenset(Allowance)).streams
            if stream.crypto is not None
        ]
        keys = [(crypto.suite, crypto.key.reveal()) for crypto in cryptos]
        call = TapCall(pool, folder, keys=keys)
        call.streams = tuple(
            replace(
                order,
                mkis=tuple(MkiKey(mki=one.mki, key=one.key) for one in crypto.mkis),
                remote=("127.0.0.1", 0),
            )
            for order, crypto in zip(call.streams, cryptos, strict=True)
        )
        await call.open()
        sent = await asyncio.to_thread(
            simulated.send, answer(call), lambda at, _: told.append(at)
        )
        report = await call.close()
        await pool.stop()
        return call, report, sent

    return asyncio.run(scene())


class TestASimulatedCall:
    @pytest.mark.parametrize("suite", list(SrtpSuite))
    def test_arrives_as_it_was_sent(self, tmp_path: Path, suite: SrtpSuite) -> None:
        told: list[float] = []
        simulated = SimulatedCall(suite=suite, encodings=("PCMU", "PCMA"), seconds=1.0)

        call, report, sent = play(tmp_path, simulated, told)
        plaintext = call.plaintext()
        reports = call.records(plaintext, Kind.RTCP, 1)
        last = SenderReport.read(next(parse_compound(reports[-1].octets)))
        types = [RtpPacket.parse(o).payload_type for o in call.rtp(plaintext, 1)]

        assert [s.packets for s in sent] == [50, 50]
        assert [s.authentic for s in report.streams] == [50, 50]
        assert [s.rtcp for s in report.streams] == [s.reports for s in sent] == [2, 2]
        assert (last.packets, last.octets) == (50, 8000)
        assert types == [8] * 50
        assert told == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8])

    @pytest.mark.parametrize(
        ("suite", "size"),
        [
            (SrtpSuite.AES_CM_128_HMAC_SHA1_80, 1),
            (SrtpSuite.AES_256_CM_HMAC_SHA1_80, 4),
            (SrtpSuite.AEAD_AES_128_GCM, 128),
        ],
    )
    def test_arrives_with_a_name_of_its_key_in_each_packet(
        self, tmp_path: Path, suite: SrtpSuite, size: int
    ) -> None:
        simulated = SimulatedCall(suite=suite, seconds=0.5, mki_size_bytes=size)

        call, report, _ = play(tmp_path, simulated, [])
        packets = [RtpPacket.parse(octets) for octets in call.rtp(call.plaintext())]

        assert [s.authentic for s in report.streams] == [25, 25]
        assert [s.rtcp for s in report.streams] == [2, 2]
        assert {len(packet.payload) for packet in packets} == {160}


@pytest.mark.peer
class TestFfmpeg:
    def test_is_heard_in_full(self, tmp_path: Path) -> None:
        ffmpeg = shutil.which("ffmpeg")
        if ffmpeg is None:
            pytest.skip("ffmpeg is not installed")
        suite = SrtpSuite.AES_CM_128_HMAC_SHA1_80
        key = SecretBytes(os.urandom(suite.master_size_bytes))

        async def play() -> tuple[TapCall, CallReport]:
            pool = MediaPool(config())
            await pool.start()
            call = await TapCall(pool, tmp_path, keys=[(suite, key.reveal())]).open()
            await asyncio.to_thread(
                subprocess.run,
                [
                    *(ffmpeg, "-loglevel", "error", "-re", "-f", "lavfi"),
                    *("-i", "sine=frequency=440:sample_rate=8000:duration=2"),
                    *("-c:a", "pcm_mulaw", "-f", "rtp"),
                    *("-srtp_out_suite", str(suite), "-srtp_out_params"),
                    base64.b64encode(key.reveal()).decode(),
                    f"srtp://127.0.0.1:{call.ports[0].rtp}?pkt_size=186",
                ],
                check=True,
                stdin=subprocess.DEVNULL,
            )
            report = await call.close()
            await pool.stop()
            return call, report

        call, report = asyncio.run(play())
        packets = [RtpPacket.parse(octets) for octets in call.rtp(call.plaintext())]

        assert sum(len(packet.payload) for packet in packets) == 16000
        assert report.streams[0].lost == 0
        assert report.streams[0].rtcp >= 1
        assert dict(report.streams[0].rejected) == {}
