import os
import signal
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.warden import CatalogInMemory, Trail
from vault.audit.log import AuditLog
from vault.audit.reading import TrailReader
from vault.core.errors import ConfigurationError, ConflictError
from vault.sealing.keyring import Keyring
from vault.warden.main import WardenLock, listen, run
from vault.warden.server import Warden
from vault.warden.service import WardenParts


def test_the_second_warden_is_told_that_one_is_running(tmp_path: Path) -> None:
    path = tmp_path / "warden.lock"
    with WardenLock(path), pytest.raises(ConflictError, match="a warden is running"):
        WardenLock(path)
    with WardenLock(path):
        pass


def test_a_lock_that_was_handed_over_holds_until_both_have_let_go(
    tmp_path: Path,
) -> None:
    path = tmp_path / "warden.lock"
    parents = WardenLock(path)
    childs = WardenLock.inherited(os.dup(parents.descriptor))

    for lock in (parents, childs):
        with pytest.raises(ConflictError):
            WardenLock(path)
        lock.release()

    WardenLock(path).release()


def test_a_lock_that_cannot_be_made_is_the_operators_to_mend(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for path in (tmp_path / "missing" / "warden.lock", tmp_path / "link"):
        with pytest.raises(ConfigurationError):
            WardenLock(path)


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_a_dead_wardens_socket_is_replaced_by_a_private_one(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "warden.sock"
    listen(path).close()
    with listen(path, mode=mode):
        assert stat.S_IMODE(path.stat().st_mode) == mode
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(path))


def test_a_path_that_no_socket_can_have_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 108), tmp_path / "missing" / "s"):
        with pytest.raises(ConfigurationError):
            listen(path)


@pytest.fixture
def own_signals() -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(
    log: AuditLog,
    trail: Trail,
    keyring: Keyring,
    catalog: CatalogInMemory,
    reader: TrailReader,
    own_signals: None,
    number: signal.Signals,
) -> None:
    parts = WardenParts(keys=keyring, envelopes=catalog, rows=catalog, trail=reader)
    run(Warden(parts, log), started=lambda: os.kill(os.getpid(), number))

    assert [each["action"] for each in trail.entries()] == [
        "audit.log.created",
        "process.started",
        "process.stopped",
    ]
