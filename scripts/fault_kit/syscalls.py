"""Every call to the kernel on the way from order to store, failed once and for ever.

The method is Tessera's: a sound run is traced to learn which calls there are, and is
repeated once per call and fault.  After each, a sound process recovers, and everything
that was promised is looked for (`inspection`); the trace says whether a promise was
made too early, or a failed sync tried again (`traces`).  Some faults are followed by
another one inside recovery.
"""

import json
import os
import queue
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from site_under_test import ROOT, Settings

_INJECTORS = 2
_HOW = ("EIO", "ENOSPC", "EIO+", "ENOSPC+", "KILL")
_SHOWN = 20
_SHOWN_CHARACTERS = 600
_SYNCS_FAIL = {("fsync", "EIO"), ("syncfs", "EIO"), ("fdatasync", "EIO")}
_BAD = ("states", "unaccounted", "manifests_lost", "retried", "early", "threads")

Job = dict[str, Any]


@dataclass
class Tally:
    """What became of all injections."""

    injections: int = 0
    double_faults: int = 0
    not_reached: int = 0
    "Faults that an earlier run would have met and this one did not."
    inconsistent_states: int = 0
    calls_answered: int = 0
    calls_unaccounted: int = 0
    manifests_acked: int = 0
    acked_manifests_lost: int = 0
    syncs_retried: int = 0
    promises_not_synced: int = 0
    "Promises made over something that was written and not synced."
    threads_ended: int = 0
    processes_ended: int = 0
    "By an error that was let through, as at a start on a disk that fails."
    errors: set[str] = field(default_factory=set)
    "What they were."
    shown: list[str] = field(default_factory=list)

    def add(self, job: Job, outcome: dict[str, Any]) -> None:
        """Count one outcome; keep what is bad about it."""
        self.injections += outcome["fired"]
        self.not_reached += job["fault"] is not None and not outcome["fired"]
        self.double_faults += outcome["second_fired"]
        self.inconsistent_states += bool(outcome["states"])
        self.calls_answered += outcome["answered"]
        self.calls_unaccounted += outcome["unaccounted"]
        self.manifests_acked += outcome["ended"]
        self.acked_manifests_lost += outcome["manifests_lost"]
        self.syncs_retried += len(outcome["retried"])
        self.promises_not_synced += len(outcome["early"])
        self.threads_ended += len(outcome["threads"])
        self.processes_ended += bool(outcome["troubles"])
        self.errors |= {one.partition("(")[0] for one in outcome["troubles"]}
        bad = {name: outcome[name] for name in _BAD if outcome[name]}
        if bad:
            self.shown.append(f"{json.dumps(job)}: {json.dumps(bad)}")


def possible() -> str:
    """Return why calls can't be failed here; empty if they can."""
    if shutil.which("strace") is None:
        return "strace is not installed (Debian: strace)"
    tried = subprocess.run(
        ["strace", "-qq", "-e", "trace=none", "true"], capture_output=True, check=False
    )
    return "" if tried.returncode == 0 else "strace may not trace here"


def sweep(
    sample: int | None,
    doubles: int,
    seed: int,
    settings: Settings | None = None,
    *,
    only: tuple[str, str] | None = None,
) -> dict[str, object]:
    """Inject faults.

    Args:
        sample: How many, chosen at random, beside a failure of every sync; None for
            each there is.
        doubles: How many pairs, the second of which strikes recovery.
        seed: Of that chance.
        settings: Environment of the processes.
        only: One name and one fate, where the others are of no interest.
    """
    chance = random.Random(seed)  # noqa: S311 - a choice, no secrets
    tally = Tally()
    with _injectors(settings or {}) as injectors:
        sound: Job = {"fault": None, "second": None, "list": True}
        calls = _asked(injectors[0], sound, tally)["calls"]
        every = [
            one
            for one in _faults(calls)
            if only is None or (one["name"], one["how"]) == only
        ]
        # What recovery does is learnt from one that has everything to do.
        half: Job = {"fault": _half_way(calls), "second": None, "list": True}
        again = _faults(_asked(injectors[0], half, tally)["second_calls"])
        chosen = every if sample is None else _some(every, sample, chance)
        jobs = [_alone(one) for one in chosen]
        jobs += [
            {"fault": chance.choice(every), "second": chance.choice(again)}
            for _ in range(doubles)
        ]
        _do(injectors, jobs, tally)
    # What is lost is told before what might have been.
    tally.shown.sort(key=lambda text: '"early"' in text)
    for text in tally.shown[:_SHOWN]:
        print(text[:_SHOWN_CHARACTERS], file=sys.stderr)
    found = {name: value for name, value in vars(tally).items() if name != "shown"}
    found["errors"] = sorted(tally.errors)
    return {
        "family": "syscalls",
        "calls_to_the_kernel": {name: len(calls[name]) for name in calls},
        **found,
    }


def _alone(fault: dict[str, Any]) -> Job:
    # After a death it is recovery that promises, so that it is looked at as well.
    return {"fault": fault, **({"second": None} if fault["how"] == "KILL" else {})}


def _half_way(calls: dict[str, list[int]]) -> dict[str, Any]:
    links = calls["linkat"]
    return {"name": "linkat", "nth": links[len(links) // 2], "how": "KILL"}


def _faults(calls: dict[str, list[int]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "nth": nth, "how": how}
        for name, numbers in calls.items()
        for nth in numbers
        for how in _HOW
        # Files that are never closed are another fault: that of a process.
        if (name, how) not in {("close", "EIO+"), ("close", "ENOSPC+")}
    ]


def _some(
    every: Sequence[dict[str, Any]], count: int, chance: random.Random
) -> list[dict[str, Any]]:
    """Choose *count*, all names as often as each other: most calls only close."""
    syncs = [one for one in every if (one["name"], one["how"]) in _SYNCS_FAIL]
    names = sorted({one["name"] for one in every})
    by_name = {n: [one for one in every if one["name"] == n] for n in names}
    chosen = [chance.choice(by_name[names[i % len(names)]]) for i in range(count)]
    return [*{tuple(one.items()): one for one in (*syncs, *chosen)}.values()]


def _asked(injector: "subprocess.Popen[str]", job: Job, tally: Tally) -> Job:
    assert injector.stdin is not None
    assert injector.stdout is not None
    injector.stdin.write(json.dumps(job) + "\n")
    injector.stdin.flush()
    line = injector.stdout.readline()
    if not line:
        raise RuntimeError(f"the injector ended over {job}")
    outcome: Job = json.loads(line)
    tally.add(job, outcome)
    return outcome


def _do(
    injectors: "Sequence[subprocess.Popen[str]]", jobs: Sequence[Job], tally: Tally
) -> None:
    waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
    for job in jobs:
        waiting.put(job)
    problems: list[RuntimeError] = []

    def work(injector: "subprocess.Popen[str]") -> None:
        while True:
            try:
                _asked(injector, waiting.get_nowait(), tally)
            except queue.Empty:
                return
            except RuntimeError as error:
                problems.append(error)
                return

    threads = [threading.Thread(target=work, args=(one,)) for one in injectors]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    if problems:
        raise problems[0]


@contextmanager
def _injectors(settings: Settings) -> "Iterator[list[subprocess.Popen[str]]]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **settings}
    started = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("injector.py"))],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(_INJECTORS)
    ]
    try:
        yield started
    finally:
        for one in started:
            assert one.stdin is not None
            one.stdin.close()
        for one in started:
            one.wait()
