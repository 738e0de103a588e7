import os
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.cobblestone import Cobblestone256Decryptor

from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.sealing import chunks
from vault.tap.capture import Kind, parse_records
from vault.tap.part import Part, object_name

ID = RecordingId("6f2b7c1e-3f5d-4a6b-8c9d-0e1f2a3b4c5d")
DEK = SecretBytes(bytes(range(32)))


def part_at(path: Path) -> Part:
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    return Part(recording_id=ID, dek=DEK, number=1, fd=fd)


def opened(sealed: bytes) -> bytes:
    opener = Cobblestone256Decryptor(DEK.reveal(), chunks.context(ID, "capture/0001"))
    return opener.update(sealed) + opener.finalize()


class TestPart:
    @pytest.mark.parametrize("size", [0, 1, 16383, 16384, 16385, 40000])
    def test_what_was_added_is_what_a_foreign_reader_opens(
        self, tmp_path: Path, size: int
    ):
        part = part_at(tmp_path / "part")
        octets = os.urandom(size)
        for at in range(0, size, 1000):
            part.buffer += octets[at : at + 1000]
            part.seal(1.0)

        assert part.finish(2.0)
        sealed = (tmp_path / "part").read_bytes()
        assert opened(sealed) == octets
        assert (part.size_bytes, part.sha256) == (len(sealed), sha256(sealed).digest())

    @pytest.mark.parametrize("left", [1, 19, 20, 21, 500])
    def test_a_flush_ends_on_a_chunk_however_little_is_left(
        self, tmp_path: Path, left: int
    ):
        part = part_at(tmp_path / "part")
        part.buffer += bytes(16384 - left)
        part.seal(1.0)
        part.flush(2.0, now_ns=7)
        size = (tmp_path / "part").stat().st_size
        part.finish(3.0)

        padding = opened((tmp_path / "part").read_bytes())[16384 - left :]
        (record,) = parse_records(padding)

        assert (size - 56) % 16400 == 0
        assert (record.kind, record.arrival_ns) == (Kind.PADDING, 7)
        assert part.opened_s == 0.0

    def test_a_flush_of_nothing_writes_nothing(self, tmp_path: Path):
        part = part_at(tmp_path / "part")
        part.flush(1.0, now_ns=7)

        assert (tmp_path / "part").stat().st_size == 0
        part.abandon()

    def test_a_torn_write_is_cut_back_to_whole_chunks(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        part = part_at(tmp_path / "part")
        part.buffer += bytes(20000)
        part.seal(1.0)
        whole = (tmp_path / "part").stat().st_size
        writes = [os.write, _no_space]

        def half_then_full_disk(fd: int, octets: memoryview) -> int:
            return writes.pop(0)(fd, octets[: len(octets) // 2])

        monkeypatch.setattr("vault.tap.part.os.write", half_then_full_disk)
        part.buffer += bytes(20000)
        part.seal(2.0)

        assert part.failure == "ENOSPC"
        assert (tmp_path / "part").stat().st_size == whole == part.size_bytes
        assert part.sha256 == sha256((tmp_path / "part").read_bytes()).digest()
        assert part.finish(3.0) is False

    def test_names_of_parts_have_four_digits(self):
        assert [object_name(1), object_name(12)] == ["capture/0001", "capture/0012"]


def _no_space(fd: int, octets: memoryview) -> int:
    raise OSError(28, "No space left on device")
