import os
from pathlib import Path

import pytest

from vault.core.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    UnavailableError,
)
from vault.spool import descriptors
from vault.spool.descriptors import (
    clear,
    copy_whole,
    folder,
    open_file,
    tidy,
    translated,
    write_durably,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def _plant(place: Path, kind: str) -> None:
    target = place.with_name("target")
    target.write_bytes(b"elsewhere")
    match kind:
        case "symlink":
            place.symlink_to(target)
        case "hard link":
            os.link(target, place)
        case "pipe":
            os.mkfifo(place)
        case "folder":
            place.mkdir()


@pytest.mark.parametrize("kind", ["symlink", "hard link", "pipe", "folder"])
def test_what_is_planted_under_our_names_is_never_read(
    tmp_path: Path, kind: str
) -> None:
    _plant(tmp_path / "envelope", kind)

    with (
        folder(tmp_path) as at,
        pytest.raises(IntegrityError),
        translated("x"),
    ):
        open_file(at, "envelope")


@as_root
def test_a_file_of_another_user_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "order").write_bytes(b"x")
    os.chown(tmp_path / "order", 65534, 65534)

    with folder(tmp_path) as at, pytest.raises(IntegrityError):
        open_file(at, "order")


@as_root
def test_a_folder_of_another_user_is_never_entered(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)

    with pytest.raises(IntegrityError), folder(tmp_path):
        pass


def test_a_link_to_a_folder_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    with (
        pytest.raises(IntegrityError),
        translated("x"),
        folder(tmp_path / "link"),
    ):
        pass


def test_clearing_follows_no_link_and_leaves_what_is_not_ours(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_bytes(b"x")
    spool = tmp_path / "spool"
    (spool / ".freed-mine").mkdir(parents=True)
    (spool / ".freed-mine" / "capture-0001").symlink_to(outside / "kept")
    (spool / ".freed-planted").symlink_to(outside)
    (spool / ".freed-nested" / "inner").mkdir(parents=True)
    with folder(spool) as at:
        for name in sorted(_names(spool)):
            clear(at, name)

    assert (outside / "kept").exists()
    assert {".freed-nested", ".freed-planted"} == set(_names(spool))


def test_a_copy_takes_the_place_of_its_original_with_the_same_octets(
    tmp_path: Path,
) -> None:
    path = tmp_path / "capture-0001"
    path.write_bytes(os.urandom(3_000_000))
    octets, before = path.read_bytes(), path.stat().st_ino
    with folder(tmp_path) as at:
        copy_whole(at, "capture-0001")

    assert octets == path.read_bytes()
    assert before != path.stat().st_ino
    assert ["capture-0001"] == _names(tmp_path)


def test_what_could_not_be_written_leaves_no_name(tmp_path: Path) -> None:
    (tmp_path / f".manifest.{os.getpid()}.new").mkdir()

    with pytest.raises(IsADirectoryError):
        write_durably(tmp_path, "manifest", b"x", replace=False)
    assert not (tmp_path / "manifest").exists()


def test_what_a_crash_left_between_two_names_is_tidied_and_then_read(
    tmp_path: Path,
) -> None:
    write_durably(tmp_path, "manifest", b"whole", replace=False)
    os.link(tmp_path / "manifest", tmp_path / ".manifest.99.new")
    with folder(tmp_path) as at:
        with pytest.raises(IntegrityError):
            open_file(at, "manifest")
        tidy(at)
        os.close(open_file(at, "manifest"))

    assert ["manifest"] == _names(tmp_path)


@pytest.mark.parametrize(
    ("error", "becomes"),
    [
        (FileExistsError(), ConflictError),
        (FileNotFoundError(), NotFoundError),
        (OSError(5, "EIO"), UnavailableError),
    ],
)
def test_errors_of_the_disk_are_of_the_vaults_tree(
    error: OSError, becomes: type[Exception]
) -> None:
    with pytest.raises(becomes), translated("x"):
        raise error


def test_a_missing_name_is_no_file(tmp_path: Path) -> None:
    with folder(tmp_path) as at:
        assert not descriptors.is_file(at, "none")


def _names(path: Path) -> list[str]:
    return [one.name for one in path.iterdir()]
