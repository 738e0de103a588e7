"""What each process of an installation has to find in its folder."""

from pathlib import Path

import pytest

from vault.config import Settings
from vault.core.errors import ConfigurationError
from vault.wiring import Installation


class TestRequire:
    def test_a_folder_with_every_file_is_enough_without_a_keyring(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "tap").mkdir()
        (tmp_path / "tap" / "manifest.key").touch()

        Installation(Settings(data_dir=tmp_path)).require("tap/manifest.key")

    def test_what_is_missing_is_named_with_the_way_out(self, tmp_path: Path) -> None:
        with pytest.raises(
            ConfigurationError, match=r"has no keys/roster\.pub: run callvault init"
        ):
            Installation(Settings(data_dir=tmp_path)).require("keys/roster.pub")

    def test_a_folder_in_the_place_of_a_file_is_not_it(self, tmp_path: Path) -> None:
        (tmp_path / "keys").mkdir()

        with pytest.raises(ConfigurationError):
            Installation(Settings(data_dir=tmp_path)).require("keys")


def test_a_folder_that_init_has_not_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="holds no installation"):
        Installation(Settings(data_dir=tmp_path)).require_initialised()
