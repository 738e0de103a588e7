from pathlib import Path

import pytest

from vault.commands.recordings import _write


def test_an_export_is_private_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "call.flac"

    written = _write(file, [b"one", b"two"])

    assert (6, b"onetwo") == (written, file.read_bytes())
    assert file.stat().st_mode & 0o777 == 0o600
    assert [file] == list(tmp_path.iterdir())


def test_a_dash_is_standard_output(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    written = _write(Path("-"), [b"\x0a\x0d\x0d\x0a", b"rest"])

    assert (8, b"\x0a\x0d\x0d\x0arest") == (written, capfdbinary.readouterr().out)
