"""What others say about our files: tshark about captures, ffmpeg about audio."""

import json
import shutil
import subprocess
import wave
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.simulators.calls import (
    MS,
    START_NS,
    Phone,
    Sent,
    added,
    babble,
    capture,
    companded,
    heard,
    record,
)
from vault.renditions.flac import FlacWriter
from vault.renditions.m4a import M4aWriter
from vault.renditions.mixdown import Timeline, timeline_of
from vault.renditions.packets import CaptureReader, StreamPackets
from vault.renditions.pcapng import to_pcapng
from vault.tap.capture import Kind

pytestmark = pytest.mark.peer

tshark = pytest.mark.skipif(
    not shutil.which("tshark"), reason="tshark is not installed"
)
ffmpeg = pytest.mark.skipif(
    not shutil.which("ffmpeg"), reason="ffmpeg is not installed"
)

PORTS = (40000, 40002)
_CHECKED = ("-oudp.check_checksum:TRUE", "-oip.check_checksum:TRUE")
_BAD = "_ws.malformed or udp.checksum.status == bad or ip.checksum.status == bad"


def read(part: bytes) -> tuple[StreamPackets, ...]:
    reader = CaptureReader()
    reader.feed(part)
    reader.end_part()
    return reader.finish()


def faulty_call() -> bytes:
    """Two parties, one with loss, duplicates and packets out of order."""
    agent = Phone(stream=0, ssrc=0xAAAA0001).say(babble(20, seed=1))
    rough = Phone(stream=1, ssrc=0xBBBB0002).say(babble(20, seed=2))
    wait = np.random.default_rng(4).integers(0, 25, len(rough))
    rough = [
        Sent(each.at_ns + int(wait[n]) * MS, 1, each.octets)
        for n, each in enumerate(rough)
        if n % 17 != 5
    ]
    rough += [Sent(each.at_ns + MS, 1, each.octets) for each in rough[10:14]]
    reports = [
        record(Kind.RTCP, 0, bytes.fromhex("80c80006aaaa0001") + bytes(20), at_ns=at)
        for at in (START_NS + 1, START_NS + 2)
    ]
    return capture(
        agent + rough,
        added(0, "agent", remote=("192.0.2.10", 5004)),
        added(1, "customer", remote=("2001:db8::10", 5006)),
    ) + b"".join(reports)


def streams_by_tshark(file: Path) -> dict[int, dict[str, str]]:
    """Return tshark's own RTP analysis, by SSRC."""
    decode_as = [f"-dudp.port=={port},rtp" for port in PORTS]
    said = subprocess.run(
        ["tshark", "-r", file, *decode_as, "-q", "-z", "rtp,streams"],
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    found = {}
    for line in said.splitlines():
        words = line.split()
        if len(words) > 10 and any(word.startswith("0x") for word in words):
            at = next(n for n, word in enumerate(words) if word.startswith("0x"))
            payload = words[at + 1 :]
            numbers = [word for word in payload if word.replace(".", "").isdigit()]
            found[int(words[at], 16)] = {
                "packets": numbers[0],
                "lost": payload[payload.index(numbers[0]) + 1],
            }
    return found


@tshark
class TestTshark:
    @pytest.fixture
    def exported(self, tmp_path: Path) -> Path:
        file = tmp_path / "call.pcapng"
        part = faulty_call()
        blocks = (part[at : at + 10_000] for at in range(0, len(part), 10_000))
        file.write_bytes(b"".join(to_pcapng(blocks)))
        return file

    def test_counts_the_packets_and_losses_that_we_count(self, exported: Path) -> None:
        timeline = timeline_of(read(faulty_call()))
        runs = [
            run
            for channel in timeline.channels
            for track in channel.tracks
            for leg in track.legs
            for run in leg
        ]

        theirs = streams_by_tshark(exported)

        assert {run.ssrc: str(run.received) for run in runs} == {
            ssrc: stream["packets"] for ssrc, stream in theirs.items()
        }
        # tshark subtracts duplicates from its losses, RFC 3550 fashion.
        assert {run.ssrc: run.lost - run.duplicated for run in runs} == {
            ssrc: int(stream["lost"]) for ssrc, stream in theirs.items()
        }

    def test_finds_nothing_malformed_and_all_checksums_right(
        self, exported: Path
    ) -> None:
        said = subprocess.run(
            ["tshark", "-r", exported, *_CHECKED, "-Y", _BAD],
            capture_output=True,
            check=True,
            text=True,
        ).stdout

        assert said == ""

    def test_sees_addresses_ports_names_and_nanoseconds(self, exported: Path) -> None:
        fields = ["ip.src", "ip.dst", "udp.srcport", "udp.dstport"]
        fields += ["frame.interface_name", "frame.time_epoch"]
        said = subprocess.run(
            ["tshark", "-r", exported, "-c", "1", "-T", "json"]
            + [word for name in fields for word in ("-e", name)],
            capture_output=True,
            check=True,
            text=True,
        ).stdout

        (layers,) = (each["_source"]["layers"] for each in json.loads(said))
        assert layers["ip.src"] == ["192.0.2.10"]
        assert (layers["udp.srcport"], layers["udp.dstport"]) == (["5004"], ["40000"])
        assert layers["frame.interface_name"] == ["agent"]
        # As seconds since the epoch, or as a date from tshark 4.2 on.
        assert "9.023000000" in layers["frame.time_epoch"][0]


def conversation(shared: Path) -> dict[str, np.ndarray]:
    voices = {}
    for label in ("agent", "customer"):
        with wave.open(str(shared / "media" / f"{label}.wav")) as file:
            octets = file.readframes(file.getnframes())
        voices[label] = np.frombuffer(octets, "<i2")
    return voices


def spoken(voices: dict[str, np.ndarray], *, loss: Sequence[int] = ()) -> Timeline:
    packets = []
    for n, samples in enumerate(voices.values()):
        phone = Phone(stream=n, ssrc=n + 1, delay_ns=(3 + 4 * n) * MS)
        sent = phone.say(companded(samples))
        packets += [each for k, each in enumerate(sent) if k not in loss]
    events = [added(n, label) for n, label in enumerate(voices)]
    return timeline_of(read(capture(packets, *events)))


@ffmpeg
class TestFfmpeg:
    @pytest.mark.parametrize("writer", [FlacWriter, M4aWriter])
    def test_hears_each_party_in_its_ear(
        self,
        shared: Path,
        tmp_path: Path,
        writer: type[FlacWriter] | type[M4aWriter],
    ) -> None:
        voices = conversation(shared)
        timeline = spoken(voices)
        made = writer(channels=2)
        for block in timeline.blocks():
            made.write(block)
        file = tmp_path / "call"
        file.write_bytes(made.finish())

        raw = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", file, "-ar", "8000", "-f", "s16le", "-"],
            capture_output=True,
            check=True,
        ).stdout
        ears = np.frombuffer(raw, "<i2").reshape(-1, 2).T.astype(np.float64)

        for ear, voice in zip(ears, voices.values(), strict=True):
            size = min(len(ear), len(voice))
            offset = best_offset(ear[:size], voice[:size].astype(np.float64))
            assert abs(offset) <= 80
            aligned = np.roll(ear[:size], -offset)
            assert np.corrcoef(aligned, voice[:size])[0, 1] > 0.97

    def test_decodes_the_left_channel_to_the_mu_law_of_the_agent(
        self, shared: Path, tmp_path: Path
    ) -> None:
        voices = conversation(shared)
        timeline = spoken(voices)
        flac = FlacWriter(channels=2)
        for block in timeline.blocks():
            flac.write(block)
        file = tmp_path / "call.flac"
        file.write_bytes(flac.finish())

        raw = subprocess.run(
            ["ffmpeg", "-v", "error", "-i", file, "-f", "s16le", "-"],
            capture_output=True,
            check=True,
        ).stdout
        left = np.frombuffer(raw, "<i2")[::2]

        expected = heard(companded(voices["agent"]))
        count = len(expected) // 160 * 160
        assert np.array_equal(expected[:count], left[:count])


def best_offset(ear: np.ndarray, voice: np.ndarray) -> int:
    size = 1 << (len(ear) * 2 - 1).bit_length()
    product = np.fft.rfft(ear, size) * np.conj(np.fft.rfft(voice, size))
    peak = int(np.fft.irfft(product, size).argmax())
    return peak if peak < size // 2 else peak - size


def test_loss_in_a_conversation_leaves_the_rest_in_place(shared: Path) -> None:
    voices = conversation(shared)
    lost = set(range(100, 160)) | {7, 900, 901}

    whole, holed = (
        np.concatenate(list(each.blocks()), axis=1)
        for each in (spoken(voices), spoken(voices, loss=tuple(lost)))
    )

    different = np.flatnonzero(whole[0] != holed[0])
    assert whole.shape == holed.shape
    assert set((different // 160).tolist()) <= lost
