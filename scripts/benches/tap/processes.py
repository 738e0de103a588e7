"""The processes of a bench: senders and sinks, and what the kernel charges them."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from vault.core.media import SrtpSuite

PORT = int(os.environ.get("BENCH_PORT", "12000"))
"First of the ports used: below the ephemeral ones, which anyone may hold."

_HERE = Path(__file__).resolve().parent
_ROOT = _HERE.parents[2]


def cpu_us(pid: int) -> float:
    """Return the CPU time that all threads of a process have used."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks) / 1000


def resident_bytes(pid: int) -> int:
    """Return the memory of a process that is in RAM."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def scratch() -> str | None:
    """Keep the disk out of the figures: it is the same for all variants."""
    memory = Path("/dev", "shm")
    return str(memory) if memory.is_dir() else None


def python(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start a script of this folder with its pipes."""
    return subprocess.Popen(
        [sys.executable, str(_HERE / script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )


def expect(process: subprocess.Popen[bytes], line: str) -> None:
    """Wait until a script says *line*."""
    said = process.stdout.readline().decode().strip()
    if said != line:
        raise RuntimeError(f"expected {line}, got {said!r}")


def finish(process: subprocess.Popen[bytes]) -> None:
    """Close the pipes of a script and wait for its end."""
    process.stdin.close()
    process.stdout.close()
    process.wait()


class Load:
    """The sender, a process of its own on the last core."""

    def __init__(self, streams: int, suite: SrtpSuite, seconds: float) -> None:
        self._process = python(
            "load.py", str(streams), str(PORT), str(suite), str(seconds)
        )

    def wait_until_ready(self) -> None:
        expect(self._process, "READY")

    def send(self) -> int:
        self._process.stdin.write(b"go\n")
        self._process.stdin.flush()
        sent = json.loads(self._process.stdout.readline())["sent"]
        finish(self._process)
        return sent


def measure_sink(
    mode: str, streams: int, suite: SrtpSuite, seconds: float, library: str = ""
) -> tuple[float, int, int]:
    """Return CPU µs per packet, packets received, packets sent of a sink."""
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        load = Load(streams, suite, seconds)
        sink = python(
            "sinks.py", mode, str(streams), str(PORT), str(suite), folder, library
        )
        expect(sink, "READY")
        load.wait_until_ready()
        before = cpu_us(sink.pid)
        sent = load.send()
        used = cpu_us(sink.pid) - before
        packets = json.loads(sink.stdout.readline())["packets"]
        finish(sink)
        return used / max(packets, 1), packets, sent
