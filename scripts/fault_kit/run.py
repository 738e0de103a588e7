"""Runs the fault kit and writes what it measured as one JSON document.

    scripts/faults [--short] [--controls] [--only FAMILY] [--seed N] [--output FILE]

Every family injects faults into the real thing and then compares what was kept with
what was sent.  A negative control breaks the product on purpose, from outside, and
its family must notice.  The exit status is 1 when a promise was not kept, or a
control not caught.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]

import kills  # noqa: E402 - after the path is set
import log_kills  # noqa: E402
import power  # noqa: E402
import soak  # noqa: E402
import stores  # noqa: E402
import syscalls  # noqa: E402
import tampered  # noqa: E402
import trail  # noqa: E402
import trail_troubles  # noqa: E402
from site_under_test import Settings  # noqa: E402
from verdicts import missed  # noqa: E402

Found = dict[str, object]
Family = Callable[[int, Settings], Found]

LONG: dict[str, Family] = {
    "kill-worker": lambda seed, how: kills.kill_workers(200, 300, seed, how),
    "kill-supervisor": lambda seed, how: kills.kill_supervisor(200, 150, seed, how),
    "kill-both": lambda seed, how: kills.kill_both(200, 50, seed, how),
    "power": lambda seed, how: power.cut_power(50, 100, seed, how),
    "store-lies": lambda seed, how: stores.lie_under_calls(20, 20, seed, how),
    "store-outage": lambda _, how: stores.outage_under_calls(20, 1800.0, how),
    "syscalls": lambda seed, how: syscalls.sweep(None, 500, seed, how),
    "soak": lambda _, how: soak.endure(200, 3600.0, how),
    "audit": lambda _, how: trail.without_trail(1000, 24, trail.DATABASES, how),
    "kill-log": lambda seed, how: log_kills.kill_writers(500, 500, seed, how),
    "tampering": lambda seed, how: tampered.tamper_with_logs(
        8000, 2000, 10_000, seed, how
    ),
}
SHORT: dict[str, Family] = {
    "kill-worker": lambda seed, how: kills.kill_workers(20, 4, seed, how),
    "kill-supervisor": lambda seed, how: kills.kill_supervisor(20, 2, seed, how),
    "kill-both": lambda seed, how: kills.kill_both(20, 1, seed, how),
    "power": lambda seed, how: power.cut_power(10, 2, seed, how),
    "store-lies": lambda seed, how: stores.lie_under_calls(2, 3, seed, how),
    "store-outage": lambda _, how: stores.outage_under_calls(4, 8.0, how),
    "syscalls": lambda seed, how: syscalls.sweep(20, 8, seed, how),
    "soak": lambda _, how: soak.endure(10, 12.0, how),
    "audit": lambda _, how: trail.without_trail(24, 4, ("sqlite",), how),
    "kill-log": lambda seed, how: log_kills.kill_writers(20, 10, seed, how),
    "tampering": lambda seed, how: tampered.tamper_with_logs(200, 50, 200, seed, how),
}
BROKEN: dict[str, Family] = {
    **SHORT,
    "kill-worker": lambda seed, how: kills.kill_workers(5, 2, seed, how),
    "kill-supervisor": lambda seed, how: kills.kill_supervisor(5, 1, seed, how),
    "kill-both": lambda seed, how: kills.kill_both(5, 1, seed, how),
    "power": lambda seed, how: power.cut_power(5, 1, seed, how),
    "syscalls": lambda seed, how: syscalls.sweep(0, 0, seed, how),
    "syscalls/half-written": lambda seed, how: syscalls.sweep(
        None, 0, seed, how, only=("write", "KILL")
    ),
}
"What is enough to notice that the product is broken on purpose."
CONTROLS: dict[str, tuple[str, ...]] = {
    "kill-worker": ("forgetful",),
    "kill-supervisor": ("mortal",),
    "kill-both": ("amnesiac",),
    "power": ("unsynced",),
    "store-lies": ("trusting",),
    "store-outage": (),
    "soak": (),
    "syscalls": ("half-written", "insistent", "unsynced"),
    "audit": ("unlogged",),
    "kill-log": (),
    "tampering": (),
}
"Of each family: folders of `controls`, each with a product broken on purpose."
POSSIBLE: dict[str, Callable[[], str]] = {
    "power": power.possible,
    "store-outage": lambda: stores.radosgw.missing() or "",
    "syscalls": syscalls.possible,
    "audit": trail_troubles.possible,
}


def main() -> int:
    chosen = _arguments()
    families = SHORT if chosen.short else LONG
    results: dict[str, Found] = {}
    skipped: dict[str, str] = {}
    failures: list[str] = []
    caught: dict[str, bool] = {}
    document = {
        "v": 1,
        **about(chosen.seed),
        "form": "short" if chosen.short else "long",
        "results": results,
        "skipped": skipped,
        "controls": caught,
        "missed": failures,
    }
    for name in chosen.only or families:
        if reason := POSSIBLE.get(name, str)():
            skipped[name] = reason
            _say(f"{name}: skipped, {reason}")
            continue
        try:
            if not chosen.controls_alone:
                results[name] = _timed(name, families[name], chosen.seed, {})
                failures += missed(name, results[name], busy=chosen.busy)
            if chosen.controls or chosen.controls_alone:
                _control(name, chosen.seed, chosen.control, caught)
        except (RuntimeError, OSError) as error:
            traceback.print_exc()
            failures.append(f"{name}: did not come to its end: {str(error)[:300]}")
        # Now, too: the long form takes hours.
        _write(document, chosen.output)
    failures += [
        f"the control {one} was not caught" for one in caught if not caught[one]
    ]
    _write(document, chosen.output, last=True)
    if caught:
        _say(f"controls: {sum(caught.values())} of {len(caught)} caught")
    for sentence in failures:
        _say(sentence)
    return 1 if failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a few minutes")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", action="append", choices=sorted(LONG))
    parser.add_argument("--output", type=Path, help="where the JSON goes; else stdout")
    parser.add_argument(
        "--controls", action="store_true", help="negative controls as well"
    )
    parser.add_argument(
        "--controls-alone", action="store_true", help="negative controls and no more"
    )
    parser.add_argument(
        "--busy", action="store_true", help="allow for a machine that does other things"
    )
    parser.add_argument("--control", action="append", help="of them, only these")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _timed(name: str, run: Family, seed: int, settings: Settings) -> Found:
    _say(f"{name} …")
    began_s = time.monotonic()
    found = {**run(seed, settings), "took_s": round(time.monotonic() - began_s, 1)}
    _say(f"{name}: {json.dumps(found)}")
    return found


def _control(
    family: str, seed: int, only: list[str] | None, caught: dict[str, bool]
) -> None:
    """Run a family on a product that is broken on purpose; it must notice."""
    for control in CONTROLS[family]:
        if only and control not in only:
            continue
        name = f"{family}/{control}"
        settings = {"PYTHONPATH": f"{HERE / 'controls' / control}:{ROOT}"}
        run = BROKEN.get(name, BROKEN[family])
        sentences = missed(family, _timed(name, run, seed, settings))
        for sentence in sentences:
            _say(sentence)
        caught[name] = bool(sentences)


def _write(
    document: dict[str, object], output: Path | None, *, last: bool = False
) -> None:
    text = json.dumps(document, indent=2, sort_keys=True) + "\n"
    if output:
        output.write_text(text)
    elif last:
        sys.stdout.write(text)


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
