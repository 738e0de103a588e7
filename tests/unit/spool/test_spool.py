import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from vault.core.errors import ConfigurationError, ConflictError, SpoolFullError
from vault.core.ids import new_recording_id
from vault.spool.config import SpoolConfig
from vault.spool.order import SpoolOrder
from vault.spool.spool import STRANGERS, Spool


class TestSpool:
    def test_two_processes_never_share_one(
        self, spool: Spool, config: SpoolConfig
    ) -> None:
        code = (
            "import sys; from pathlib import Path\n"
            "from vault.spool.config import SpoolConfig\n"
            "from vault.spool.spool import Spool\n"
            "Spool(SpoolConfig(directory=Path(sys.argv[1]))).open()"
        )
        ended = subprocess.run(
            [sys.executable, "-c", code, str(config.directory)],
            check=False,
            capture_output=True,
            text=True,
        )

        assert "another tap uses the spool" in ended.stderr

    def test_a_folder_that_others_may_write_is_refused(self, tmp_path: Path) -> None:
        folder = tmp_path / "open"
        folder.mkdir()
        folder.chmod(0o777)

        with pytest.raises(ConfigurationError):
            Spool(SpoolConfig(directory=folder)).open()

    def test_a_link_is_no_spool(self, tmp_path: Path) -> None:
        (tmp_path / "real").mkdir()
        (tmp_path / "link").symlink_to(tmp_path / "real")

        with pytest.raises(ConfigurationError):
            Spool(SpoolConfig(directory=tmp_path / "link")).open()

    def test_a_spool_that_is_not_open_takes_no_call(
        self, config: SpoolConfig, order: SpoolOrder
    ) -> None:
        with pytest.raises(RuntimeError):
            Spool(config).create(order)

    def test_an_id_is_taken_once(self, spool: Spool, order: SpoolOrder) -> None:
        spool.create(order)

        with pytest.raises(ConflictError):
            spool.create(order)

    def test_beyond_the_quota_there_is_no_room(
        self, config: SpoolConfig, order: SpoolOrder
    ) -> None:
        with Spool(replace(config, quota_bytes=1000)) as spool:
            spool.check_room()
            spool.create(order).write_once("session/0001", bytes(1000))
            spool._usage = (-10.0, 0)

            with pytest.raises(SpoolFullError) as caught:
                spool.check_room()
            assert 30 == caught.value.retry_after_s

    def test_the_reserve_of_the_disk_is_for_running_calls(
        self, config: SpoolConfig
    ) -> None:
        with (
            Spool(replace(config, reserve_bytes=1 << 60)) as spool,
            pytest.raises(SpoolFullError),
        ):
            spool.check_room()

    def test_without_inodes_there_is_no_room(self, config: SpoolConfig) -> None:
        with (
            Spool(replace(config, reserve_inodes=1 << 50)) as spool,
            pytest.raises(SpoolFullError, match="inodes"),
        ):
            spool.check_room()


class TestStrangers:
    @pytest.mark.parametrize(
        "name", ["junk", "a\nline of the log", "-rf", "..hidden", "\udcff"]
    )
    def test_are_left_alone_and_said_in_one_line(
        self, config: SpoolConfig, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        config.directory.mkdir(mode=0o700)
        (config.directory / name).write_bytes(b"x")
        with Spool(config) as spool:
            found = spool.recordings()
        said = [
            line for line in capsys.readouterr().out.splitlines() if STRANGERS in line
        ]

        assert ([], 1) == (found, len(said))
        assert (config.directory / name).exists()

    def test_under_the_id_of_a_recording_are_no_recording(
        self, config: SpoolConfig, tmp_path: Path
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        config.directory.mkdir(mode=0o700)
        link, pipe, file = (new_recording_id() for _ in range(3))
        (config.directory / link).symlink_to(tmp_path / "elsewhere")
        os.mkfifo(config.directory / pipe)
        (config.directory / file).write_bytes(b"x")
        with Spool(config) as spool:
            assert [] == spool.recordings()
            assert 0 == spool.used_bytes()

    def test_by_the_thousand_cost_a_look(
        self, config: SpoolConfig, order: SpoolOrder
    ) -> None:
        config.directory.mkdir(mode=0o700)
        for number in range(5_000):
            os.close(os.open(config.directory / f"junk-{number}", os.O_CREAT))
        with Spool(config) as spool:
            spool.create(order)
            spool.check_room()

            assert [order.recording_id] == spool.recordings()

    def test_that_are_named_like_a_freed_folder_lead_nowhere(
        self, config: SpoolConfig, tmp_path: Path
    ) -> None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "kept").write_bytes(b"x")
        config.directory.mkdir(mode=0o700)
        planted = config.directory / f".freed-{new_recording_id()}"
        planted.symlink_to(tmp_path / "elsewhere")
        with Spool(config):
            assert (tmp_path / "elsewhere" / "kept").exists()
