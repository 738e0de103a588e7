import hashlib
import io
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from vault.renditions.flac import FlacWriter


def noise(channels: int, seconds: float) -> np.ndarray:
    random = np.random.default_rng(7)
    return random.integers(-9000, 9000, (channels, int(8000 * seconds)), np.int16)


def written(*blocks: np.ndarray) -> bytes:
    writer = FlacWriter(channels=len(blocks[0]))
    for block in blocks:
        writer.write(block)
    return writer.finish()


def decoded(file: bytes, channels: int, *, from_s: float = 0) -> np.ndarray:
    with av.open(io.BytesIO(file)) as container:
        if from_s:
            container.seek(int(from_s * 1_000_000))
        frames = [each.to_ndarray() for each in container.decode(audio=0)]
    return np.concatenate(frames, axis=1).reshape(-1, channels).T


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("seconds", [0.001, 0.072, 1, 25.3])
def test_every_sample_survives(channels: int, seconds: float) -> None:
    samples = noise(channels, seconds)

    assert np.array_equal(samples, decoded(written(samples), channels))


def test_blocks_are_one_file() -> None:
    samples = noise(2, 10)

    assert written(samples) == written(samples[:, :24_001], samples[:, 24_001:])


def test_streaminfo_has_length_and_md5_of_the_samples() -> None:
    samples = noise(2, 3)

    streaminfo = written(samples)[8:42]

    assert 24_000 == int.from_bytes(streaminfo[13:18], "big") & 0xF_FFFF_FFFF
    assert hashlib.md5(samples.T.tobytes()).digest() == streaminfo[18:34]


def test_the_seek_table_points_at_frames() -> None:
    file = written(noise(2, 6))
    size = int.from_bytes(file[43:46], "big")
    table = file[46 : 46 + size]
    frames = 46 + size
    points = [
        (
            int.from_bytes(table[at : at + 8], "big"),
            int.from_bytes(table[at + 8 : at + 16], "big"),
        )
        for at in range(0, size, 18)
    ]

    assert file[42] == 0x83
    assert [0, 9_216, 16_128, 25_344, 32_256, 41_472] == [n for n, _ in points]
    assert {b"\xff\xf8"} == {file[frames + at : frames + at + 2] for _, at in points}


def test_a_decoder_seeks_in_it() -> None:
    samples = noise(2, 60)

    tail = decoded(written(samples), 2, from_s=45)

    assert np.array_equal(samples[:, -8000:], tail[:, -8000:])
    assert tail.shape[1] < 8000 * 20


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="ffmpeg is not installed")
def test_ffmpeg_finds_no_fault_in_it(tmp_path: Path) -> None:
    file = tmp_path / "x.flac"
    file.write_bytes(written(noise(2, 5)))

    said = subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-err_detect",
            "explode",
            "-i",
            file,
            "-f",
            "null",
            "-",
        ],
        capture_output=True,
        check=True,
    )

    assert said.stderr == b""
