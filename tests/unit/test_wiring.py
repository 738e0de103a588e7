"""What each process of an installation has to find in its folder."""

from pathlib import Path

import pytest

from vault.access.factor_key import create_factor_key
from vault.config import Settings
from vault.core.errors import ConfigurationError
from vault.core.ids import UserId
from vault.core.secrets import SecretBytes
from vault.wiring import Installation

PERSON = UserId("aaaaaaaa-0000-4000-8000-000000000000")
SECRET = SecretBytes(b"s" * 20)


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


class TestFactorKey:
    def test_is_made_where_it_is_first_needed_and_stays(self, tmp_path: Path) -> None:
        installation = Installation(Settings(data_dir=tmp_path))
        sealed = installation.factor_key().seal(SECRET, PERSON)
        again = Installation(Settings(data_dir=tmp_path)).factor_key()

        assert again.open(sealed, PERSON) == SECRET
        assert installation.factor_key_path == tmp_path / "web" / "factor.key"

    def test_one_that_is_named_is_read_and_never_made(self, tmp_path: Path) -> None:
        named = tmp_path / "shared.key"
        installation = Installation(Settings(data_dir=tmp_path, factor_key_file=named))
        with pytest.raises(ConfigurationError):
            installation.factor_key()
        create_factor_key(named)

        installation.factor_key()
        assert not installation.factor_key_path.exists()
