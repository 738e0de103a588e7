"""Whatever a PBX's file holds, reading it ends in records or in a refusal."""

from hypothesis import given
from hypothesis import strategies as st

from vault.core.errors import InvalidInputError
from vault.recorder.detail_records import CsvShape, read_records

_CELL = st.text(max_size=30) | st.sampled_from(
    ["", "1", "2026-11-23 12:00:00", "1:2:3", "1e400", "=1+1", '"', "\u2028", "NaN"]
)


@given(st.binary(max_size=400))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    try:
        read_records(octets, CsvShape())
    except InvalidInputError:
        return


@given(st.lists(st.lists(_CELL, min_size=1, max_size=5), max_size=12))
def test_every_row_is_a_record_or_named(rows: list[list[str]]) -> None:
    text = "id,start,billsec,src,dst\n" + "\n".join(
        ",".join(cell.replace("\0", "") for cell in row) for row in rows
    )
    try:
        found = read_records(text.encode(errors="surrogatepass"), CsvShape())
    except InvalidInputError:
        return

    assert all(one.id or one.start_s is not None for one in found.records)
