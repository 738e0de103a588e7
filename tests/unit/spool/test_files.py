import os
import stat
from pathlib import Path

import pytest

from vault.core.errors import (
    ConflictError,
    NotFoundError,
)
from vault.spool.config import SpoolConfig
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool


class TestSessionFolder:
    def test_what_was_written_once_is_read_and_not_written_again(
        self, spool: Spool, order: SpoolOrder
    ) -> None:
        folder = spool.create(order)
        folder.write_once("session/0001", b"sealed")

        with pytest.raises(ConflictError):
            folder.write_once("session/0001", b"other")
        assert b"sealed" == folder.read("session/0001")
        assert order == folder.order()

    def test_files_and_folders_are_private(
        self, spool: Spool, order: SpoolOrder
    ) -> None:
        os.umask(0)
        folder = spool.create(order)
        os.close(folder.open_part(1))
        modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.path.iterdir()}

        assert ({0o600}, 0o700) == (modes, stat.S_IMODE(folder.path.stat().st_mode))

    def test_a_planted_link_is_not_followed(
        self, spool: Spool, order: SpoolOrder, tmp_path: Path
    ) -> None:
        folder = spool.create(order)
        target = tmp_path / "target"
        (folder.path / "capture-0001").symlink_to(target)
        (folder.path / "envelope").symlink_to(target)

        with pytest.raises(FileExistsError):
            folder.open_part(1)
        with pytest.raises(ConflictError):
            folder.write_once("envelope", b"x")
        assert not target.exists()

    def test_objects_come_in_order_and_nothing_else_counts(
        self, spool: Spool, order: SpoolOrder
    ) -> None:
        folder = spool.create(order)
        for number in (2, 1):
            os.close(folder.open_part(number))
        folder.write_once("session/0001", b"s")
        folder.mark_cut(2)
        (folder.path / "notes.txt").write_text("not ours")

        assert ["capture/0001", "capture/0002.cut", "session/0001"] == folder.objects()

    def test_a_part_exists_once(self, spool: Spool, order: SpoolOrder) -> None:
        folder = spool.create(order)
        os.close(folder.open_part(1))

        with pytest.raises(FileExistsError):
            folder.open_part(1)

    @pytest.mark.parametrize("name", ["../order", "capture/1", "capture/0001/../x", ""])
    def test_a_name_never_leaves_the_folder(
        self, spool: Spool, order: SpoolOrder, name: str
    ) -> None:
        with pytest.raises(ValueError):
            spool.create(order).read(name)

    def test_a_removed_folder_is_gone_and_half_a_one_is_swept(
        self, config: SpoolConfig, order: SpoolOrder
    ) -> None:
        with Spool(config) as spool:
            folder = spool.create(order)
            folder.write_once("manifest", b"m")
            folder.remove()
            half = config.directory / f".freed-{order.recording_id}"
            half.mkdir()
            (half / "capture-0001").write_bytes(b"x")
            with pytest.raises(NotFoundError):
                folder.read("manifest")
        with Spool(config) as spool:
            assert [] == spool.recordings()
            assert not half.exists()

    def test_a_torn_write_leaves_nothing_under_the_name(
        self, spool: Spool, order: SpoolOrder
    ) -> None:
        folder = spool.create(order)
        (folder.path / f".manifest.{os.getpid()}.new").write_bytes(b"torn")
        folder.write_once("manifest", b"whole")

        assert b"whole" == folder.read("manifest")
