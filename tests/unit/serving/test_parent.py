import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.core.errors import ConfigurationError
from vault.serving.parent import _listen


@pytest.fixture
def place() -> Iterator[Path]:
    """A short folder: a Unix socket's path has 107 octets."""
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        yield Path(folder)


class TestTheSocketOfTheWarden:
    def test_it_is_private_and_so_is_its_folder(self, place: Path) -> None:
        with _listen(place / "run" / "warden.sock"):
            modes = [
                (place / name).stat().st_mode & 0o777
                for name in ("run", "run/warden.sock")
            ]

        assert [0o700, 0o600] == modes

    def test_where_a_warden_answers_no_second_one_is_bound(self, place: Path) -> None:
        path = place / "warden.sock"
        with _listen(path), pytest.raises(ConfigurationError, match="already serves"):
            _listen(path)

    def test_what_a_dead_one_left_is_replaced(self, place: Path) -> None:
        path = place / "warden.sock"
        _listen(path).close()

        with _listen(path), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))

    def test_a_folder_that_is_a_link_is_refused(self, place: Path) -> None:
        (place / "elsewhere").mkdir()
        (place / "run").symlink_to("elsewhere")

        with pytest.raises(ConfigurationError, match="not a folder"):
            _listen(place / "run" / "warden.sock")

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
    def test_a_folder_of_somebody_else_is_refused(self, place: Path) -> None:
        (place / "run").mkdir()
        os.chown(place / "run", 65534, 65534)

        with pytest.raises(ConfigurationError, match="not a folder of this user"):
            _listen(place / "run" / "warden.sock")
