import time
from datetime import UTC, datetime

import pytest

from vault.core.clock import day_of, month_of, rfc3339, system_clock_ns, utc

MOMENT_NS = 1_795_414_569_123_456_789


class TestClock:
    def test_text_is_rfc3339_with_all_nine_digits(self) -> None:
        assert "2026-11-23T06:16:09.123456789Z" == rfc3339(MOMENT_NS)
        assert "1970-01-01T00:00:00.000000000Z" == rfc3339(0)

    def test_text_sorts_like_time(self) -> None:
        moments = [0, 1, 999_999_999, 10**9, MOMENT_NS, MOMENT_NS + 1]

        assert moments == sorted(moments, key=rfc3339)

    def test_no_time_is_naive(self) -> None:
        moment = utc(MOMENT_NS)

        assert (UTC, datetime(2026, 11, 23, 6, 16, 9, 123456, UTC)) == (
            moment.tzinfo,
            moment,
        )

    @pytest.mark.parametrize(
        ("time_ns", "day"),
        [
            (MOMENT_NS, "2026-11-23"),
            (0, "1970-01-01"),
            (86_400 * 10**9 - 1, "1970-01-01"),
            (86_400 * 10**9, "1970-01-02"),
        ],
    )
    def test_a_day_ends_at_midnight_utc(self, time_ns: int, day: str) -> None:
        assert (day, day[:7]) == (day_of(time_ns), month_of(time_ns))

    def test_the_system_clock_is_in_nanoseconds(self) -> None:
        before = time.time_ns()

        assert before <= system_clock_ns() <= time.time_ns()
