"""The writer killed at any instant: nothing acknowledged is lost, and it goes on."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.simulators.log_deaths import die
from tests.simulators.trail import ORIGIN, Trail, entry, signer
from tests.simulators.verifiers import VERIFIED, callvault
from vault.audit import commit as commit_module
from vault.audit import log as log_module
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.database.engine import open_engine

spawned = multiprocessing.get_context("fork")
KILLED = -signal.SIGKILL


def killed(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def writer(folder: Path) -> AuditLog:
    return AuditLog(
        open_engine(f"sqlite:///{folder}", schema="audit"),
        signer=signer(),
        origin=ORIGIN,
        mark_path=folder / "log-mark.json",
    )


def append_for_ever(folder: Path, acknowledged: Connection) -> None:
    log = writer(folder).open()
    while True:
        acknowledged.send(log.append([entry(log.size)]).stop)


def die_before_the_mark(folder: Path) -> None:
    log = writer(folder).open()
    log_module.marks.write = killed
    log.append([entry(log.size)])


def die_before_the_commit(folder: Path) -> None:
    log = writer(folder).open()
    commit_module.insert_texts = killed
    log.append([entry(log.size)])


def die_within_recovery(folder: Path) -> None:
    log_module.marks.write = killed
    writer(folder).open()


def run(target: Callable[[Path], None], folder: Path) -> int | None:
    child = spawned.Process(target=target, args=(folder,))
    child.start()
    child.join(30)
    return child.exitcode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    engine = open_engine(f"sqlite:///{tmp_path}", schema="audit")
    trail = Trail(engine=engine, folder=tmp_path)
    trail.grow(3)
    trail.log.close()
    engine.dispose()
    return tmp_path


def recovered(folder: Path) -> Trail:
    engine = open_engine(f"sqlite:///{folder}", schema="audit")
    return Trail(engine=engine, folder=folder)


def test_an_entry_committed_before_the_mark_is_kept(folder: Path) -> None:
    died = run(die_before_the_mark, folder)
    trail = recovered(folder)

    assert (KILLED, 5, range(5, 6)) == (
        died,
        trail.log.size,
        trail.log.append([entry(5)]),
    )
    assert VERIFIED == callvault(trail.export(), trail.vkey)
    trail.log.close()
    trail.engine.dispose()


def test_a_crash_within_the_recovery_of_a_crash_is_recovered(folder: Path) -> None:
    died = [
        run(target, folder)
        for target in (die_before_the_mark, die_within_recovery, die_within_recovery)
    ]
    trail = recovered(folder)

    assert ([KILLED] * 3, 5) == (died, trail.log.size)
    assert VERIFIED == callvault(trail.export(), trail.vkey)
    trail.log.close()
    trail.engine.dispose()


def test_a_crash_before_the_commit_leaves_nothing(folder: Path) -> None:
    died = run(die_before_the_commit, folder)
    trail = recovered(folder)

    assert (KILLED, 4) == (died, trail.log.size)
    assert VERIFIED == callvault(trail.export(), trail.vkey)
    trail.log.close()
    trail.engine.dispose()


def test_a_crash_at_any_instant_loses_nothing_that_was_acknowledged(
    folder: Path,
) -> None:
    previous = None
    for appends in (1, 2, 3, 5, 8, 13):
        receiver, sender = spawned.Pipe(duplex=False)
        child = spawned.Process(target=append_for_ever, args=(folder, sender))
        child.start()
        sender.close()
        acknowledged = 0
        for _ in range(appends):
            assert receiver.poll(30)
            acknowledged = receiver.recv()
        os.kill(child.pid or 0, signal.SIGKILL)
        child.join(30)
        while receiver.poll(0):
            try:
                acknowledged = receiver.recv()
            except EOFError:
                break
        receiver.close()
        engine = open_engine(f"sqlite:///{folder}", schema="audit")
        committed = TrailReader(engine).head().size
        trail = Trail(engine=engine, folder=folder)
        export = trail.export()
        trail.log.close()
        engine.dispose()

        assert acknowledged <= committed <= acknowledged + 1
        assert committed == trail.log.size
        assert VERIFIED == callvault(export, trail.vkey, previous)
        previous = trail.reader.checkpoint()
        engine.dispose()


def test_it_may_die_at_each_step_of_a_commit_and_again_in_recovery(
    tmp_path: Path,
) -> None:
    """``scripts/faults --only kill-log`` does this 500 times."""
    found = die(tmp_path, 16, twice=8, seed=7, look_every=8)

    assert (0, 0, 0) == (found.lost, found.invented, found.unverified)
    assert found.killed > 10
