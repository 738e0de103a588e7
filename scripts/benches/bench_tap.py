"""What one packet costs the media worker, and what others pay for the same work.

Loopback, G.711 at 50 packets/s, two legs a call, own key and port per leg, each
call sealed into its own file.  CPU is what the kernel charges the receiving process
(user and system, /proc/PID/schedstat) from the first to the last packet; idle
ticks and status reports in that time are charged, too.  Variants take turns, and
medians are printed.  Not in the figures: the cost of a network card's interrupts.
"""

import asyncio
import contextlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "tap"), str(HERE.parents[1])]

from load import PACKETS_PER_S, key_of  # noqa: E402 - after the path is set

from vault.core.ids import new_recording_id  # noqa: E402
from vault.core.media import STATIC_PAYLOADS, SrtpSuite  # noqa: E402
from vault.core.secrets import SecretBytes  # noqa: E402
from vault.tap.config import TapConfig  # noqa: E402
from vault.tap.orders import CallOrder, StreamOrder  # noqa: E402
from vault.tap.pool import MediaPool  # noqa: E402

PORT = 12000
"Below the ephemeral ports, which anyone may hold."
PACKETS_PER_CALL_S = 2 * PACKETS_PER_S
VAULT = "callvault"


def cpu_us(pid: int) -> float:
    """Return the CPU time that a process has used, in microseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1000


class Load:
    """The sender, a process of its own."""

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


def python(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(HERE.parents[1])}
    return subprocess.Popen(
        [sys.executable, str(HERE / "tap" / script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )


def expect(process: subprocess.Popen[bytes], line: str) -> None:
    said = process.stdout.readline().decode().strip()
    if said != line:
        raise RuntimeError(f"expected {line}, got {said!r}")


def finish(process: subprocess.Popen[bytes]) -> None:
    process.stdin.close()
    process.stdout.close()
    process.wait()


def measure_sink(
    mode: str, calls: int, suite: SrtpSuite, seconds: float, library: str
) -> tuple[float, int, int]:
    """Return CPU µs per packet, packets received, packets sent."""
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        load = Load(2 * calls, suite, seconds)
        sink = python(
            "sinks.py", mode, str(2 * calls), str(PORT), str(suite), folder, library
        )
        expect(sink, "READY")
        load.wait_until_ready()
        before = cpu_us(sink.pid)
        sent = load.send()
        used = cpu_us(sink.pid) - before
        packets = json.loads(sink.stdout.readline())["packets"]
        finish(sink)
        return used / max(packets, 1), packets, sent


def measure_vault(
    calls: int, suite: SrtpSuite, seconds: float
) -> tuple[float, int, int]:
    """Measure the one worker of a real pool, as the recorder runs it."""
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        return asyncio.run(_vault(Path(folder), calls, suite, seconds))


async def _vault(
    folder: Path, calls: int, suite: SrtpSuite, seconds: float
) -> tuple[float, int, int]:
    load = Load(2 * calls, suite, seconds)
    pool = MediaPool(TapConfig(workers=1, ports=(PORT, PORT + 4 * calls + 1)))
    await pool.start()
    orders = []
    for number in range(calls):
        ports = pool.reserve(2)
        path = folder / f"call{number}"
        streams = tuple(
            StreamOrder(
                index=leg,
                label=("agent", "customer")[leg],
                media="audio",
                suite=suite,
                key=SecretBytes(key_of(2 * number + leg, suite)),
                payloads=(STATIC_PAYLOADS[0],),
                ports=ports[leg],
            )
            for leg in range(2)
        )
        orders.append(
            CallOrder(
                recording_id=new_recording_id(),
                dek=SecretBytes(os.urandom(32)),
                streams=streams,
                open_part=lambda part, path=path: os.open(
                    f"{path}.{part}", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600
                ),
            )
        )
        await pool.open_call(orders[-1])
    await asyncio.to_thread(load.wait_until_ready)
    (pid,) = pool.worker_pids
    before = cpu_us(pid)
    sent = await asyncio.to_thread(load.send)
    await asyncio.sleep(0.3)
    used = cpu_us(pid) - before
    reports = await asyncio.gather(*(pool.close_call(o.recording_id) for o in orders))
    await pool.stop()
    packets = sum(s.authentic for report in reports for s in report.streams)
    return used / max(packets, 1), packets, sent


def scratch() -> str | None:
    """Keep the disk out of the figures: it is the same for all variants."""
    memory = Path("/dev", "shm")
    return str(memory) if memory.is_dir() else None


def build_limit(folder: Path) -> str:
    """Compile the C limit; an empty name and a reason on stderr if it can't be."""
    compiler = shutil.which("cc")
    target = folder / "limit.so"
    if compiler is None:
        print("no C compiler: c-sweep and c-epoll are left out", file=sys.stderr)
        return ""
    done = subprocess.run(
        [
            *(compiler, "-O2", "-shared", "-fPIC", "-Wall", "-Wextra"),
            *("-o", str(target), str(HERE / "tap/limit.c"), "-lcrypto"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"limit.c: {done.stderr}", file=sys.stderr)
        return ""
    return str(target)


def say(
    metric: str, value: float, unit: str, params: dict[str, object], **more: object
) -> None:
    line = {"bench": "tap", "metric": metric, "value": round(value, 3), "unit": unit}
    print(json.dumps({**line, "params": params, **more}), flush=True)


def compare(calls: int, suite: SrtpSuite, *, quick: bool, library: str) -> None:
    """Measure all variants at one number of calls, in turns."""
    rounds, seconds = (1, 4.0) if quick else (3, 6.0)
    others = ["asyncio"] + (["c-sweep", "c-epoll"] if library else [])
    found: dict[str, list[float]] = {name: [] for name in (VAULT, *others)}
    lost: dict[str, int] = dict.fromkeys(found, 0)
    for _ in range(rounds):
        for name, figures in found.items():
            if name == VAULT:
                used, packets, sent = measure_vault(calls, suite, seconds)
            else:
                used, packets, sent = measure_sink(name, calls, suite, seconds, library)
            figures.append(used)
            lost[name] += sent - packets
    params = {
        "calls": calls,
        "legs": 2,
        "suite": str(suite),
        "tick_ms": 200,
        "seconds": seconds,
        "rounds": rounds,
    }
    ours = statistics.median(found[VAULT])
    for name, figures in found.items():
        median = statistics.median(figures)
        given = {**params, "variant": name, "lost_packets": lost[name]}
        against = {}
        if name != VAULT:
            paired = [a / b for a, b in zip(found[VAULT], figures, strict=True)]
            against = {"against": name, "ratio": round(statistics.median(paired), 3)}
        value = ours if name == VAULT else median
        say("cpu_us_per_packet", value, "us", given, **against)
        if name == VAULT:
            say("calls_per_core", 1e6 / ours / PACKETS_PER_CALL_S, "calls", given)


def main(*, quick: bool) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.suppress(KeyboardInterrupt),
    ):
        library = build_limit(Path(folder))
        for calls in (100, 500):
            compare(
                calls, SrtpSuite.AES_CM_128_HMAC_SHA1_80, quick=quick, library=library
            )
        if not quick:
            compare(500, SrtpSuite.AEAD_AES_256_GCM, quick=quick, library=library)


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
