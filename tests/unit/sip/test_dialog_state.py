import pytest

from tests.simulators.sip_caller import TLS, UDP
from vault.core.errors import MalformedSignallingError
from vault.sip.dialog_state import Kept, written, written_octets, written_peer


def test_every_kind_of_value_comes_back_as_it_was() -> None:
    state = written(
        {
            "text": "ä\udcff\n",
            "number": 2**40,
            "time": 1.25,
            "flag": True,
            "octets": written_octets(b"\x00\xff"),
            "texts": ["a", ""],
            "none": None,
            "inner": {"number": 1},
        }
    )
    kept = Kept.read(state)
    inner = kept.inner("inner")

    assert state.isascii()
    assert ("ä\udcff\n", 2**40, 1.25, True, b"\x00\xff", ("a", ""), None) == (
        kept.text("text"),
        kept.number("number"),
        kept.time_s("time"),
        kept.flag("flag"),
        kept.octets("octets"),
        kept.texts("texts"),
        kept.inner("none"),
    )
    assert inner is not None
    assert 1 == inner.number("number")


@pytest.mark.parametrize("peer", [UDP, TLS])
def test_a_peer_comes_back_with_what_it_proved(peer: object) -> None:
    kept = Kept.read(written({"peer": written_peer(peer)}))  # type: ignore[arg-type]

    assert peer == kept.peer("peer")


def test_the_same_values_are_the_same_octets() -> None:
    assert written({"a": 1, "b": 2}) == written({"b": 2, "a": 1})


def test_a_value_of_another_kind_is_malformed() -> None:
    kept = Kept.read(written({"a": "1"}))

    for read in (
        kept.number,
        kept.time_s,
        kept.flag,
        kept.texts,
        kept.inner,
        kept.peer,
    ):
        with pytest.raises(MalformedSignallingError):
            read("a")
