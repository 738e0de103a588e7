from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from vault.core.errors import InvalidInputError
from vault.recorder.detail_records import (
    MAX_BYTES,
    Columns,
    CsvShape,
    DetailRecord,
    read_records,
)

NOON = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC).timestamp()


def read(text: str | bytes, **shape: object) -> tuple[DetailRecord, ...]:
    octets = text.encode() if isinstance(text, str) else text
    return read_records(octets, CsvShape(**shape)).records  # type: ignore[arg-type]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_and_line_ends_are_found_out(delimiter: str, end: str) -> None:
    rows = [
        ["calldate", "clid", "src", "dst", "billsec", "uniqueid"],
        ["2026-11-23 12:00:00", '"Ada, ""A"" <100>"', "100", "200", "61", "x.1"],
    ]
    (one,) = read(end.join(delimiter.join(row) for row in rows))

    assert (
        DetailRecord(
            line=2, id="x.1", start_s=NOON, duration_s=61, caller="100", callee="200"
        )
        == one
    )


@pytest.mark.parametrize(
    "octets",
    [
        "id,caller\n1,Müller\n".encode(),
        b"\xef\xbb\xbf" + "id,caller\n1,Müller\n".encode(),
        "id,caller\n1,Müller\n".encode("latin-1"),
        "id,caller\n1,Müller\n".encode("utf-16"),
    ],
)
def test_encodings_are_found_out(octets: bytes) -> None:
    assert ["Müller"] == [one.caller for one in read(octets)]


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-23 12:00:00",
        "2026-11-23T12:00:00Z",
        "2026-11-23T13:00:00+01:00",
        "2026/11/23 12:00:00",
        "23.11.2026 12:00:00",
        "23.11.2026 12:00",
        str(int(NOON)),
        str(int(NOON) * 1000),
        f"{NOON:.3f}",
    ],
)
def test_starts_are_read_as_pbxes_write_them(text: str) -> None:
    assert [NOON] == [one.start_s for one in read(f"id,start\n1,{text}\n")]


def test_a_time_without_a_zone_is_of_the_zone_that_was_named() -> None:
    text = "id,start\n1,2026-11-23 13:00:00\n"
    (one,) = read(text, zone=ZoneInfo("Europe/Berlin"))

    assert NOON == one.start_s


def test_a_format_that_is_named_is_the_only_one() -> None:
    text = "id,start\n1,11/23/2026 12:00\n2,2026-11-23 12:00:00\n"
    found = read_records(text.encode(), CsvShape(time_format="%m/%d/%Y %H:%M"))

    assert ([NOON], [3]) == (
        [one.start_s for one in found.records],
        [one.line for one in found.unreadable],
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("61", 61), ("61.5", 61.5), ("61,5", 61.5), ("1:01", 61), ("01:01:01", 3661)],
)
def test_durations_are_seconds_or_a_clock(text: str, seconds: float) -> None:
    assert [seconds] == [one.duration_s for one in read(f"id;billsec\n1;{text}\n")]


def test_columns_are_named_by_header_or_number() -> None:
    text = "a,b,c\nx,y,z\n"
    by_name, by_number = (
        read(text, columns=Columns(id=name))[0].id for name in ("B", "2")
    )
    (first, second) = read(text, columns=Columns(id="3"), header=False)

    assert ("y", "y", "c", "z") == (by_name, by_number, first.id, second.id)


@pytest.mark.parametrize("column", ["no such", "0", "4", "²", "-1"])
def test_a_column_that_is_not_there_is_refused(column: str) -> None:
    with pytest.raises(InvalidInputError, match="no column"):
        read("a,b,c\nx,y,z\n", columns=Columns(id=column))


@pytest.mark.parametrize("text", ["", "\n\n", "a,b\n1,2\n", "\x00\x01"])
def test_what_holds_nothing_to_compare_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        read(text)


def test_a_file_that_is_too_large_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="MiB"):
        read(bytes(MAX_BYTES + 1))


def test_a_row_that_is_not_understood_is_named_by_its_line() -> None:
    text = (
        "id,start,billsec\n"
        "1,yesterday,5\n"
        "2,2026-11-23 12:00:00,NaN\n"
        "3,2026-11-23 12:00:00,-1\n"
        ",,\n"
        ",,5\n"
        "4\n"
        f"{'x' * 5000},2026-11-23 12:00:00,5\n"
        "5,2026-11-23 12:00:00,5\n"
    )
    found = read_records(text.encode(), CsvShape())

    assert ["4", "5"] == [one.id for one in found.records]
    assert [
        (2, "its start is written in no way we know: say --time-format"),
        (3, "its duration is neither seconds nor h:mm:ss"),
        (4, "its duration is neither seconds nor h:mm:ss"),
        (6, "it has neither an id nor a start"),
        (8, "its id has more than 4096 characters"),
    ] == [(one.line, one.why) for one in found.unreadable]


def test_a_quote_that_never_ends_is_refused_and_not_half_read() -> None:
    with pytest.raises(InvalidInputError):
        read('id,start\n1,"' + "x" * 200_000)


def test_numbers_of_people_are_not_in_a_traceback() -> None:
    (one,) = read("id,src\n1,+4930123\n")

    assert "4930123" not in repr(one)
