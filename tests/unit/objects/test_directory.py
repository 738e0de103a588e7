import hashlib
import io
import os
import stat
import threading
import time
from pathlib import Path

import pytest

from vault.core.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    StoreUnavailableError,
    VaultError,
)
from vault.objects.directory import DirectoryStore
from vault.objects.keys import ObjectKey

KEY = ObjectKey("recording/capture/0001")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "objects"


@pytest.fixture
def store(folder: Path) -> DirectoryStore:
    return DirectoryStore(folder)


def put(store: DirectoryStore, octets: bytes, key: ObjectKey = KEY) -> None:
    digest = hashlib.sha256(octets).digest()
    store.put_once(key, io.BytesIO(octets), size=len(octets), sha256=digest)


def left_over(folder: Path) -> list[str]:
    return [entry.name for entry in (folder / ".incoming").iterdir()]


def test_files_and_folders_are_private(store: DirectoryStore, folder: Path) -> None:
    os.umask(0)

    put(store, b"sealed")

    modes = [stat.S_IMODE(p.stat().st_mode) for p in sorted(folder.rglob("*"))]
    assert modes == [0o700, 0o700, 0o700, 0o600]
    assert left_over(folder) == []


def test_nothing_of_a_failed_put_is_left(store: DirectoryStore, folder: Path) -> None:
    with pytest.raises(IntegrityError):
        store.put_once(KEY, io.BytesIO(b"other"), size=5, sha256=bytes(32))

    assert left_over(folder) == []
    assert list(store.keys()) == []


def test_a_full_disk_is_unavailable_and_leaves_nothing(
    store: DirectoryStore, folder: Path
) -> None:
    import resource  # noqa: PLC0415 - only this test limits file sizes
    import signal  # noqa: PLC0415 - as above

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        with pytest.raises(StoreUnavailableError):
            put(store, bytes(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert left_over(folder) == []
    with pytest.raises(NotFoundError):
        store.stat(KEY)


class TestLinks:
    """Whoever can write into the folder still cannot lead us out of it."""

    @pytest.fixture
    def outside(self, tmp_path: Path) -> Path:
        outside = tmp_path / "outside"
        outside.mkdir()
        (outside / "0001").write_bytes(b"not ours")
        return outside

    def test_a_link_in_place_of_an_object_is_not_read(
        self, store: DirectoryStore, folder: Path, outside: Path
    ) -> None:
        (folder / "recording" / "capture").mkdir(parents=True)
        (folder / "recording" / "capture" / "0001").symlink_to(outside / "0001")

        for call in (store.read, store.stat):
            with pytest.raises(StoreUnavailableError):
                call(KEY)
        with pytest.raises(VaultError):
            put(store, b"sealed")
        assert (outside / "0001").read_bytes() == b"not ours"

    def test_a_link_in_place_of_a_folder_is_not_followed(
        self, store: DirectoryStore, folder: Path, outside: Path
    ) -> None:
        (folder / "recording").mkdir()
        (folder / "recording" / "capture").symlink_to(outside)

        for call in (store.read, store.stat, store.delete):
            with pytest.raises(StoreUnavailableError):
                call(KEY)
        with pytest.raises(StoreUnavailableError):
            put(store, b"sealed")
        with pytest.raises(StoreUnavailableError):
            store.replace(KEY, b"sealed")
        assert [entry.name for entry in outside.iterdir()] == ["0001"]
        assert (outside / "0001").read_bytes() == b"not ours"

    def test_links_are_not_listed(
        self, store: DirectoryStore, folder: Path, outside: Path
    ) -> None:
        put(store, b"sealed")
        (folder / "recording" / "linked").symlink_to(outside)
        (folder / "recording" / "capture" / "0002").symlink_to(outside / "0001")

        assert list(store.keys()) == [KEY]

    def test_replacing_a_link_replaces_the_link(
        self, store: DirectoryStore, folder: Path, outside: Path
    ) -> None:
        (folder / "recording" / "capture").mkdir(parents=True)
        (folder / "recording" / "capture" / "0001").symlink_to(outside / "0001")

        store.replace(KEY, b"sealed")

        assert store.read(KEY) == b"sealed"
        assert (outside / "0001").read_bytes() == b"not ours"

    def test_a_link_for_a_workplace_is_refused(
        self, store: DirectoryStore, folder: Path, outside: Path
    ) -> None:
        (folder / ".incoming").rmdir()
        (folder / ".incoming").symlink_to(outside)

        with pytest.raises(StoreUnavailableError):
            put(store, b"sealed")
        assert [entry.name for entry in outside.iterdir()] == ["0001"]


def test_a_pipe_in_place_of_an_object_does_not_block(
    store: DirectoryStore, folder: Path
) -> None:
    (folder / "recording" / "capture").mkdir(parents=True)
    os.mkfifo(folder / "recording" / "capture" / "0001")

    with pytest.raises(StoreUnavailableError):
        store.read(KEY)


def test_a_folder_is_no_object(store: DirectoryStore) -> None:
    put(store, b"sealed")

    with pytest.raises(NotFoundError):
        store.read(ObjectKey("recording/capture"))
    with pytest.raises(StoreUnavailableError):
        put(store, b"x", ObjectKey("recording/capture"))


def test_empty_folders_go_with_their_last_object(
    store: DirectoryStore, folder: Path
) -> None:
    other = ObjectKey("recording/session/0001")
    put(store, b"sealed")
    put(store, b"sealed", other)

    store.delete(KEY)
    assert [p.name for p in (folder / "recording").iterdir()] == ["session"]
    store.delete(other)

    assert [p.name for p in folder.iterdir()] == [".incoming"]


def test_what_dead_writers_left_goes_after_a_day(folder: Path) -> None:
    DirectoryStore(folder)
    old, fresh = folder / ".incoming" / "old", folder / ".incoming" / "fresh"
    old.touch()
    fresh.touch()
    yesterday = time.time() - 90_000
    os.utime(old, (yesterday, yesterday))

    DirectoryStore(folder)

    assert left_over(folder) == ["fresh"]


def test_a_folder_that_vanished_is_unavailable(
    store: DirectoryStore, folder: Path
) -> None:
    folder.rename(folder.with_name("elsewhere"))

    with pytest.raises(StoreUnavailableError):
        store.check()
    with pytest.raises(StoreUnavailableError):
        put(store, b"sealed")


def test_of_writers_of_different_content_one_wins_and_the_others_know(
    store: DirectoryStore,
) -> None:
    bodies = [bytes([i]) * 5000 for i in range(6)]
    lost: list[bytes] = []

    def write(body: bytes) -> None:
        try:
            put(store, body)
        except ConflictError:
            lost.append(body)

    threads = [threading.Thread(target=write, args=(body,)) for body in bodies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(lost) == 5
    assert store.read(KEY) in set(bodies) - set(lost)


def test_puts_survive_deletes_that_take_their_folder(store: DirectoryStore) -> None:
    failures: list[Exception] = []

    def turn(name: str) -> None:
        key = ObjectKey(f"recording/capture/{name}")
        try:
            for _ in range(30):
                put(store, b"sealed", key)
                store.delete(key)
        except VaultError as error:
            failures.append(error)

    threads = [threading.Thread(target=turn, args=(f"000{i}",)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert list(store.keys()) == []
