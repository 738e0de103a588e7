"""Recorders that people use today, on the same streams: one process per call.

They decrypt and write plaintext; nothing of what they write is sealed.  A peer that
is not installed is left out, with a line on standard error.
"""

import base64
import contextlib
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from load import key_of
from ours import measure
from processes import PORT, Load, cpu_us, measure_sink, scratch

from vault.core.media import SrtpSuite

SUITE = SrtpSuite.AES_CM_128_HMAC_SHA1_80
FIRST_SSRC = 0x10000
OCTETS_PER_PACKET = 160
Line = tuple[str, float, str, dict[str, object], dict[str, object]]


def side_by_side(calls: int, rounds: int, seconds: float) -> Iterator[Line]:
    """Yield CPU per call and calls per core of every peer, and ours beside them."""
    variants: dict[str, Callable[[], float]] = {
        "callvault": lambda: measure(2 * calls, SUITE, seconds).cpu_us,
        "asyncio": lambda: _sink(calls, seconds),
    }
    for name, command in (("ffmpeg", _ffmpeg), ("gstreamer", _gstreamer)):
        program = command(0, Path("/"))[0]
        if shutil.which(program) is None:
            print(f"{name}: {program} is not installed; left out", file=sys.stderr)
            continue
        variants[name] = lambda command=command: _processes(command, calls, seconds)
    used: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, run in variants.items():
            used[name].append(run())
    params: dict[str, object] = {"calls": calls, "seconds": seconds, "rounds": rounds}
    for name, figures in used.items():
        cores = statistics.median(figures) / 1e6 / seconds
        given = {**params, "variant": name}
        more: dict[str, object] = {}
        if name != "callvault":
            pairs = zip(used["callvault"], figures, strict=True)
            more = {
                "against": name,
                "ratio": round(statistics.median(a / b for a, b in pairs), 4),
            }
        yield "cpu_percent_per_call", 100 * cores / calls, "%", given, more
        yield "calls_per_core", calls / cores, "calls", given, {}


def _sink(calls: int, seconds: float) -> float:
    cost, packets, _ = measure_sink("asyncio", 2 * calls, SUITE, seconds)
    return cost * packets


def _processes(
    command: Callable[[int, Path], list[str]], calls: int, seconds: float
) -> float:
    """Return the CPU µs of one process per call."""
    with tempfile.TemporaryDirectory(dir=scratch()) as name:
        folder = Path(name)
        load = Load(2 * calls, SUITE, seconds)
        with contextlib.ExitStack() as stack:
            peers = [
                stack.enter_context(_running(command(call, folder)))
                for call in range(calls)
            ]
            load.wait_until_ready()
            # Until all have bound their ports: what they do before is not charged.
            _wait_for_ports(2 * calls)
            before = sum(cpu_us(peer.pid) for peer in peers)
            sent = load.send()
            time.sleep(0.5)
            used = sum(cpu_us(peer.pid) for peer in peers) - before
        written = sum(path.stat().st_size for path in folder.glob("*.out*"))
        # The first second may go into finding out what is coming.
        if written < sent * OCTETS_PER_PACKET * (1 - 1 / seconds):
            print(f"a peer wrote only {written} octets", file=sys.stderr)
        return used


def _wait_for_ports(streams: int) -> None:
    wanted = {PORT + 2 * i for i in range(streams)}
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        lines = Path("/proc/net/udp").read_text().splitlines()[1:]
        bound = {int(line.split()[1].split(":")[1], 16) for line in lines}
        if wanted <= bound:
            return
        time.sleep(0.1)
    raise RuntimeError("peers did not bind their ports")


@contextlib.contextmanager
def _running(command: list[str]) -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ffmpeg(call: int, folder: Path) -> list[str]:
    lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0"]
    for stream in (2 * call, 2 * call + 1):
        key = base64.b64encode(key_of(stream, SUITE)).decode()
        lines += [
            f"m=audio {PORT + 2 * stream} RTP/SAVP 0",
            f"a=crypto:1 {SUITE} inline:{key}",
        ]
    description = folder / f"call{call}.sdp"
    if folder.name:
        description.write_text("\r\n".join(lines) + "\r\n")
    return [
        *("ffmpeg", "-nostdin", "-loglevel", "error"),
        *("-protocol_whitelist", "file,rtp,udp,srtp,crypto"),
        *("-i", str(description), "-map", "0", "-c", "copy"),
        *("-f", "matroska", str(folder / f"call{call}.out.mka")),
    ]


def _gstreamer(call: int, folder: Path) -> list[str]:
    words = ["gst-launch-1.0", "-q"]
    for stream in (2 * call, 2 * call + 1):
        caps = (
            "application/x-srtp,media=audio,clock-rate=8000,encoding-name=PCMU,"
            f"payload=0,ssrc=(uint){FIRST_SSRC + stream},"
            f"srtp-key=(buffer){key_of(stream, SUITE).hex()},"
            "srtp-cipher=aes-128-icm,srtp-auth=hmac-sha1-80,"
            "srtcp-cipher=aes-128-icm,srtcp-auth=hmac-sha1-80"
        )
        words += [
            *("udpsrc", f"port={PORT + 2 * stream}", f"caps={caps}"),
            *("!", "srtpdec", "!", "rtppcmudepay", "!"),
            *("filesink", f"location={folder / f'leg{stream}.out'}"),
        ]
    return words
