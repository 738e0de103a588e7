from pathlib import Path

import pytest

from vault.core.errors import ConfigurationError
from vault.recorder.keys import create_manifest_key, load_manifest_key


def test_a_key_that_was_made_is_loaded(tmp_path: Path) -> None:
    made = create_manifest_key(tmp_path / "key", name="tap")
    loaded = load_manifest_key(tmp_path / "key", name="tap")

    assert made.public == loaded.public


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    create_manifest_key(tmp_path / "key", name="tap")

    with pytest.raises(ConfigurationError):
        create_manifest_key(tmp_path / "key", name="tap")


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    create_manifest_key(tmp_path / "key", name="tap")
    (tmp_path / "key").chmod(0o640)

    with pytest.raises(ConfigurationError):
        load_manifest_key(tmp_path / "key", name="tap")


@pytest.mark.parametrize("octets", [b"", b"-----BEGIN PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(tmp_path: Path, octets: bytes) -> None:
    (tmp_path / "key").write_bytes(octets)

    with pytest.raises(ConfigurationError):
        load_manifest_key(tmp_path / "key", name="tap")


def test_a_missing_key_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        load_manifest_key(tmp_path / "none", name="tap")


def test_a_key_shows_nothing(tmp_path: Path) -> None:
    assert "PRIVATE" not in repr(create_manifest_key(tmp_path / "key", name="tap"))
