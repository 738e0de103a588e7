import os
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulators.small_disk import image_disk, pull_the_plug, small_disk
from vault.core.errors import SpoolFullError, UnavailableError
from vault.spool.config import SpoolConfig
from vault.spool.disk import SpoolDisk, read_alarm
from vault.spool.order import SpoolOrder
from vault.spool.spool import Spool

MIB = 1 << 20


@pytest.fixture
def lost(config: SpoolConfig, tmp_path: Path) -> Iterator[Spool]:
    """A spool whose disk is there no more."""
    with (
        image_disk(tmp_path / "disk") as place,
        Spool(replace(config, directory=place / "spool")) as spool,
    ):
        yield spool


class TestSettling:
    def test_what_waits_together_is_settled_together(self, spool: Spool) -> None:
        asked = [spool.disk.settled() for _ in range(200)]

        assert not wait(asked, timeout=30).not_done
        assert [None] * 200 == [one.result() for one in asked]

    def test_threads_that_write_and_settle_all_come_back(self, spool: Spool) -> None:
        threads = [threading.Thread(target=spool.disk.settle) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        assert not any(thread.is_alive() for thread in threads)

    def test_one_that_does_not_wait_any_more_holds_up_nobody(
        self, spool: Spool
    ) -> None:
        with spool.disk._news:
            given_up = spool.disk.settled()
            given_up.cancel()
            asked = spool.disk.settled()

        assert asked.result(timeout=30) is None

    def test_a_spool_that_is_closed_promises_nothing(self, config: SpoolConfig) -> None:
        with pytest.raises(RuntimeError):
            SpoolDisk(config).settled()


class TestFailure:
    def test_a_sync_that_failed_is_never_tried_again(
        self, spool: Spool, config: SpoolConfig
    ) -> None:
        real = spool.disk._folder
        # syncfs(2) takes no such descriptor: an error of the kernel's own.
        spool.disk._folder = os.open(config.directory, os.O_PATH)
        try:
            with pytest.raises(UnavailableError):
                spool.disk.settle()
        finally:
            os.close(spool.disk._folder)
            spool.disk._folder = real

        with pytest.raises(UnavailableError):
            spool.disk.settle()
        with pytest.raises(UnavailableError, match="start the tap anew"):
            spool.check_room()
        assert "syncfs: EBADF" in read_alarm(config.directory)

    def test_a_spool_that_is_opened_anew_has_no_alarm(
        self, config: SpoolConfig
    ) -> None:
        with Spool(config) as spool:
            spool.disk.fail("fsync: EIO")
            alarm = read_alarm(config.directory)
        with Spool(config) as spool:
            spool.check_room()

            assert "" == read_alarm(config.directory)
        assert alarm.startswith("fsync: EIO since ")

    def test_a_call_in_progress_is_still_sealed_after_a_failure(
        self, spool: Spool, order: SpoolOrder
    ) -> None:
        folder = spool.create(order)
        spool.disk.fail("syncfs: EIO")
        folder.write_once("manifest", b"m")

        assert b"m" == folder.read("manifest")
        assert folder.in_doubt

    def test_a_file_that_could_not_be_synced_is_synced_as_another(
        self, spool: Spool, order: SpoolOrder
    ) -> None:
        folder = spool.create(order)
        part = folder.open_part(1)
        os.write(part, b"c" * 100)
        os.close(part)
        folder._tainted.add("capture/0001")
        before = (folder.path / "capture-0001").stat().st_ino
        refused = folder.sync("capture/0001")
        folder.rescue("capture/0001")

        assert not refused
        assert folder.sync("capture/0001")
        assert before != (folder.path / "capture-0001").stat().st_ino
        assert b"c" * 100 == folder.read("capture/0001")

    def test_a_disk_that_is_gone_fails_everything_and_is_said(
        self, lost: Spool, order: SpoolOrder
    ) -> None:
        folder = lost.create(order)
        part = folder.open_part(1)
        os.write(part, b"c" * 100)
        os.close(part)
        lost.disk.settle()
        pull_the_plug(lost.config.directory)

        for refused in (
            lambda: folder.sync("capture/0001"),
            lambda: folder.rescue("capture/0001"),
            lambda: folder.write_once("manifest", b"m"),
            lost.disk.settle,
            lost.check_room,
        ):
            with pytest.raises(UnavailableError):
                refused()

    def test_a_spool_that_can_only_be_read_says_so(self, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk", options=",ro") as place:
            assert "the file system is mounted read-only" == read_alarm(place)

    @pytest.mark.parametrize("octets", [b"", b"{", b"[]", b'"x"'])
    def test_an_alarm_that_is_none_of_ours_is_an_alarm(
        self, tmp_path: Path, octets: bytes
    ) -> None:
        (tmp_path / ".alarm").write_bytes(octets)

        assert "its alarm cannot be read" == read_alarm(tmp_path)


class TestReserve:
    def test_a_full_disk_still_takes_the_end_of_a_call(
        self, tmp_path: Path, order: SpoolOrder
    ) -> None:
        with small_disk(tmp_path / "disk", size="8m") as place:
            config = SpoolConfig(
                directory=place / "spool",
                reserve_bytes=0,
                emergency_bytes=4 * MIB,
                reserve_inodes=0,
            )
            with Spool(config) as spool:
                spool.check_room()
                folder = spool.create(order)
                _fill(place / "other-program")
                folder.write_once("session/0001", bytes(100_000))
                os.close(folder.open_part(2))
                folder.write_once("manifest", bytes(100_000))
                with pytest.raises(SpoolFullError, match="reserve"):
                    spool.check_room()
                (place / "other-program").unlink()
                spool.check_room()

                assert spool.disk.reserve.whole
                assert ["capture/0002", "session/0001"] == folder.objects()

    def test_a_new_call_gets_nothing_of_the_reserve(
        self, tmp_path: Path, order: SpoolOrder
    ) -> None:
        with small_disk(tmp_path / "disk", size="8m") as place:
            config = SpoolConfig(
                directory=place / "spool",
                reserve_bytes=0,
                emergency_bytes=4 * MIB,
                reserve_inodes=0,
            )
            with Spool(config) as spool:
                folder = spool.create(order)
                _fill(place / "other-program")
                with pytest.raises(SpoolFullError):
                    folder.write_soon("envelope", bytes(100_000))

                assert spool.disk.reserve.whole
                assert not folder.has("envelope")

    def test_going_on_leaves_the_last_piece_for_ending(
        self, tmp_path: Path, order: SpoolOrder
    ) -> None:
        with small_disk(tmp_path / "disk", size="8m") as place:
            config = SpoolConfig(
                directory=place / "spool", reserve_bytes=0, emergency_bytes=4 * MIB
            )
            with Spool(config) as spool:
                folder = spool.create(order)
                for number in range(2, 8):
                    _fill(place / f"other-program-{number}")
                    os.close(folder.open_part(number))

                assert (place / "spool").is_dir()
                assert 1 == len(list((place / "spool").glob(".reserve-*")))

    def test_what_another_process_left_of_it_is_taken(
        self, config: SpoolConfig
    ) -> None:
        config = replace(config, emergency_bytes=4 * MIB)
        with Spool(config) as spool:
            spool.disk.reserve.release(last=False)
        (config.directory / ".reserve-9").symlink_to("/etc/passwd")
        with Spool(config) as spool:
            assert spool.disk.reserve.whole


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(65_536)):
                pass
        except OSError:
            pass
        try:
            while file.write(b"x" * 512):
                pass
        except OSError:
            return
