import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.simulators.recorder import short_folder
from vault.core.errors import ConfigurationError
from vault.process import peer_credentials
from vault.tap import meeting


@pytest.fixture
def folder() -> Iterator[Path]:
    one = short_folder()
    yield one
    for path in one.iterdir():
        path.unlink()
    one.rmdir()


def test_who_listens_is_met_and_known_by_process_and_user(folder: Path) -> None:
    listener, path = meeting.listen(folder)
    meeting.await_peers(listener)
    assert meeting.accept(listener) is None
    end = meeting.meet(path)
    peer = meeting.accept(listener)
    assert end is not None
    assert peer is not None
    with listener, end, peer:
        assert peer_credentials(end) == (os.getpid(), os.geteuid())
        assert meeting.names(folder) == [path]
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_nobody_listens_at_is_removed(folder: Path) -> None:
    listener, path = meeting.listen(folder)
    listener.close()

    assert meeting.meet(path) is None
    assert not path.exists()


def test_a_name_that_cannot_be_reached_for_another_reason_stays(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        path = folder / "other.worker"
        other.bind(str(path))
        other.listen()

        assert meeting.meet(path) is None
        assert path.exists()


def test_who_listens_and_never_looks_is_busy(folder: Path) -> None:
    listener, path = meeting.listen(folder)
    meeting.await_peers(listener)
    with contextlib.ExitStack() as waiting:
        waiting.enter_context(listener)
        for _ in range(meeting._BACKLOG + 1):
            end = meeting.meet(path)
            assert end is not None
            waiting.enter_context(end)
        with pytest.raises(BlockingIOError):
            meeting.meet(path)

        assert path.exists()


def test_a_path_longer_than_an_address_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 120) / "run"
    meeting.private_folder(folder)
    listener, path = meeting.listen(folder)
    meeting.await_peers(listener)
    end = meeting.meet(path)

    assert end is not None
    end.close()
    listener.close()


def test_a_folder_that_others_may_use_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    for folder in (tmp_path, link, Path("/proc/nowhere")):
        with pytest.raises(ConfigurationError):
            meeting.names(folder)
