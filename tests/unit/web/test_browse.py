import pytest

from vault.core.errors import InvalidInputError
from vault.web.browse import RecordingQuery, searched_months, utc_day

NOW = 1_795_414_569_000_000_000  # 2026-11-23


class TestDays:
    @pytest.mark.parametrize(
        ("text", "day"),
        [
            (None, None),
            ("", None),
            ("2026-11-23", "2026-11-23"),
            ("2026-11-23T23:30:00Z", "2026-11-23"),
            ("2026-11-23T23:30:00-02:00", "2026-11-24"),
        ],
    )
    def test_a_time_is_its_utc_day(self, text: str | None, day: str | None) -> None:
        assert utc_day(text) == day

    @pytest.mark.parametrize("text", ["yesterday", "2026-02-30", "2026-11-23T06:00:00"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidInputError):
            utc_day(text)


class TestMonths:
    def test_without_days_it_is_the_last_two_years(self) -> None:
        months = searched_months(None, None, now=NOW)

        assert (len(months), months[0], months[-1]) == (24, "2024-12", "2026-11")

    def test_days_choose_the_months_between_them(self) -> None:
        months = searched_months("2025-11-30", "2026-02-01", now=NOW)

        assert months == ["2025-11", "2025-12", "2026-01", "2026-02"]

    @pytest.mark.parametrize(
        ("first", "last"), [("2026-02-01", "2026-01-01"), ("2020-01-01", "2026-01-01")]
    )
    def test_reversed_or_too_far_apart_is_refused(self, first: str, last: str) -> None:
        with pytest.raises(InvalidInputError):
            searched_months(first, last, now=NOW)


def test_a_cursor_alone_narrows_nothing() -> None:
    assert not RecordingQuery(cursor="x").narrows
    assert RecordingQuery(party="1").narrows
