"""The warden behind a real process boundary: killed, stopped, blocked, full."""

import resource
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.simulators.waiting import wait_until
from tests.simulators.warden import (
    CHEAP,
    MONTH,
    PASSPHRASE,
    USER,
    Trail,
    audit_engine,
)
from vault.audit.entry import Action, Draft
from vault.audit.reading import TrailReader
from vault.core.errors import AccessDeniedError, AuditUnavailableError, NotFoundError
from vault.core.flow import Purpose
from vault.core.ids import RecordingId, new_recording_id
from vault.core.secrets import SecretBytes
from vault.sealing.envelope import wrap
from vault.sealing.keyring import Keyring
from vault.trust.client import WardenClient

DEK = SecretBytes(b"7" * 32)
SOON_S = 60.0
REFUSED_WITHIN_S = 10.0
"Two seconds by contract; the rest is for a machine that others use, too."

REPOSITORY = Path(__file__).parents[2]


class Process:
    """A warden process, its folder and what the folder holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "envelopes").mkdir()
        (folder / "role").write_text("web")
        self.keyring = Keyring.create(
            folder / "keyring.json", PASSPHRASE, months=[MONTH], cost=CHEAP
        )
        self.recording = self.add_recording()
        self.running: subprocess.Popen[bytes] | None = None

    def add_recording(self) -> RecordingId:
        id = new_recording_id()
        envelope = wrap(DEK, id, self.keyring.recipients(MONTH))
        (self.folder / "envelopes" / id).write_bytes(bytes(envelope))
        return id

    def start(self) -> int:
        self.running = subprocess.Popen(
            [sys.executable, "-m", "tests.simulators.warden", str(self.folder)],
            cwd=REPOSITORY,
        )
        with WardenClient.at(self.folder / "warden.sock") as client:
            wait_until(lambda: client.health().healthy)
        return self.running.pid

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.running is not None
        self.running.send_signal(number)
        code = self.running.wait(SOON_S)
        self.running = None
        return code


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path)
    yield process
    if process.running is not None:
        process.running.kill()
        process.running.wait(SOON_S)


@pytest.fixture
def client(process: Process) -> Iterator[WardenClient]:
    process.start()
    with WardenClient.at(process.folder / "warden.sock") as client:
        yield client


@pytest.fixture
def trail(process: Process) -> Iterator[Trail]:
    engine: Engine = audit_engine(process.folder)
    yield Trail(engine)
    engine.dispose()


def play(client: WardenClient, recording: RecordingId) -> SecretBytes:
    return client.release(recording, caller=USER, purpose=Purpose.PLAY)


def refused_soon(client: WardenClient, recording: RecordingId) -> None:
    """No key, and no waiting either."""
    begin = time.monotonic()
    with pytest.raises(AuditUnavailableError):
        play(client, recording)

    assert time.monotonic() - begin < REFUSED_WITHIN_S


def test_a_key_comes_over_the_process_boundary_after_its_leaf(
    client: WardenClient, process: Process, trail: Trail
) -> None:
    assert play(client, process.recording) == DEK
    assert trail.entries()[-1]["action"] == "recording.key.released"
    assert trail.entries()[-1]["via"] == "web"

    with pytest.raises(NotFoundError):
        play(client, new_recording_id())
    with pytest.raises(AccessDeniedError):
        client.release(process.recording, caller=USER, purpose=Purpose.RENDER)


def test_a_killed_warden_refuses_and_the_next_one_is_found(
    client: WardenClient, process: Process, trail: Trail
) -> None:
    play(client, process.recording)
    process.end(signal.SIGKILL)

    refused_soon(client, process.recording)
    assert not client.health().healthy

    process.start()
    assert play(client, process.recording) == DEK
    assert "process.stopped" not in [each["action"] for each in trail.entries()]


def test_a_stopped_warden_refuses_and_goes_on_where_it_was(
    client: WardenClient, process: Process
) -> None:
    play(client, process.recording)
    assert process.running is not None
    process.running.send_signal(signal.SIGSTOP)
    try:
        refused_soon(client, process.recording)
        assert not client.health().healthy
    finally:
        process.running.send_signal(signal.SIGCONT)

    wait_until(lambda: client.health().healthy)
    assert play(client, process.recording) == DEK


def test_a_locked_audit_database_means_no_key_and_bad_health(
    client: WardenClient, process: Process, trail: Trail
) -> None:
    play(client, process.recording)
    other = sqlite3.connect(process.folder / "audit.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        refused_soon(client, process.recording)
        begin = time.monotonic()
        wait_until(lambda: not client.health().healthy)
        assert time.monotonic() - begin < REFUSED_WITHIN_S
    finally:
        other.execute("ROLLBACK")
        other.close()

    wait_until(lambda: client.health().healthy)
    assert play(client, process.recording) == DEK
    leaves = trail.of("recording.key.released")
    assert 2 <= len(leaves) <= 3, "a late leaf is honest, a missing one is not"


def test_health_turns_bad_under_a_lock_while_nobody_plays(
    client: WardenClient, process: Process
) -> None:
    other = sqlite3.connect(process.folder / "audit.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        begin = time.monotonic()
        wait_until(lambda: not client.health().healthy)
        assert time.monotonic() - begin < REFUSED_WITHIN_S
    finally:
        other.close()

    wait_until(lambda: client.health().healthy)


def test_a_full_disk_means_no_key_and_bad_health(
    client: WardenClient, process: Process
) -> None:
    """The kernel refuses every write beyond the first octet, as a full disk does."""
    assert process.running is not None
    pid, unlimited = process.running.pid, resource.RLIM_INFINITY
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1, unlimited))
    try:
        refused_soon(client, process.recording)
        wait_until(lambda: not client.health().healthy)
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))

    wait_until(lambda: client.health().healthy)
    assert play(client, process.recording) == DEK


def test_sixty_four_threads_leave_no_gap(
    client: WardenClient, process: Process, trail: Trail
) -> None:
    reader = TrailReader(trail.engine)
    before = reader.head().size

    def append(number: int) -> None:
        detail = {"count": number}
        client.append(Draft(action=Action.RECORDING_LISTED, caller=USER, detail=detail))

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(append, range(256)))
    counts = [each["detail"]["count"] for each in trail.entries()[before:]]

    assert sorted(counts) == list(range(256))
    assert reader.head().size == before + 256


def test_a_warden_killed_at_any_instant_never_released_without_a_leaf(
    process: Process, trail: Trail
) -> None:
    """
    Keys that came before the kill are counted against leaves that are there
    after it.
    """
    process.start()
    released = 0
    with WardenClient.at(process.folder / "warden.sock") as client:
        for pause_s in (0.0, 0.003, 0.01, 0.03):
            with ThreadPoolExecutor(8) as pool:
                asked = [pool.submit(play, client, process.recording) for _ in range(8)]
                until = time.monotonic() + pause_s
                while time.monotonic() < until:
                    pass
                process.end(signal.SIGKILL)
                released += sum(each.exception() is None for each in asked)
            process.start()
    leaves = [each["result"] for each in trail.of("recording.key.released")]

    assert leaves.count("ok") >= released


def test_sigterm_ends_with_the_last_leaf(
    client: WardenClient, process: Process, trail: Trail
) -> None:
    client.append(Draft(action=Action.RECORDING_LISTED, caller=USER))

    assert process.end(signal.SIGTERM) == 0
    assert trail.entries()[-1]["action"] == "process.stopped"


def test_a_second_warden_stops_and_says_why(
    client: WardenClient, process: Process
) -> None:
    second = subprocess.run(
        [sys.executable, "-m", "tests.simulators.warden", str(process.folder)],
        cwd=REPOSITORY,
        capture_output=True,
        check=False,
    )

    assert second.returncode == 1
    assert b"a warden is running" in second.stderr
    assert client.health().healthy


def test_the_warden_cannot_be_read_by_its_own_user(
    client: WardenClient, process: Process
) -> None:
    assert process.running is not None
    status = Path(f"/proc/{process.running.pid}/limits").read_text()
    core = next(line for line in status.splitlines() if "core file" in line)

    assert core.split()[4:6] == ["0", "0"]
    # PR_SET_DUMPABLE=0 gives the process's own files in /proc to root.
    assert Path(f"/proc/{process.running.pid}/mem").stat().st_uid == 0
