import dataclasses
import json
from collections.abc import Mapping
from enum import Enum, StrEnum

import pytest

from vault.core.errors import InvalidInputError
from vault.core.ids import RecordingId
from vault.core.secrets import SecretBytes
from vault.recorder.plain import made, plain
from vault.sip.sdp import SessionDescription


class Colour(StrEnum):
    RED = "red"


class Size(Enum):
    LARGE = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inner:
    key: SecretBytes
    octets: bytes = b""


@dataclasses.dataclass(kw_only=True)
class Outer:
    recording_id: RecordingId
    inner: Inner | None
    several: tuple[Inner, ...]
    address: tuple[str, int] | None
    colours: frozenset[Colour]
    size: Size
    words: Mapping[str, str]
    said: SessionDescription
    at_s: float
    yes: bool


OUTER = Outer(
    recording_id=RecordingId("x"),
    inner=None,
    several=(Inner(key=SecretBytes(b"\x00\xff"), octets=b"\x01"),),
    address=("192.0.2.1", 5),
    colours=frozenset(Colour),
    size=Size.LARGE,
    words={"a": "ü\ud800"},
    said=SessionDescription.parse("v=0\r\ns=-\r\n"),
    at_s=1.25,
    yes=True,
)


def through_json(value: object) -> dict[str, object]:
    found: dict[str, object] = json.loads(json.dumps(plain(value)))
    return found


def test_a_value_is_read_as_it_was_written() -> None:
    assert made(Outer, through_json(OUTER)) == OUTER


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("recording_id", 5),
        ("inner", {}),
        ("inner", "text"),
        ("inner", {"key": "zz", "octets": ""}),
        ("several", {"key": "00"}),
        ("several", [None]),
        ("address", ["192.0.2.1"]),
        ("address", ["192.0.2.1", "5"]),
        ("colours", ["green"]),
        ("size", 4),
        ("words", ["a"]),
        ("words", {"a": 1}),
        ("said", 7),
        ("said", "not SDP"),
        ("at_s", 1),
        ("yes", 1),
    ],
)
def test_what_does_not_fit_is_refused(name: str, said: object) -> None:
    with pytest.raises(InvalidInputError):
        made(Outer, through_json(OUTER) | {name: said})


def test_a_member_that_is_missing_is_refused() -> None:
    said = through_json(OUTER)
    del said["size"]

    with pytest.raises(InvalidInputError):
        made(Outer, said)
