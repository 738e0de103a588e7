"""The place of a stream outlives processes and is never further than it was."""

from pathlib import Path

import pytest

from vault.auditor.stream_place import StreamPlace, StreamPlaces
from vault.core.errors import UnavailableError

PLACE = StreamPlace(origin="vault.example/audit", next=7, said="started", said_at_ms=9)


def test_a_place_is_read_as_it_was_written(tmp_path: Path) -> None:
    places = StreamPlaces(tmp_path / "auditor", "siem")

    assert StreamPlace() == places.read()

    places.write(PLACE)

    assert StreamPlaces(tmp_path / "auditor", "siem").read() == PLACE
    assert (tmp_path / "auditor" / "stream-siem.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "octets",
    [b"", b"{}", b'{"next":-1,"origin":"","said":"","said_at_ms":0,"v":1}', b"[1]"],
)
def test_a_file_that_is_no_place_stops_the_stream(
    tmp_path: Path, octets: bytes
) -> None:
    (tmp_path / "stream-siem.json").write_bytes(octets)

    with pytest.raises(UnavailableError):
        StreamPlaces(tmp_path, "siem").read()


def test_a_place_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    places = StreamPlaces(tmp_path, "siem")
    places.write(PLACE)
    (tmp_path / "stream-siem.json.new").mkdir()

    with pytest.raises(UnavailableError):
        places.write(StreamPlace(next=8))

    assert places.read() == PLACE


def test_a_rewind_is_asked_for_once(tmp_path: Path) -> None:
    places = StreamPlaces(tmp_path, "siem")
    places.ask_rewind(3)

    assert places.asked_rewind() == 3

    places.forget_rewind()

    assert places.asked_rewind() is None
