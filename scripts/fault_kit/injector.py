"""One life under strace with one fault in it, then a sound life, then a look.

A process of its own: it has everything loaded, so that a life costs a fork.  Standard
input: one JSON job a line; standard output: one JSON outcome a line.

    {"fault": null}                                    trace a sound life
    {"fault": {"name": "fsync", "nth": 3, "how": "EIO"}}
    {..., "second": {...}}                             recovery is traced as well
    {..., "list": true}                                say which calls there were

*how* is an errno, an errno with ``+`` (from the nth call on), or ``KILL``.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import scenario
import structlog
from inspection import inconsistencies
from scenario import Ledger
from traces import TRACED, Audit, Call, parse

from vault.catalog.schema import upgrade_catalog
from vault.database.engine import open_engine

_ANY_TRACER = ctypes.c_ulong(-1)
_SET_PTRACER = 0x59616D61
_DEADLINE_S = 60.0
_LIVES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What became of one process."""

    calls: list[Call]
    signalled: bool

    @property
    def fired(self) -> bool:
        """Whether the fault happened."""
        return self.signalled or any(call.injected for call in self.calls)


class Injector:
    """Runs lives in places that are copies of one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fresh = folder / "fresh"
        self._fresh.mkdir()
        engine = open_engine(f"sqlite:///{self._fresh}", schema="catalog")
        upgrade_catalog(engine)
        engine.dispose()
        (self._fresh / "spool").mkdir(mode=0o700)

    def outcome(self, job: dict[str, Any]) -> dict[str, Any]:
        """Do one job."""
        # One path for all, so that all make the same calls.
        place = self._folder / "place"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self._fresh, place)
        ledger = Ledger()
        audit = Audit(place=str(place))
        first = self._life("live", place, ledger, job["fault"])
        audit.follow(first.calls)
        outcome: dict[str, Any] = {"fired": first.fired, "second_fired": False}
        if "second" in job:
            second = self._life("recovered", place, ledger, job["second"])
            outcome["second_fired"] = second.fired
            if job.get("list"):
                outcome["second_calls"] = _countable(second.calls, str(place))
            audit.begin_anew()
            audit.follow(second.calls)
        if job.get("list"):
            outcome["calls"] = _countable(first.calls, str(place))
        lives = 1
        ledger.finished = False
        self._plain("recovered", place, ledger)
        while not ledger.finished and lives < _LIVES:
            self._plain("recovered", place, ledger)
            lives += 1
        return {
            **outcome,
            "answered": len(ledger.answered),
            "ended": len(ledger.ended),
            "early": audit.early,
            "retried": audit.retried,
            "threads": ledger.threads_ended,
            "troubles": [one for one in ledger.troubles if one.startswith("died")],
            **inconsistencies(place, ledger),
        }

    def _life(
        self, which: str, place: Path, ledger: Ledger, fault: dict[str, Any] | None
    ) -> Life:
        ours, theirs = socket.socketpair()
        go, gone = os.pipe()
        pid = _forked(which, place, theirs, go)
        theirs.close()
        os.close(go)
        trace = self._folder / "trace"
        trace.unlink(missing_ok=True)
        tracer = subprocess.Popen(
            ["strace", *_options(fault), "-o", str(trace), "-p", str(pid)],
            stderr=subprocess.DEVNULL,
        )
        _wait_for(trace, tracer)
        os.write(gone, b"g")
        os.close(gone)
        with ours:
            ledger.hear(ours)
        signalled = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        tracer.wait()
        with trace.open(errors="replace") as lines:
            return Life(calls=list(parse(lines)), signalled=signalled)

    def _plain(self, which: str, place: Path, ledger: Ledger) -> None:
        ours, theirs = socket.socketpair()
        pid = _forked(which, place, theirs, None)
        theirs.close()
        with ours:
            ledger.hear(ours)
        os.waitpid(pid, 0)


def _forked(which: str, place: Path, end: socket.socket, go: int | None) -> int:
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(int(_DEADLINE_S))
    if go is not None:
        # Whoever traces is no parent of ours, which some kernels forbid.
        ctypes.CDLL(None).prctl(_SET_PTRACER, _ANY_TRACER)
        os.set_blocking(go, False)
        while not _told(go):
            os.getppid()  # until it is seen in the trace
            time.sleep(0.002)
    scenario.run(which, place, end)
    os._exit(3)


def _told(go: int) -> bool:
    try:
        return bool(os.read(go, 1))
    except BlockingIOError:
        return False


def _options(fault: dict[str, Any] | None) -> list[str]:
    options = ["-f", "-y", "-qq", "-s", "300"]
    options += ["-e", f"trace={','.join(TRACED)},sendto,getppid"]
    if fault is not None:
        how, nth = fault["how"], fault["nth"]
        fate = "signal=KILL" if how == "KILL" else f"error={how.removesuffix('+')}"
        when = f"{nth}+" if how.endswith("+") else nth
        options += ["-e", f"inject={fault['name']}:{fate}:when={when}"]
    return options


def _wait_for(trace: Path, tracer: "subprocess.Popen[bytes]") -> None:
    deadline_s = time.monotonic() + _DEADLINE_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(FileNotFoundError):
            if b"getppid" in trace.read_bytes():
                return
        if tracer.poll() is not None:
            raise RuntimeError(f"strace ended with {tracer.returncode}")
        time.sleep(0.002)
    raise RuntimeError("strace does not trace")


def _countable(calls: list[Call], place: str) -> dict[str, list[int]]:
    """Return of every name which calls, in their threads, are about our files."""
    found: dict[str, set[int]] = {}
    for call in calls:
        if call.name in TRACED and any(one.startswith(place) for one in call.paths):
            found.setdefault(call.name, set()).add(call.nth)
    return {name: sorted(numbers) for name, numbers in sorted(found.items())}


def main() -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    # In memory where there is such a place: no fault here is one of the medium.
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    base = memory if os.access(memory, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="cvf-", dir=base))
    try:
        injector = Injector(folder)
        for line in sys.stdin:
            print(json.dumps(injector.outcome(json.loads(line))), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
