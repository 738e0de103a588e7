import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.commands.recordings import _write
from vault.core.errors import InvalidInputError, SealBrokenError


def test_a_file_is_private_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "call.flac"

    written = _write(file, [b"one", b"two"])

    assert (6, b"onetwo") == (written, file.read_bytes())
    assert file.stat().st_mode & 0o777 == 0o600
    assert [file] == list(tmp_path.iterdir())


def test_an_older_file_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    file = tmp_path / "call.flac"
    file.write_bytes(b"what was exported yesterday")

    def broken() -> Iterator[bytes]:
        yield b"half"
        raise SealBrokenError("chunk 1 does not verify")

    with pytest.raises(SealBrokenError):
        _write(file, broken())
    after_damage = file.read_bytes()
    _write(file, [b"today"])

    assert b"what was exported yesterday" == after_damage
    assert b"today" == file.read_bytes()
    assert [file] == list(tmp_path.iterdir())


def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    file = tmp_path / "call.flac"
    (tmp_path / f".call.flac.{os.getpid()}").symlink_to(target)

    with pytest.raises(InvalidInputError, match=r"call\.flac"):
        _write(file, [b"plaintext"])

    assert not target.exists()
    assert not file.exists()


def test_a_folder_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="No such file or directory"):
        _write(tmp_path / "not" / "there.flac", [b"plaintext"])


def test_a_dash_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    written = _write(Path("-"), [b"\x0a\x0d\x0d\x0a", b"rest"])

    assert (8, b"\x0a\x0d\x0d\x0arest") == (written, capfdbinary.readouterr().out)
