import pytest
from starlette.datastructures import Headers

from vault.core.errors import RangeNotSatisfiableError
from vault.core.ranges import ByteRange
from vault.web.media import MAX_OPEN_ANSWER_BYTES, asked_span, media_headers

HOUR = 36_000_000
ETAG = '"e"'


def asked(*headers: tuple[str, str], method: str = "GET") -> ByteRange | None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    return asked_span(Headers(raw=raw), method=method, size=HOUR, etag=ETAG)


def test_an_open_range_is_capped_and_a_closed_one_is_not() -> None:
    start = 1_000_000

    opened = asked(("Range", f"bytes={start}-"))
    closed = asked(("Range", f"bytes={start}-{HOUR - 1}"))

    assert opened == ByteRange(start=start, stop=start + MAX_OPEN_ANSWER_BYTES)
    assert closed == ByteRange(start=start, stop=HOUR)


def test_an_open_range_near_the_end_ends_there() -> None:
    assert asked(("Range", f"bytes={HOUR - 5}-")) == ByteRange(
        start=HOUR - 5, stop=HOUR
    )


def test_head_has_no_range() -> None:
    assert asked(("Range", "bytes=0-1"), method="HEAD") is None


@pytest.mark.parametrize("validator", ['"f"', 'W/"e"', "Mon, 23 Nov 2026 06:00:00 GMT"])
def test_another_validator_asks_for_all_of_it(validator: str) -> None:
    assert asked(("Range", "bytes=0-1"), ("If-Range", validator)) is None


def test_a_range_beyond_the_end_is_not_satisfiable() -> None:
    with pytest.raises(RangeNotSatisfiableError):
        asked(("Range", f"bytes={HOUR}-"))


def test_the_headers_count_what_is_sent() -> None:
    span = ByteRange(start=0, stop=2)

    part = media_headers(span, size=HOUR, etag=ETAG, media_type="audio/flac")
    whole = media_headers(None, size=HOUR, etag=ETAG, media_type="audio/flac")

    assert (part["Content-Length"], part["Content-Range"]) == ("2", f"bytes 0-1/{HOUR}")
    assert (whole["Content-Length"], "Content-Range" in whole) == (str(HOUR), False)
