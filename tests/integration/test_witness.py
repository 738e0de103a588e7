"""A witness in a process of its own, over TLS, killed at any instant.

``CALLVAULT_WITNESS_KILLS`` says how often it is killed around its signature; a dozen
times without it.
"""

import multiprocessing
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from tests.simulators.ports import HERE, free_port
from tests.simulators.tls_certificates import Certified
from tests.simulators.trail import Trail, signer
from tests.simulators.waiting import WITHIN_S
from tests.simulators.witnesses import Leaves, witness
from vault import durable
from vault.audit.checkpoint import Verifier
from vault.audit.cosignature import CosignatureSigner, Cosigner
from vault.auditor.asking import Asking
from vault.auditor.cosigned import CosignedNote
from vault.auditor.places import WitnessPlace
from vault.auditor.witnessing import Witnessing
from vault.core.errors import TrailBrokenError, UnavailableError
from vault.database.engine import open_engine
from vault.witness.judging import Verdict

KILLS = int(os.environ.get("CALLVAULT_WITNESS_KILLS", "12"))
forked = multiprocessing.get_context("fork")

# Every step from the judgement to the answer: file, sync, rename, folder, signature.
STEPS: list[tuple[object, str]] = [
    (durable, "write_all"),
    (os, "fsync"),
    (Path, "replace"),
    (durable, "sync_folder"),
    (CosignatureSigner, "cosign"),
]
INSTANTS = [(step, after) for step in STEPS for after in (False, True)]


class Process:
    """``callvault audit witness``."""

    def __init__(self, folder: Path, certificate: tuple[Path, Path]) -> None:
        self.port = free_port()
        self.url = f"https://{HERE}:{self.port}"
        cert, key = map(str, certificate)
        options = {
            "--data-dir": str(folder / "witness"),
            "--name": "witness.example/w1",
            "--log": str(signer().verifier),
            "--listen": f"{HERE}:{self.port}",
            "--tls-cert": cert,
            "--tls-key": key,
        }
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "vault", "audit", "witness"),
                *(word for option in options.items() for word in option),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.key = self._process.stdout.readline().strip()

    def end(self, number: int) -> int:
        self._process.send_signal(number)
        code = self._process.wait(WITHIN_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    certificate = Certified.make("localhost").write(tmp_path, "w")
    processes: list[Process] = []

    def start() -> Process:
        processes.append(Process(tmp_path, certificate))
        return processes[-1]

    yield start
    for one in processes:
        if one._process.poll() is None:
            one.end(signal.SIGKILL)


def log_in(folder: Path, entries: int) -> Trail:
    folder.mkdir()
    trail = Trail(
        engine=open_engine(f"sqlite:///{folder}", schema="audit"), folder=folder
    )
    trail.grow(entries - trail.log.size)
    return trail


def asks(trail: Trail, process: Process, folder: Path) -> Witnessing:
    folder.mkdir(exist_ok=True)
    place = WitnessPlace(url=process.url, cosigner=Cosigner.parse(process.key))
    return Witnessing(
        trail=trail.reader,
        verifier=Verifier.parse(trail.vkey),
        witnesses=(place,),
        quorum=1,
        asking=Asking(ca_file=folder.parent / "w.crt"),
        cosigned=CosignedNote(folder),
        folder=folder,
    )


def test_a_witness_in_another_process_remembers_beyond_a_kill(
    tmp_path: Path, started: Callable[[], Process]
) -> None:
    trail = log_in(tmp_path / "log", 6)
    first = started()
    asks(trail, first, tmp_path / "a").run()
    killed = first.end(signal.SIGKILL)
    with pytest.raises(UnavailableError):
        asks(trail, first, tmp_path / "a").run()
    trail.grow(4)
    second = started()
    asks(trail, second, tmp_path / "a").run()
    note = CosignedNote(tmp_path / "a").read() or ""

    assert (-signal.SIGKILL, first.key) == (killed, second.key)
    assert 10 == Cosigner.parse(second.key).open(note).checkpoint.size

    # The database is rolled back, and then goes on as another log of that name.
    older = log_in(tmp_path / "older", 8)
    with pytest.raises(TrailBrokenError, match="10 entries, and the log has 8"):
        asks(older, second, tmp_path / "a").run()
    older.grow(5)
    with pytest.raises(TrailBrokenError, match="another log of this name"):
        asks(older, second, tmp_path / "a").run()

    assert 0 == second.end(signal.SIGTERM)


def judged(
    folder: Path,
    asked: list[tuple[Leaves, int, int]],
    heard: Connection,
    instant: tuple[tuple[object, str], bool] | None,
) -> None:
    """Judge in a child; what it says has left it once it is in the pipe."""
    one = witness(folder)
    if instant is not None:
        (owner, name), after = instant
        original = getattr(owner, name)

        def deadly(*arguments: object, **named: object) -> object:
            if after:
                original(*arguments, **named)
            os.kill(os.getpid(), signal.SIGKILL)
            raise AssertionError

        setattr(owner, name, deadly)
    for log, old, new in asked:
        answer = one.judge(log.submission(old, new))
        heard.send((answer.verdict is Verdict.COSIGNED, answer.size))


def said(
    folder: Path,
    asked: list[tuple[Leaves, int, int]],
    instant: tuple[tuple[object, str], bool] | None = None,
) -> list[tuple[bool, int]]:
    hear, tell = forked.Pipe(duplex=False)
    child = forked.Process(target=judged, args=(folder, asked, tell, instant))
    child.start()
    tell.close()
    answers: list[tuple[bool, int]] = []
    try:
        while True:
            answers.append(hear.recv())
    except EOFError:
        child.join(WITHIN_S)
    assert (-signal.SIGKILL if instant else 0) == child.exitcode
    return answers


def test_killed_at_any_instant_it_never_signs_two_trees(tmp_path: Path) -> None:
    chance = random.Random(6)
    trees = [Leaves(), Leaves(fork=3)]
    remembered = 0
    for number in range(KILLS):
        folder = tmp_path / str(number)
        instant = INSTANTS[number % len(INSTANTS)]
        known = chance.choice([0, 0, 4, 7])
        chance.shuffle(trees)
        one, other = trees
        if known:
            said(folder, [(one, 0, known)])
        size = known + chance.randint(1, 9) if known else chance.randint(4, 9)
        # 1. Killed while it signs one tree: nobody has heard of a signature.
        assert [] == said(folder, [(one, known, size)], instant)
        # 2. A new process is asked for the other tree, then for both at that size.
        asked = [(other, known, size), (other, size, size), (one, size, size)]
        (fork, _), (fork_again, now), (first, _) = said(folder, asked)

        # At most one of the trees is ever signed.  After the rename that is the first.
        assert not ((fork or fork_again) and first)
        assert not (known and (fork or fork_again))
        assert first == (not fork and now == size)
        remembered += first

    # Of ten instants those after the rename are remembered: it was about to sign.
    assert 0 < remembered < KILLS
