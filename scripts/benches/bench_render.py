"""How fast a finished call becomes playable, against ffmpeg encoding the same legs.

The call is the packaged conversation, repeated: two G.711 legs, 20 ms packets, sealed
as the tap seals it.  *Finalise* is everything a worker does at hang-up: manifest and
digests checked, capture opened, parsed, placed, decoded, FLAC, peaks and certificate
made, sealed, stored in a folder and synced, row written.  The warden answers from
memory (its share is in `bench playback`).  CPU is user and system time; variants take
turns, medians are printed.
"""

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import structlog

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.simulators.calls import Phone, Vault, added, capture  # noqa: E402 - the path is set first
from vault.tap.simulate import conversation  # noqa: E402 - as above

FFMPEG = "ffmpeg"


def legs(seconds: int) -> list[np.ndarray]:
    voices = [
        np.frombuffer(conversation(who), np.uint8) for who in ("agent", "customer")
    ]
    return [np.resize(voice, seconds * 8000) for voice in voices]


def call(voices: list[np.ndarray]) -> bytes:
    packets = [
        packet
        for n, voice in enumerate(voices)
        for packet in Phone(stream=n, ssrc=n + 1).say(voice)
    ]
    return capture(packets, added(0, "agent"), added(1, "customer"))


class Spent:
    """CPU and wall time of a block, of this process or of its children."""

    def __init__(self, who: int) -> None:
        self._who = who

    def __enter__(self) -> Self:
        self._cpu, self._wall = self._now(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.cpu_s = self._now() - self._cpu
        self.wall_s = time.perf_counter() - self._wall

    def _now(self) -> float:
        used = resource.getrusage(self._who)
        return used.ru_utime + used.ru_stime


def finalise(vault: Vault, part: bytes) -> Spent:
    vault.captured(part)
    worker = vault.worker()
    with Spent(resource.RUSAGE_SELF) as spent:
        assert worker.run_once()
    return spent


def convert(vault: Vault, part: bytes) -> Spent:
    id = vault.captured(part)
    worker = vault.worker()
    worker.run_once()
    vault.recordings.want(id, "audio/mp4")
    with Spent(resource.RUSAGE_SELF) as spent:
        assert worker.run_once()
    return spent


def ffmpeg(files: list[Path], target: Path, codec: list[str]) -> Spent:
    inputs = [
        word
        for file in files
        for word in ("-f", "mulaw", "-ar", "8000", "-ac", "1", "-i", str(file))
    ]
    mix = ["-filter_complex", "[0:a][1:a]join=inputs=2:channel_layout=stereo"]
    with Spent(resource.RUSAGE_CHILDREN) as spent:
        subprocess.run(
            [
                FFMPEG,
                "-y",
                "-v",
                "error",
                "-threads",
                "1",
                *inputs,
                *mix,
                *codec,
                target,
            ],
            check=True,
        )
    return spent


def main(*, quick: bool) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    seconds, rounds = (60, 3) if quick else (300, 7)
    voices = legs(seconds)
    part = call(voices)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = [folder / f"leg{n}.ul" for n in range(len(voices))]
        for file, voice in zip(files, voices, strict=True):
            file.write_bytes(voice.tobytes())
        vault = Vault(folder / "vault")
        flac, aac = ["-c:a", "flac"], ["-ar", "16000", "-c:a", "aac", "-b:a", "48k"]
        pairs: dict[str, tuple[Callable[[], Spent], Callable[[], Spent]]] = {
            "finalise_flac": (
                lambda: finalise(vault, part),
                lambda: ffmpeg(files, folder / "out.flac", flac),
            ),
            "convert_m4a": (
                lambda: convert(vault, part),
                lambda: ffmpeg(
                    files, folder / "out.m4a", [*aac, "-movflags", "+faststart"]
                ),
            ),
        }
        for metric, (ours, theirs) in pairs.items():
            measure(metric, seconds, rounds, ours, theirs)
        vault.close()


def measure(
    metric: str,
    seconds: int,
    rounds: int,
    ours: Callable[[], Spent],
    theirs: Callable[[], Spent],
) -> None:
    has_ffmpeg = shutil.which(FFMPEG) is not None
    ours()  # imports, tables and caches are not what is measured
    mine, others = [], []
    for _ in range(rounds):
        mine.append(ours())
        if has_ffmpeg:
            others.append(theirs())
    params = {"call_s": seconds, "legs": 2, "codec": "PCMU", "rounds": rounds}
    cpu_s = statistics.median(each.cpu_s for each in mine)
    wall_s = statistics.median(each.wall_s for each in mine)
    say(metric, seconds / cpu_s, "x real time (CPU)", params)
    say(metric, seconds / wall_s, "x real time (wall)", params)
    line: dict[str, object] = {}
    if others:
        theirs_s = statistics.median(each.cpu_s for each in others)
        line = {"against": "ffmpeg", "ratio": round(cpu_s / theirs_s, 3)}
    say(metric, cpu_s * 1000, "ms CPU", params, **line)


def say(
    metric: str, value: float, unit: str, params: dict[str, object], **more: object
) -> None:
    line = {"bench": "render", "metric": metric, "value": round(value, 2)}
    print(json.dumps({**line, "unit": unit, "params": params, **more}), flush=True)


if __name__ == "__main__":
    os.chdir(ROOT)
    main(quick="--quick" in sys.argv)
