"""What the audit trail costs: appends, verifying offline, exporting.

* ``append`` and ``append-p99``: clients that each wait for their leaf to be durable, by
  the warden's writer (group commit), on SQLite and on a PostgreSQL that syncs;
* ``append-with-objects``: the same commits against those of a log that keeps no table
  of what entries are about (``against`` ``no-objects``; the ratio is of time);
* ``export`` and ``export-memory``: the whole log to a file, in a process of its own;
  memory against that of a log of a tenth (``tenth``): flat means a ratio near 1;
* ``verify``: that file by ``callvault audit verify``'s code, and by the stand-alone
  program (``against`` ``verify-trail``).

Where PostgreSQL is not installed, its lines are missing, and standard error says so.
"""

import json
import multiprocessing
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import _pytest.outcomes
from audit_log_of import ORIGIN, entry, log_of
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.simulators.postgres import throwaway_postgres  # noqa: E402 - a path above
from vault.audit import commit  # noqa: E402
from vault.audit.checkpoint import Signer  # noqa: E402
from vault.audit.export import export_jsonl  # noqa: E402
from vault.audit.log import AuditLog  # noqa: E402
from vault.audit.verify import verify_export  # noqa: E402
from vault.database.engine import open_engine  # noqa: E402
from vault.warden.interfaces import Leaf  # noqa: E402
from vault.warden.writer import LeafWriter  # noqa: E402

_CLIENTS: Final = (1, 8, 64)
_DEADLINE_S: Final = 30.0
"Far from the warden's two: a slow disk is to be measured, and not refused."


@dataclass(frozen=True, slots=True, kw_only=True)
class Appended:
    """How clients fared."""

    per_s: float
    p99_ms: float
    median_ms: float


def _say(
    metric: str,
    value: float,
    unit: str,
    params: dict[str, object],
    against: tuple[str, float] | None = None,
) -> None:
    line: dict[str, object] = {
        "bench": "audit",
        "metric": metric,
        "value": round(value, 3),
        "unit": unit,
        "params": params,
    }
    if against:
        line |= {"against": against[0], "ratio": round(against[1], 3)}
    print(json.dumps(line), flush=True)


# -------------------------------------------------------------------------- appends


@contextmanager
def _writing(url: str, folder: Path) -> Iterator[LeafWriter]:
    engine = open_engine(url or f"sqlite:///{folder}", schema="audit")
    log = AuditLog(
        engine,
        signer=Signer(name=ORIGIN, key=Ed25519PrivateKey.generate()),
        origin=ORIGIN,
        mark_path=folder / "log-mark.json",
    )
    with log.open():
        writer = LeafWriter(log)
        writer.start()
        try:
            yield writer
        finally:
            writer.stop()
    engine.dispose()


def _append(writer: LeafWriter, clients: int, seconds: float) -> Appended:
    taken: list[float] = []
    lock, begin = threading.Lock(), threading.Barrier(clients)

    def client(number: int) -> None:
        mine: list[float] = []
        begin.wait()
        end_s = time.monotonic() + seconds
        while (now_s := time.monotonic()) < end_s:
            leaf = Leaf(entry=entry(number))
            writer.append([leaf], deadline_s=now_s + _DEADLINE_S)
            mine.append(time.monotonic() - now_s)
            number += clients
        with lock:
            taken.extend(mine)

    threads = [threading.Thread(target=client, args=(n + 1,)) for n in range(clients)]
    began_s = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.monotonic() - began_s
    taken.sort()
    return Appended(
        per_s=len(taken) / took_s,
        p99_ms=taken[int(len(taken) * 0.99)] * 1e3,
        median_ms=statistics.median(taken) * 1e3,
    )


def _appends(database: str, url: str, seconds: float) -> None:
    for clients in _CLIENTS:
        with (
            tempfile.TemporaryDirectory() as folder,
            _writing(url, Path(folder)) as writer,
        ):
            found = _append(writer, clients, seconds)
        params: dict[str, object] = {
            "database": database,
            "clients": clients,
            "seconds": seconds,
        }
        _say("append", found.per_s, "entries/s", params)
        _say("append-p99", found.p99_ms, "ms", params)
        _say("append-median", found.median_ms, "ms", params)
        _dropped(url)


def _dropped(url: str) -> None:
    """Make room for the next log on one PostgreSQL."""
    if url:
        engine = open_engine(url, schema="audit")
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP SCHEMA audit CASCADE")
        engine.dispose()


@contextmanager
def _no_objects() -> Iterator[None]:
    kept = commit.objects_of
    commit.objects_of = lambda _: ()
    try:
        yield
    finally:
        commit.objects_of = kept


def _objects(database: str, url: str, commits: int) -> None:
    """Say what the table of objects costs, in commits of one entry in turn."""

    def work(log: AuditLog, number: int) -> float:
        began_s = time.perf_counter()
        log.append([entry(number)])
        return time.perf_counter() - began_s

    engine_folder = tempfile.TemporaryDirectory()
    with engine_folder as folder:
        engine = open_engine(url or f"sqlite:///{folder}", schema="audit")
        with AuditLog(
            engine,
            signer=Signer(name=ORIGIN, key=Ed25519PrivateKey.generate()),
            origin=ORIGIN,
            mark_path=Path(folder) / "log-mark.json",
        ).open() as log:
            with_it, without = [], []
            for number in range(1, commits + 1):
                with_it.append(work(log, number))
                with _no_objects():
                    without.append(work(log, number))
        engine.dispose()
        _dropped(url)
    both = statistics.median(with_it), statistics.median(without)
    params: dict[str, object] = {"database": database, "commits": commits}
    _say(
        "append-with-objects",
        both[0] * 1e3,
        "ms",
        params,
        ("no-objects", both[0] / both[1]),
    )


# ------------------------------------------------------------------ export and verify


def _export(folder: Path, count: int, file: Path) -> tuple[float, float]:
    """Export in this process; return seconds, and its most memory in MiB."""
    with log_of(folder, count) as built, file.open("wb") as out:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began_s = time.monotonic()
        export_jsonl(built.reader, out)
        took_s = time.monotonic() - began_s
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return took_s, max(before, after) / 1024


def _alone(
    work: Callable[..., tuple[float, float]], *given: object
) -> tuple[float, float]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, given)


def _whole(counts: Sequence[int]) -> None:
    """Build, export and verify logs of each size, the smaller one first."""
    tenth_mib = 0.0
    for count in counts:
        with tempfile.TemporaryDirectory() as place:
            folder, file = Path(place, "log"), Path(place, "trail.jsonl")
            began_s = time.monotonic()
            with log_of(folder, count) as built:
                vkey = built.vkey
            params: dict[str, object] = {"entries": count}
            _say("build", count / (time.monotonic() - began_s), "entries/s", params)
            took_s, mib = _alone(_export, folder, count, file)
            octets = file.stat().st_size
            _say("export", took_s, "s", {**params, "octets": octets})
            against = ("tenth", mib / tenth_mib) if tenth_mib else None
            _say("export-memory", mib, "MiB", params, against)
            tenth_mib = mib
            _verify(file, vkey, params)


def _verify(file: Path, vkey: str, params: dict[str, object]) -> None:
    began_s = time.monotonic()
    verify_export(file, vkey)
    ours_s = time.monotonic() - began_s
    program = ROOT / "scripts" / "verify-trail"
    began_s = time.monotonic()
    subprocess.run(
        [sys.executable, str(program), str(file), "--key", vkey],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    theirs_s = time.monotonic() - began_s
    _say("verify", ours_s, "s", params, ("verify-trail", ours_s / theirs_s))
    _say("verify-trail", theirs_s, "s", params)


def main(*, quick: bool) -> None:
    """Run all of it; *quick* takes a minute and has a log of 20,000 entries."""
    seconds, commits = (1.0, 50) if quick else (10.0, 500)
    _appends("sqlite", "", seconds)
    _objects("sqlite", "", commits)
    with ExitStack() as stack:
        try:
            url = stack.enter_context(throwaway_postgres(durable=True))
        except _pytest.outcomes.Skipped as missing:
            print(f"PostgreSQL is left out: {missing}", file=sys.stderr)
        else:
            _appends("postgresql", url, seconds)
            _objects("postgresql", url, commits)
    _whole((2000, 20_000) if quick else (100_000, 1_000_000))
