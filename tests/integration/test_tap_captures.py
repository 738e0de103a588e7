"""Captures that other senders made, replayed into a media worker."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

from tests.simulators.tap_calls import TapCall, config, datagrams
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.capture import Kind
from vault.tap.orders import CallReport, StreamChange
from vault.tap.pool import MediaPool
from vault.tap.rtp import RtpPacket

pytestmark = pytest.mark.network

VECTORS = Path(__file__).resolve().parents[1] / "vectors/tap"
CAPTURES = json.loads((VECTORS / "captures.json").read_text())


def replayed(
    name: str, pcap: Path, about: dict, folder: Path
) -> tuple[TapCall, CallReport]:
    """Send a capture's datagrams to a fresh call and close it."""

    async def play() -> tuple[TapCall, CallReport]:
        pool = MediaPool(config())
        await pool.start()
        try:
            key = base64.b64decode(about["key"])
            suite = SrtpSuite(about["suite"])
            call = await TapCall(pool, folder, keys=[(suite, key)]).open()
            packets = list(datagrams(pcap))
            for number, (port, octets) in enumerate(packets):
                if "next_key" in about and number == len(packets) // 2:
                    fresh = SecretBytes(base64.b64decode(about["next_key"]))
                    change = StreamChange(index=0, suite=suite, key=fresh)
                    await pool.change_stream(call.id, change)
                call.send(octets, rtcp=port != about["port"])
                if number % 50 == 0:
                    await asyncio.sleep(0.01)
            return call, await call.close()
        finally:
            await pool.stop()

    return asyncio.run(play())


@pytest.mark.parametrize("name", CAPTURES)
class TestACapture:
    def test_is_taken_in_packet_by_packet(self, name: str, tmp_path: Path) -> None:
        about = CAPTURES[name]
        call, report = replayed(name, VECTORS / f"{name}.pcap", about, tmp_path)
        (stream,) = report.streams
        packets = [RtpPacket.parse(octets) for octets in call.rtp(call.plaintext())]
        by_ssrc = {f"{s.ssrc:08x}": s.packets for s in stream.ssrcs}

        assert by_ssrc == about["rtp"]
        assert len(packets) == stream.authentic == sum(about["rtp"].values())
        assert {p.payload_type for p in packets} == {
            {"PCMU": 0, "PCMA": 8}[about["encoding"]]
        }
        assert stream.rtcp == about["rtcp"]
        assert stream.rejected.get("replayed", 0) == about["duplicates"]


class TestPlainReports:
    def test_beside_good_srtcp_are_dropped_and_never_believed(
        self, tmp_path: Path
    ) -> None:
        about = CAPTURES["bs_pcma_plain_rtcp"]
        call, report = replayed(
            "plain", VECTORS / "bs_pcma_plain_rtcp.pcap", about, tmp_path
        )
        reports = call.records(call.plaintext(), Kind.RTCP)

        assert report.complete
        assert report.streams[0].rejected["rtcp-unauthenticated"] >= 1
        assert report.streams[0].undecryptable_kept == 0
        assert len(reports) == 1


class TestALossyCapture:
    def test_has_as_many_holes_as_were_made(self, tmp_path: Path) -> None:
        about = CAPTURES["imp_loss_reorder_dup"]
        _, report = replayed(
            "lossy", VECTORS / "imp_loss_reorder_dup.pcap", about, tmp_path
        )

        assert report.streams[0].lost == 14


class TestTheOtherSharedCaptures:
    @pytest.mark.parametrize("name", ["ff_pcmu_sha80", "ff_ssrc_change", "x11_h264"])
    def test_are_taken_in_packet_by_packet(
        self, name: str, shared: Path, tmp_path: Path
    ) -> None:
        keys = json.loads((shared / "media/keys.json").read_text())
        expected = json.loads((shared / "media/expected.json").read_text())
        stream = keys[f"{name}.pcap"]["streams"][0]
        about = {**stream, "key": stream["key_b64"]}
        pcap = shared / f"media/{name}.pcap"
        _, report = replayed(name, pcap, about, tmp_path)
        wanted = expected[f"{name}.pcap:{stream['port']}"]
        by_ssrc = {f"{s.ssrc:08x}": s.packets for s in report.streams[0].ssrcs}

        assert by_ssrc == {k: v["pkts"] for k, v in wanted["ssrcs"].items()}
        assert report.streams[0].rtcp == wanted["counts"]["rtcp ok"]
