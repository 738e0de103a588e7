import pytest

from vault.core.errors import RangeNotSatisfiableError
from vault.core.ranges import ByteRange


def span(start: int, stop: int) -> ByteRange:
    return ByteRange(start=start, stop=stop)


class TestParse:
    @pytest.mark.parametrize(
        ("header", "expected"),
        [
            ("bytes=0-1", span(0, 2)),
            ("bytes=0-0", span(0, 1)),
            ("bytes=0-", span(0, 1000)),
            ("bytes=999-", span(999, 1000)),
            ("bytes=500-2000", span(500, 1000)),
            ("bytes=0-999999999999999999", span(0, 1000)),
            ("bytes=-1", span(999, 1000)),
            ("bytes=-1000", span(0, 1000)),
            ("bytes=-5000", span(0, 1000)),
            (" bytes=1-2 ", span(1, 3)),
        ],
    )
    def test_one_range_selects_its_octets(
        self, header: str, expected: ByteRange
    ) -> None:
        assert expected == ByteRange.parse(header, size=1000)

    @pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
    def test_a_range_beyond_the_end_says_the_size(self, header: str) -> None:
        with pytest.raises(RangeNotSatisfiableError) as refused:
            ByteRange.parse(header, size=1000)

        assert 1000 == refused.value.size

    @pytest.mark.parametrize("header", ["bytes=0-", "bytes=0-0", "bytes=-1"])
    def test_nothing_can_be_selected_of_nothing(self, header: str) -> None:
        with pytest.raises(RangeNotSatisfiableError):
            ByteRange.parse(header, size=0)

    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "bytes=-",
            "bytes=",
            "bytes=a-b",
            "bytes=5-4",
            "bytes=0-1,5-6",
            "bytes= 0-1",
            "bytes=0 -1",
            "bytes=+0-1",
            "bytes=--1",
            "bytes=1_0-20",
            "bytes=0x1-2",
            "bytes=\u0661-\u0662",
            "Bytes=0-1",
            "items=0-1",
            "bytes=0-1\n0",
            "bytes=" + "9" * 19 + "-",
        ],
    )
    def test_what_is_not_one_byte_range_is_ignored(self, header: str | None) -> None:
        """RFC 9110 14.2: the whole representation is the honest answer."""
        assert ByteRange.parse(header, size=1000) is None


class TestByteRange:
    @pytest.mark.parametrize(("start", "stop"), [(0, 0), (5, 5), (5, 4), (-1, 3)])
    def test_an_empty_or_reversed_span_cannot_be_made(
        self, start: int, stop: int
    ) -> None:
        with pytest.raises(ValueError):
            ByteRange(start=start, stop=stop)

    def test_content_range_is_closed_on_the_wire(self) -> None:
        assert "bytes 0-1/1000" == span(0, 2).content_range(size=1000)

    def test_its_length_is_in_octets(self) -> None:
        assert 2 == len(span(3, 5))
