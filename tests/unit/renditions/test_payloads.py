import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.core.errors import MalformedPacketError
from vault.renditions.payloads import Format, PayloadTable

OPUS = {"encoding": "opus", "clock_rate_hz": 48000, "channels": 2, "fmtp": ""}


def test_types_that_need_no_map_are_known_without_one() -> None:
    table = PayloadTable.of({})

    assert [Format.PCMU, Format.PCMA, Format.QUIET] == table.formats[
        [0, 8, 13]
    ].tolist()
    assert [8000, 8000, 44100, 0] == table.clocks_hz[[0, 9, 10, 96]].tolist()
    assert table.names[18] == "G729"


def test_a_map_says_name_and_clock_of_the_others() -> None:
    table = PayloadTable.of({"96": OPUS, "0": {**OPUS, "encoding": "PCMA"}})

    assert ("opus", 48000) == (table.names[96], table.clocks_hz[96])
    assert [Format.UNSUPPORTED] * 2 == table.formats[[0, 96]].tolist()


@pytest.mark.parametrize("clock", [0, -8000, 10**9, True, "8000", None, 8000.5])
def test_a_clock_that_is_none_is_no_clock(clock: object) -> None:
    table = PayloadTable.of({"0": {**OPUS, "encoding": "PCMU", "clock_rate_hz": clock}})

    assert (0, Format.UNSUPPORTED) == (table.clocks_hz[0], table.formats[0])


@pytest.mark.parametrize(
    "payloads", [{"128": OPUS}, {"x": OPUS}, {"-1": OPUS}, {"0": 3}]
)
def test_what_is_no_payload_type_is_refused(payloads: dict) -> None:
    with pytest.raises(MalformedPacketError):
        PayloadTable.of(payloads)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=14), inner, max_size=4)
    ),
    max_leaves=9,
)


@given(payloads=st.dictionaries(st.text(max_size=4) | st.just("96"), _json, max_size=4))
def test_nothing_else_is_raised_whatever_an_event_says(payloads: dict) -> None:
    try:
        table = PayloadTable.of(payloads)
    except MalformedPacketError:
        return

    assert (table.clocks_hz >= 0).all()
