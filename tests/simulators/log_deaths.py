"""A writer of the log, killed at any step of a commit, and again inside its recovery.

Each death is a process of its own that ends itself with SIGKILL: before or after one of
the functions that a commit, or a start, goes through.
"""

import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from tests.simulators.trail import ORIGIN, Trail, entry, signer
from tests.simulators.verifiers import VERIFIED, callvault
from vault import durable
from vault.audit import commit, log, mark
from vault.audit.log import AuditLog
from vault.database.engine import open_engine

COMMIT: Final[tuple[tuple[ModuleType, str], ...]] = (
    (log, "write_commit"),
    (commit, "swap_head"),
    (commit, "insert_entries"),
    (commit, "insert_tree"),
    (commit, "insert_texts"),
    (mark, "write"),
    (durable, "write_all"),
    (durable, "sync_folder"),
)
RECOVERY: Final[tuple[tuple[ModuleType, str], ...]] = (
    (log, "verified_head"),
    (log, "require_growth"),
    (mark, "read"),
    (mark, "write"),
    (durable, "write_all"),
    (durable, "sync_folder"),
)
_WITHIN_S: Final = 60
_forked = multiprocessing.get_context("fork")


@dataclass(slots=True)
class Deaths:
    """What became of a log whose writer died again and again."""

    killed: int = 0
    within_recovery: int = 0
    lost: int = 0
    "Entries that were acknowledged and are not there."
    invented: int = 0
    "Entries beyond those that were being written."
    unverified: int = 0
    "Times at which an export did not verify, or did not continue the one before."
    where: Counter[str] = field(default_factory=Counter)


def _writer(folder: Path) -> AuditLog:
    return AuditLog(
        open_engine(f"sqlite:///{folder}", schema="audit"),
        signer=signer(),
        origin=ORIGIN,
        mark_path=folder / "log-mark.json",
    )


def _deadly(module: ModuleType, name: str, *, after: bool) -> None:
    """Kill this process before or after the next call of a function."""
    found: Callable[..., Any] = getattr(module, name)

    def dies(*given: Any, **named: Any) -> Any:
        if after:
            found(*given, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, name, dies)


def _append(
    folder: Path, said: Connection, where: tuple[ModuleType, str], *, after: bool
) -> None:
    opened = _writer(folder).open()
    _deadly(*where, after=after)
    said.send(opened.append([entry(opened.size), entry(opened.size + 1)]).stop)


def _recover(
    folder: Path, said: Connection, where: tuple[ModuleType, str], *, after: bool
) -> None:
    _deadly(*where, after=after)
    said.send(_writer(folder).open().size)


def _run(
    act: Callable[..., None], folder: Path, chance: random.Random
) -> tuple[Any, ...]:
    """Run *act* with a random death in it; return what it said, whether it died, where."""
    points = COMMIT if act is _append else RECOVERY
    where, after = chance.choice(points), chance.random() < 0.5
    heard, said = _forked.Pipe(duplex=False)
    child = _forked.Process(
        target=act, args=(folder, said, where), kwargs={"after": after}
    )
    child.start()
    said.close()
    child.join(_WITHIN_S)
    told = heard.recv() if heard.poll(0) and child.exitcode == 0 else None
    heard.close()
    name = f"{'after' if after else 'before'} {where[1]}"
    return told, child.exitcode == -signal.SIGKILL, name


def die(folder: Path, count: int, *, twice: int, seed: int, look_every: int) -> Deaths:
    """Kill a writer *count* times in a commit, and *twice* times in recovery, too.

    Args:
        folder: Where the log lies, or will.
        count: Deaths in a commit.
        twice: Of them, how many are followed by deaths in recovery.
        seed: Of every choice.
        look_every: After how many deaths the whole log is exported and verified.
    """
    chance, found = random.Random(seed), Deaths()
    trail = _opened(folder)
    acknowledged, previous = trail.log.size, trail.reader.checkpoint()
    _closed(trail)
    again = set(chance.sample(range(count), twice))
    for number in range(count):
        told, died, where = _run(_append, folder, chance)
        found.killed += died
        found.where[where] += died
        acknowledged = told or acknowledged
        if number in again:
            _, died, where = _run(_recover, folder, chance)
            found.within_recovery += died
            found.where[f"recovery: {where}"] += died
        trail = _opened(folder)
        size = trail.log.size
        found.lost += max(0, acknowledged - size)
        found.invented += max(0, size - acknowledged - 2)
        if number % look_every == 0 or number == count - 1:
            verdict = callvault(trail.export(), trail.vkey, previous)
            found.unverified += verdict != VERIFIED
            previous = trail.reader.checkpoint()
        acknowledged = size
        _closed(trail)
    return found


def _opened(folder: Path) -> Trail:
    return Trail(
        engine=open_engine(f"sqlite:///{folder}", schema="audit"), folder=folder
    )


def _closed(trail: Trail) -> None:
    trail.log.close()
    trail.engine.dispose()


def figures(found: Deaths) -> Mapping[str, object]:
    """Return what was counted, for a report."""
    return {
        "killed": found.killed,
        "killed_within_recovery": found.within_recovery,
        "entries_lost": found.lost,
        "entries_invented": found.invented,
        "unverified": found.unverified,
        "places": len(found.where),
    }
