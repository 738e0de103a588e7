import errno
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vault.cli import app
from vault.commands.files import whole_file
from vault.core.errors import ConflictError, InvalidInputError, SealBrokenError


def write(file: Path, octets: bytes, *, overwrite: bool = False) -> None:
    with whole_file(file, overwrite=overwrite) as opened:
        opened.write(octets)


def write_half(file: Path) -> None:
    with whole_file(file, overwrite=True) as opened:
        opened.write(b"half")
        raise SealBrokenError("chunk 1 does not verify")


def write_slowly(file: Path, *, meanwhile: bytes) -> None:
    with whole_file(file, overwrite=False) as opened:
        opened.write(b"slow")
        file.write_bytes(meanwhile)


def test_a_file_is_private_and_alone(tmp_path: Path) -> None:
    file = tmp_path / "call.flac"

    write(file, b"today")

    assert b"today" == file.read_bytes()
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.stat().st_nlink == 1
    assert [file] == list(tmp_path.iterdir())


class TestAnEarlierFile:
    @pytest.fixture
    def earlier(self, tmp_path: Path) -> Path:
        file = tmp_path / "trail.jsonl"
        file.write_bytes(b"what was exported yesterday")
        return file

    def test_it_stays_and_the_way_out_is_said(self, earlier: Path) -> None:
        with pytest.raises(ConflictError, match="--overwrite"):
            write(earlier, b"today")

        assert b"what was exported yesterday" == earlier.read_bytes()
        assert [earlier] == list(earlier.parent.iterdir())

    def test_it_goes_where_somebody_asks_for_its_place(self, earlier: Path) -> None:
        write(earlier, b"today", overwrite=True)

        assert b"today" == earlier.read_bytes()
        assert [earlier] == list(earlier.parent.iterdir())

    def test_it_stays_where_what_replaces_it_is_never_whole(
        self, earlier: Path
    ) -> None:
        with pytest.raises(SealBrokenError):
            write_half(earlier)

        assert b"what was exported yesterday" == earlier.read_bytes()
        assert [earlier] == list(earlier.parent.iterdir())

    @pytest.mark.parametrize(
        "words",
        [("audit", "export"), ("recordings", "export", "rec")],
        ids=" ".join,
    )
    def test_no_command_replaces_it(
        self, earlier: Path, words: tuple[str, ...]
    ) -> None:
        done = CliRunner().invoke(app, [*words, "--output", str(earlier)])

        assert 1 == done.exit_code
        assert "is there already" in done.output
        assert b"what was exported yesterday" == earlier.read_bytes()


def test_one_that_somebody_makes_in_between_stays(tmp_path: Path) -> None:
    file = tmp_path / "call.flac"

    with pytest.raises(ConflictError):
        write_slowly(file, meanwhile=b"fast")

    assert b"fast" == file.read_bytes()
    assert [file] == list(tmp_path.iterdir())


def test_a_file_system_without_links_replaces_nothing_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    alone, contested = tmp_path / "alone", tmp_path / "contested"

    write(alone, b"slow")
    with pytest.raises(ConflictError):
        write_slowly(contested, meanwhile=b"fast")

    assert (b"slow", b"fast") == (alone.read_bytes(), contested.read_bytes())
    assert {alone, contested} == set(tmp_path.iterdir())


def test_a_link_that_leads_nowhere_is_a_name_that_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "call.flac"
    file.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(ConflictError):
        write(file, b"plaintext")

    assert not (tmp_path / "elsewhere").exists()


def test_a_planted_link_is_neither_followed_nor_removed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    file = tmp_path / "call.flac"
    planted = tmp_path / f".call.flac.{os.getpid()}"
    planted.symlink_to(target)

    with pytest.raises(InvalidInputError, match=r"call\.flac"):
        write(file, b"plaintext")

    assert not target.exists()
    assert not file.exists()
    assert planted.is_symlink()


def test_a_folder_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="No such file or directory"):
        write(tmp_path / "not" / "there.flac", b"plaintext")
