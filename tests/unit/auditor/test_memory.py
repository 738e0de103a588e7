from pathlib import Path

from structlog.testing import capture_logs

from vault.auditor.memory import DAMAGED, Memory


def test_what_was_never_written_is_nothing_and_no_damage(tmp_path: Path) -> None:
    with capture_logs() as said:
        assert {} == Memory(tmp_path / "duty.json").read()

    assert [] == said


def test_a_damaged_file_reads_as_nothing_and_is_named(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "duty.json")
    memory.write({"size": 7})
    whole = (tmp_path / "duty.json").read_bytes()
    for octets in (whole[:-1], b"", b"[]", b"\xff", whole + b" "):
        (tmp_path / "duty.json").write_bytes(octets)
        with capture_logs() as said:
            assert {} == memory.read()

        assert [DAMAGED] == [one["event"] for one in said]
        assert "duty.json" == said[0]["file"]
