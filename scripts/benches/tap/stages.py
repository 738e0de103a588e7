"""The cost of the sweep by stage, ours and the C limit's, over the same load.

Ours is the shipped sweep with its later stages left out one by one: nothing in it is
rewritten for the measurement.
"""

import statistics
from collections.abc import Iterator

from peers import Line
from processes import measure_sink

from vault.core.media import SrtpSuite

SUITE = SrtpSuite.AES_CM_128_HMAC_SHA1_80
STAGES = ("receive", "unprotect", "record", "seal", "write")


def by_stage(streams: int, rounds: int, seconds: float, library: str) -> Iterator[Line]:
    """Yield the CPU per packet up to each stage, medians of runs that take turns."""
    modes = ["sweep", *(["c-sweep"] if library else [])]
    costs: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for number in range(1, len(STAGES) + 1):
            for mode in modes:
                name = f"{mode}@{number}"
                cost, _, _ = measure_sink(name, streams, SUITE, seconds, library)
                costs.setdefault((mode, number), []).append(cost)
    params = {"streams": streams, "seconds": seconds, "rounds": rounds}
    for (mode, number), figures in costs.items():
        variant = "callvault" if mode == "sweep" else mode
        given: dict[str, object] = {**params, "variant": variant}
        given["stage"] = STAGES[number - 1]
        yield "cpu_us_per_packet_to", statistics.median(figures), "us", given, {}
