from types import MappingProxyType

import pytest
import rfc8785

from vault.core import canonical
from vault.core.errors import InvalidInputError
from vault.core.flow import Direction

VALUES = [
    {},
    {"a": None, "b": True, "c": False},
    {"n": 0, "m": -1, "big": 2**53 - 1, "small": 1 - 2**53},
    {"list": [[], {}, [1, [2]], "x"]},
    {"b": 1, "a": 2, "": 3, "A": 4, "aa": 5},
    # Section 3.2.3's own example: UTF-16 order differs from code point order.
    {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\x80": 6, "\xf6": 7},
    {"text": '"\\/\b\f\n\r\t\x00\x1f\x7f\u2028\u2029\ufeff\U0001f4de'},
]


class TestDumps:
    @pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
    def test_octets_are_those_of_an_implementation_we_did_not_write(
        self, value: dict[str, object]
    ) -> None:
        assert rfc8785.dumps(value) == canonical.dumps(value)

    def test_keys_are_sorted_by_utf16_code_units(self) -> None:
        keys = list(canonical.parse(canonical.dumps({"\ufb33": 1, "\U0001f600": 2})))

        assert ["\U0001f600", "\ufb33"] == keys

    def test_enums_and_frozen_mappings_are_what_they_hold(self) -> None:
        value = MappingProxyType({"direction": Direction.INBOUND, "pair": (1, 2)})

        assert b'{"direction":"inbound","pair":[1,2]}' == canonical.dumps(value)

    @pytest.mark.parametrize(
        "value",
        [1.5, float("nan"), 2**53, -(2**53), {1: 2}, {None: 1}, b"octets", {"a": b""}],
    )
    def test_what_has_no_single_spelling_is_refused(self, value: object) -> None:
        with pytest.raises(ValueError):
            canonical.dumps(value)

    @pytest.mark.parametrize("value", [{"a": "\ud800"}, {"\udfff": 1}])
    def test_a_lone_surrogate_is_refused(self, value: object) -> None:
        with pytest.raises(ValueError):
            canonical.dumps(value)

    def test_deep_nesting_is_refused(self) -> None:
        value: object = 1
        for _ in range(40):
            value = [value]
        with pytest.raises(ValueError):
            canonical.dumps(value)


class TestParse:
    @pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:40])
    def test_parse_and_dumps_are_inverses(self, value: dict[str, object]) -> None:
        assert value == canonical.parse(canonical.dumps(value))

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b"null",
            b"[]",
            b"1",
            b'"text"',
            b'{"a":1} ',
            b' {"a":1}',
            b'{"a": 1}',
            b'{"b":1,"a":2}',
            b'{"a":1,"a":1}',
            b'{"a":01}',
            b'{"a":-0}',
            b'{"a":1.0}',
            b'{"a":1e2}',
            b'{"a":NaN}',
            b'{"a":Infinity}',
            b'{"a":9007199254740992}',
            b'{"a":"\\u0041"}',
            b'{"a":"\\/"}',
            b'{"a":"\\ud83d\\ude00"}',
            b'{"a":"\\ud800"}',
            b'{"a":"\xff"}',
            b'\xef\xbb\xbf{"a":1}',
            '{"a":1}'.encode("utf-16"),
            b'{"a":' + b"9" * 5000 + b"}",
            b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"a":1}\n',
            b"{'a':1}",
        ],
        ids=lambda octets: repr(octets[:30]),
    )
    def test_another_spelling_is_refused(self, octets: bytes) -> None:
        with pytest.raises(InvalidInputError):
            canonical.parse(octets)
