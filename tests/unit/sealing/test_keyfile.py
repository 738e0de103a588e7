import os
import stat
from pathlib import Path

import pytest

from vault.core.errors import ConfigurationError
from vault.sealing.keyfile import read_private, write_private


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyring.json"


def test_what_is_written_is_private_and_is_read(path: Path) -> None:
    os.umask(0)

    write_private(path, b"secret", replace=False)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_private(path) == b"secret"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_never_made_over_another(path: Path) -> None:
    write_private(path, b"first", replace=False)

    with pytest.raises(ConfigurationError, match="exists"):
        write_private(path, b"second", replace=False)

    assert read_private(path) == b"first"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_replaced_where_that_was_asked_for(path: Path) -> None:
    write_private(path, b"first", replace=False)
    write_private(path, b"second", replace=True)

    assert read_private(path) == b"second"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o601, 0o777])
def test_a_file_that_others_can_use_is_refused(path: Path, mode: int) -> None:
    write_private(path, b"secret", replace=False)
    path.chmod(mode)

    with pytest.raises(ConfigurationError, match="others"):
        read_private(path)


def test_a_read_only_file_is_fine(path: Path) -> None:
    write_private(path, b"secret", replace=False)
    path.chmod(0o400)

    assert read_private(path) == b"secret"


def test_a_symbolic_link_is_refused(path: Path, tmp_path: Path) -> None:
    write_private(tmp_path / "elsewhere", b"secret", replace=False)
    path.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConfigurationError):
        read_private(path)


def test_a_folder_a_pipe_and_nothing_are_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError):
        read_private(path)
    with pytest.raises(ConfigurationError):
        read_private(path.parent)
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigurationError):
        read_private(path)


def test_a_file_too_large_is_refused(path: Path) -> None:
    write_private(path, b"", replace=False)
    os.truncate(path, 4 * 1024 * 1024 + 1)

    with pytest.raises(ConfigurationError):
        read_private(path)


def test_a_folder_that_is_missing_is_said(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot write"):
        write_private(path / "deeper", b"", replace=False)
