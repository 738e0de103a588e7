"""Runs the fault kit and writes what it measured as one JSON document.

    scripts/faults [--short] [--seed N] [--only FAMILY] [--output FILE]

Every family injects faults into the real thing and then compares what was kept with
what was sent.  The exit status is 1 when a promise was not kept.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

import kills  # noqa: E402 - after the path is set
import power  # noqa: E402

Family = Callable[[int], dict[str, object]]

LONG: dict[str, Family] = {
    "kill-worker": lambda seed: kills.kill_workers(200, 300, seed),
    "kill-supervisor": lambda seed: kills.kill_supervisor(200, 150, seed),
    "kill-both": lambda seed: kills.kill_both(200, 50, seed),
    "power": lambda seed: power.cut_power(50, 100, seed),
}
SHORT: dict[str, Family] = {
    "kill-worker": lambda seed: kills.kill_workers(20, 10, seed),
    "kill-supervisor": lambda seed: kills.kill_supervisor(20, 4, seed),
    "kill-both": lambda seed: kills.kill_both(20, 2, seed),
    "power": lambda seed: power.cut_power(10, 3, seed),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few minutes")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", action="append", choices=sorted(LONG))
    parser.add_argument("--output", type=Path, help="where the JSON goes; else stdout")
    chosen = parser.parse_args()
    families = SHORT if chosen.short else LONG
    results: dict[str, object] = {}
    for name, run in families.items():
        if chosen.only and name not in chosen.only:
            continue
        print(f"{name} …", file=sys.stderr, flush=True)
        began_s = time.monotonic()
        found = run(chosen.seed)
        results[name] = {**found, "took_s": round(time.monotonic() - began_s, 1)}
        print(f"{name}: {json.dumps(results[name])}", file=sys.stderr, flush=True)
    document = {"v": 1, **about(chosen.seed), "results": results}
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    if chosen.output:
        chosen.output.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def about(seed: int) -> dict[str, object]:
    """Return what a figure is worth nothing without."""
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit or "unknown",
        "seed": seed,
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.release()}",
        "python": platform.python_version(),
    }


if __name__ == "__main__":
    raise SystemExit(main())
