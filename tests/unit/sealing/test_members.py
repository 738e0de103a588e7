from collections.abc import Callable

import pytest

from vault.core.errors import SealBrokenError
from vault.sealing.members import Members, to_base64


def read(octets: bytes) -> Members:
    return Members.parse(octets, of="test")


@pytest.mark.parametrize(
    "octets",
    [b"", b"[]", b"1", b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1,"a":1}', b"\xff"],
)
def test_what_is_not_canonical_is_refused(octets: bytes) -> None:
    with pytest.raises(SealBrokenError, match="test"):
        read(octets)


Take = Callable[[Members], object]


@pytest.mark.parametrize(
    ("octets", "take"),
    [
        (b'{"a":1}', lambda m: m.text("a")),
        (b'{"a":null}', lambda m: m.text("a")),
        (b'{"a":"1"}', lambda m: m.count("a")),
        (b'{"a":-1}', lambda m: m.count("a")),
        (b'{"a":true}', lambda m: m.count("a")),
        (b'{"a":1}', lambda m: m.flag("a")),
        (b'{"a":"2026-01-01"}', lambda m: m.time("a")),
        (b'{"a":"2026-01-01T00:00:00+01:00"}', lambda m: m.time("a")),
        (b'{"a":1}', lambda m: m.optional_time("a")),
        (b"{}", lambda m: m.optional_time("a")),
        (b'{"a":"AB"}', lambda m: m.hex_octets("a", size=1)),
        (b'{"a":"abcd"}', lambda m: m.hex_octets("a", size=1)),
        (b'{"a":"ab cd"}', lambda m: m.hex_octets("a", size=2)),
        (b'{"a":"eA"}', lambda m: m.base64_octets("a")),
        (b'{"a":"eB=="}', lambda m: m.base64_octets("a")),
        (b'{"a":"e A=="}', lambda m: m.base64_octets("a")),
        (b'{"a":"x"}', lambda m: m.recording_id("a")),
        (b'{"a":{"b":1}}', lambda m: m.texts("a")),
        (b'{"a":{"b":"1"}}', lambda m: m.counts("a")),
        (b'{"a":[]}', lambda m: m.one("a")),
        (b'{"a":"bc"}', lambda m: m.each("a")),
        (b'{"a":{}}', lambda m: m.each("a")),
        (b'{"a":[1]}', lambda m: m.each("a")),
        (b"{}", lambda m: m.text("a")),
        (b'{"v":2}', lambda m: m.version(1)),
        (b'{"a":1}', lambda m: m.end()),
    ],
)
def test_what_is_not_what_it_should_be_is_refused(octets: bytes, take: Take) -> None:
    with pytest.raises(SealBrokenError):
        take(read(octets))


def test_members_are_taken_once_each() -> None:
    members = read(b'{"a":"x","t":null,"v":1}')

    members.version(1)

    assert members.names() == ["a", "t"]
    assert members.text("a") == "x"
    assert members.optional_time("t") is None
    members.end()


def test_base64_is_padded() -> None:
    assert to_base64(b"x") == "eA=="
    assert read(b'{"a":"eA=="}').base64_octets("a") == b"x"
