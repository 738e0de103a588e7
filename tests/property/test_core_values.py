import json

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from vault.core import canonical
from vault.core.clock import rfc3339, utc
from vault.core.errors import InvalidInputError, NotFoundError, RangeNotSatisfiableError
from vault.core.ids import parse_recording_id
from vault.core.ranges import ByteRange

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(1 - 2**53, 2**53 - 1) | TEXT,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
    ),
    max_leaves=20,
)
OBJECTS = st.dictionaries(TEXT, JSON, max_size=6)


@given(OBJECTS)
def test_canonical_octets_are_those_of_an_implementation_we_did_not_write(
    value: dict[str, object],
) -> None:
    octets = canonical.dumps(value)

    assert rfc8785.dumps(value) == octets
    assert value == canonical.parse(octets)


@given(st.binary(max_size=60) | TEXT.map(str.encode))
def test_parse_accepts_canonical_octets_or_raises_its_one_error(octets: bytes) -> None:
    try:
        value = canonical.parse(octets)
    except InvalidInputError:
        return

    assert octets == canonical.dumps(value)


@given(OBJECTS, st.booleans(), st.sampled_from([None, 0, 2]))
def test_no_other_spelling_of_an_object_is_accepted(
    value: dict[str, object], ascii_only: bool, indent: int | None
) -> None:
    other = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode()
    if other == canonical.dumps(value):
        return
    try:
        canonical.parse(other)
    except InvalidInputError:
        return
    raise AssertionError(other)


@given(st.text(alphabet="bytes=0123456789-, ", max_size=24), st.integers(0, 10**6))
def test_a_range_is_within_the_media_or_there_is_none(header: str, size: int) -> None:
    try:
        span = ByteRange.parse(header, size=size)
    except RangeNotSatisfiableError:
        return
    if span is not None:
        assert 0 <= span.start < span.stop <= size


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 10**6))
def test_a_range_selects_what_a_slice_would(first: int, last: int, size: int) -> None:
    octets = range(size)
    wanted = octets[first : last + 1]
    if first > last or not wanted:
        return
    span = ByteRange.parse(f"bytes={first}-{last}", size=size)

    assert span is not None
    assert wanted == octets[span.start : span.stop]


@given(st.integers(0, 2**62))
def test_text_and_datetime_say_the_same_second(time_ns: int) -> None:
    assert rfc3339(time_ns).startswith(utc(time_ns).strftime("%Y-%m-%dT%H:%M:%S."))


@given(st.text(max_size=60))
def test_a_recording_id_is_canonical_or_refused(text: str) -> None:
    try:
        accepted = parse_recording_id(text)
    except NotFoundError:
        return

    assert text == accepted == text.lower()
