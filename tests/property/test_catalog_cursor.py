from hypothesis import given
from hypothesis import strategies as st

from vault.catalog.search import format_cursor, parse_cursor
from vault.core.errors import InvalidInputError


@given(st.dates(), st.integers(0, 10**18 - 1))
def test_every_place_comes_back_as_it_went(day: object, seq: int) -> None:
    assert (day, seq) == parse_cursor(format_cursor((day, seq)))  # type: ignore[arg-type]


@given(st.text(max_size=80))
def test_any_text_is_a_cursor_of_ours_or_refused(text: str) -> None:
    try:
        place = parse_cursor(text)
    except InvalidInputError:
        return

    assert text == format_cursor(place)
