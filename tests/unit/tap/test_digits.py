from dataclasses import replace

import pytest

from vault.core.media import STATIC_PAYLOADS, PayloadFormat, SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap.digits import Presses, digit_types, shapes_of
from vault.tap.orders import PortPair, StreamOrder

EVENTS = PayloadFormat(
    payload_type=101, encoding="telephone-event", clock_rate_hz=8000, fmtp="0-15"
)
ORDER = StreamOrder(
    index=0,
    label="agent",
    media="audio",
    suite=SrtpSuite.PLAIN_RTP,
    key=SecretBytes(b""),
    payloads=(STATIC_PAYLOADS[0], EVENTS),
    ports=PortPair(address="127.0.0.1", rtp=40000, rtcp=40001),
)


class TestDigitTypes:
    def test_are_those_that_the_offer_calls_so(self) -> None:
        wide = replace(EVENTS, payload_type=96, encoding="Telephone-Event")

        assert {101} == digit_types(ORDER)
        assert {101, 96} == digit_types(replace(ORDER, payloads=(EVENTS, wide)))

    def test_are_none_where_digits_are_kept(self) -> None:
        assert not digit_types(replace(ORDER, keeps_digits=True))

    @pytest.mark.parametrize("octets", [b"\x80\x65", b"\x80\xe5", b"\xbf\x65"])
    def test_are_seen_with_marker_padding_extension_and_csrcs(
        self, octets: bytes
    ) -> None:
        shapes = shapes_of(frozenset({101}))

        assert int.from_bytes(octets) in shapes
        assert int.from_bytes(b"\x80\x00") not in shapes


class TestPresses:
    def test_all_packets_of_a_press_are_one_press(self) -> None:
        presses = Presses()

        assert [True, False, False] == [presses.is_new(7, 160) for _ in range(3)]

    def test_another_timestamp_or_sender_is_another_press(self) -> None:
        presses = Presses()
        sent = [(7, 160), (7, 1760), (8, 1760), (8, 1760)]

        assert [True, True, True, False] == [presses.is_new(*one) for one in sent]

    def test_a_long_press_goes_on_under_another_timestamp(self) -> None:
        """A duration has 16 bits: after 8 s a press is sent as a further segment."""
        presses = Presses()
        start = 0xFFFF_FFF0

        assert [True, False, False] == [
            presses.is_new(7, (start + n * 0xFFFF) & 0xFFFF_FFFF) for n in range(3)
        ]
