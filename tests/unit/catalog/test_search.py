import base64
from datetime import date

import pytest

from vault.catalog.search import checked_limit, format_cursor, parse_cursor
from vault.core.errors import InvalidInputError


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def test_a_cursor_comes_back_as_it_went() -> None:
    place = (date(2026, 11, 23), 4711)

    assert place == parse_cursor(format_cursor(place))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "\ud800",
        "é",
        "A" * 10_000,
        encoded("2026-11-23"),
        encoded("2026-11-23.-1"),
        encoded("2026-11-23.007"),
        encoded("2026-02-30.1"),
        encoded("2026-11-23.9999999999999999999"),
        encoded("2026-11-23.1\n"),
        encoded("2026-11-23.1") + "=",
        encoded("2026-11-23.1") + "\n",
    ],
)
def test_a_cursor_that_we_never_wrote_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_cursor(text)


@pytest.mark.parametrize("limit", [1, 200])
def test_a_page_may_have_1_to_200_rows(limit: int) -> None:
    assert limit == checked_limit(limit)
