import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.core.errors import InvalidInputError
from vault.core.strict_json import MAX_DEPTH, MAX_VALUES, parse

_NUMBERS = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(
    allow_nan=False, allow_infinity=False
)
_TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_VALUES: Any = st.recursive(
    st.none() | st.booleans() | _NUMBERS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(_VALUES)
def test_what_python_writes_is_read_back(value: object) -> None:
    assert value == parse(json.dumps(value).encode())
    assert value == parse(json.dumps(value, ensure_ascii=False).encode())


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"{", b"{}{}", b"[1,]", b"'a'", b"\xff", b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"), b'{"a": 1, "a": 2}', b'{"a": 1, "\\u0061": 2}',
        b"NaN", b"[Infinity]", b"-Infinity", b"1e999", b"-1e999",
        b"9007199254740992", b"-9007199254740992", b"1" * 5000, b"0x10", b"01",
        b'"\\ud800"', b'{"\\udc00": 1}', b'["\\ud800x"]', b'"\\q"', b'"a', b'"\x00"',
        b'"' + b'\\"' * 32_000, b'"\\\n' * 20_000, b"[" * 60_000, b'{"a":' * 12_000, b"[" + b"1," * 30_000 + b"1]",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    ],
)  # fmt: skip
def test_what_readers_could_understand_in_two_ways_is_refused(octets: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse(octets)


def test_what_is_just_small_enough_is_read() -> None:
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    wide = list(range(MAX_VALUES))

    assert deep == parse(json.dumps(deep).encode())
    assert wide == parse(json.dumps(wide).encode())
    assert "[{" * 50 == parse(json.dumps("[{" * 50).encode())
    assert 2**53 - 1 == parse(b"9007199254740991")
    assert "\U0001f600" == parse(b'"\\ud83d\\ude00"')
