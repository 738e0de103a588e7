"""What one packet costs the media worker, and what others pay for the same work.

Loopback, G.711 at 50 packets/s, two legs a call, own key and port per leg, each call
sealed into its own file, kernel arrival times on.  CPU is what the kernel charges the
receiving processes (user and system, schedstat) from the first to the last packet;
idle ticks and status reports in that time are charged, too.  Variants take turns, and
medians are printed; ratios are medians of pairs of one turn.  Not in the figures: the
cost of a network card's interrupts.

    cpu_us_per_packet       by number of streams, against C and asyncio
    cpu_us_per_packet_to    the same by stage
    two_workers             CPU per packet of two workers, against one
    resident_bytes_per_stream, lost_packets, unaccounted_packets
    screen_kernel_drops     of 200 screens with key frames of 300 packets
    calls_per_core          against ffmpeg and GStreamer, one process per call
    set_up_ms, set_up_cpu_ms_per_call   of calls that begin at a steady rate
"""

import contextlib
import json
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "tap"), str(HERE.parents[1])]

import limit  # noqa: E402 - after the path is set
import peers  # noqa: E402
import set_up  # noqa: E402
import stages  # noqa: E402
from load import PACKETS_PER_S  # noqa: E402
from ours import measure, measure_screens  # noqa: E402
from processes import measure_sink  # noqa: E402
from screens import KEY_FRAME  # noqa: E402

from vault.core.media import SrtpSuite  # noqa: E402

ORDINARY = SrtpSuite.AES_CM_128_HMAC_SHA1_80
PACKETS_PER_CALL_S = 2 * PACKETS_PER_S
VAULT, DURABLE = "callvault", "callvault with its spool on disk"
MANY = 4000


def say(
    metric: str, value: float, unit: str, params: dict[str, object], **more: object
) -> None:
    line = {"bench": "tap", "metric": metric, "value": round(value, 3), "unit": unit}
    print(json.dumps({**line, "params": params, **more}), flush=True)


def in_turns(
    variants: dict[str, Callable[[], tuple[float, int]]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Run every variant *rounds* times in turns; return costs and losses."""
    costs: dict[str, list[float]] = {name: [] for name in variants}
    lost = dict.fromkeys(variants, 0)
    for _ in range(rounds):
        for name, run in variants.items():
            cost, missing = run()
            costs[name].append(cost)
            lost[name] += missing
    return costs, lost


def ratio(ours: list[float], theirs: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def compare(
    streams: int, suite: SrtpSuite, rounds: int, seconds: float, library: str
) -> None:
    """Measure the tap and the C limit and asyncio at one number of streams."""

    def vault(*, durable: bool) -> Callable[[], tuple[float, int]]:
        def run() -> tuple[float, int]:
            found = measure(streams, suite, seconds, durable=durable)
            return found.cpu_us_per_packet, found.sent - found.authentic

        return run

    def sink(mode: str) -> Callable[[], tuple[float, int]]:
        def run() -> tuple[float, int]:
            cost, packets, sent = measure_sink(mode, streams, suite, seconds, library)
            return cost, sent - packets

        return run

    others = ["c-sweep", "c-epoll"] if library else []
    if streams < MANY:
        others.append("asyncio")  # more would only show how it loses packets
    variants = {VAULT: vault(durable=False), DURABLE: vault(durable=True)}
    costs, lost = in_turns({**variants, **{o: sink(o) for o in others}}, rounds)
    params = {
        "streams": streams,
        "suite": str(suite),
        "tick_ms": 200,
        "seconds": seconds,
        "rounds": rounds,
    }
    for name, figures in costs.items():
        given = {**params, "variant": name, "lost_packets": lost[name]}
        say("cpu_us_per_packet", statistics.median(figures), "us", given)
    for ours in variants:
        for other in others:
            say(
                "cpu_us_per_packet",
                statistics.median(costs[ours]),
                "us",
                {**params, "variant": ours},
                against=other,
                ratio=round(ratio(costs[ours], costs[other]), 3),
            )
    calls = 1e6 / statistics.median(costs[VAULT]) / PACKETS_PER_CALL_S
    say("calls_per_core", calls, "calls", {**params, "variant": VAULT})


def scale(streams: int, rounds: int, seconds: float) -> None:
    """Measure two workers against one, at the same live load."""

    def run(workers: int) -> Callable[[], tuple[float, int]]:
        def one() -> tuple[float, int]:
            found = measure(streams, ORDINARY, seconds, workers=workers)
            return found.cpu_us_per_packet, found.sent - found.authentic

        return one

    costs, lost = in_turns({"one": run(1), "two": run(2)}, rounds)
    say(
        "two_workers",
        statistics.median(costs["two"]),
        "us",
        {"streams": streams, "seconds": seconds, "rounds": rounds, "lost": lost},
        against="one worker",
        ratio=round(ratio(costs["two"], costs["one"]), 3),
    )


def endure(streams: int, seconds: float) -> None:
    """Run long and full, and account for every packet; memory by the way."""
    half = measure(streams // 2, ORDINARY, seconds)
    found = measure(streams, ORDINARY, seconds, read_back=True)
    params = {"streams": streams, "seconds": seconds}
    slope = (found.resident_bytes - half.resident_bytes) / (streams - streams // 2)
    say("resident_bytes_per_stream", slope, "B", params)
    say("packets", found.sent, "packets", {**params, "of": "sent"})
    say("packets", found.authentic, "packets", {**params, "of": "authentic"})
    say("packets", found.sealed or 0, "packets", {**params, "of": "sealed, read back"})
    lost = found.sent - found.authentic - found.rejected
    say("lost_packets", lost, "packets", {**params, "kernel": found.kernel_drops})
    unaccounted = found.authentic - (found.sealed or 0)
    say("unaccounted_packets", unaccounted, "packets", params)


def watch_screens(streams: int, seconds: float) -> None:
    """Take in screens whose key frames come at once; nothing may be dropped."""
    found = measure_screens(streams, seconds)
    params = {"streams": streams, "seconds": seconds, "key_frame_packets": KEY_FRAME}
    say("screen_cpu_us_per_packet", found.cpu_us_per_packet, "us", params)
    say("screen_packets", found.sent, "packets", {**params, "of": "sent"})
    sealed = found.sealed or 0
    say("screen_packets", sealed, "packets", {**params, "of": "sealed, read back"})
    say("screen_kernel_drops", found.kernel_drops, "packets", params)


def main(*, quick: bool) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rounds, seconds = (1, 3.0) if quick else (4, 6.0)
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.suppress(KeyboardInterrupt),
    ):
        library = limit.build(Path(folder))
        for streams in (500,) if quick else (500, 1000, 2000, MANY):
            compare(streams, ORDINARY, rounds, seconds, library)
        if not quick:
            for suite in (SrtpSuite.AEAD_AES_256_GCM, SrtpSuite.AEAD_AES_128_GCM):
                compare(1000, suite, rounds, seconds, library)
        for line in stages.by_stage(500 if quick else 2000, rounds, seconds, library):
            say(*line[:4], **line[4])
        scale(500 if quick else 2000, rounds, seconds)
        endure(1000 if quick else MANY, 3.0 if quick else 12.0)
        watch_screens(20 if quick else 200, 5.0 if quick else 20.0)
        for line in peers.side_by_side(10 if quick else 50, rounds, seconds):
            say(*line[:4], **line[4])
        for line in set_up.begin(*((100, 2.0) if quick else (1000, 10.0))):
            say(*line[:4], **line[4])


if __name__ == "__main__":
    main(quick="--quick" in sys.argv)
