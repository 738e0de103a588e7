import pytest

from vault.tap.digits import shapes_of
from vault.tap.judging import is_ordinary, unfit
from vault.tap.orders import Rejection
from vault.tap.slots import ROOM, Slots

RTP = b"\x80\x00" + bytes(20)
RTCP = b"\x80\xc8" + bytes(20)


def filled(*datagrams: bytes) -> Slots:
    slots = Slots(0)
    for i, datagram in enumerate(datagrams):
        slots.restore(i, datagram)
    return slots


class TestABatch:
    @pytest.mark.parametrize(
        ("datagrams", "ordinary"),
        [
            ((RTP, RTP), True),
            ((RTP, RTP.ljust(ROOM - 1, b"\0")), True),
            ((RTP, RTP.ljust(ROOM, b"\0")), False),
            ((RTP, RTCP), False),
            ((RTP, RTP[:11]), False),
            ((RTP, b""), False),
            ((RTP, b"\x16" + bytes(20)), False),
            ((RTP, b"\xc0" + bytes(20)), False),
        ],
    )
    def test_is_ordinary_when_all_of_it_may_be_rtp(
        self, datagrams: tuple[bytes, ...], ordinary: bool
    ) -> None:
        slots = filled(*datagrams)
        lengths = tuple(len(datagram) for datagram in datagrams)
        heads = slots.heads(len(datagrams))

        assert is_ordinary(lengths, heads, frozenset()) is ordinary

    def test_with_one_that_is_treated_apart_is_no_ordinary_one(self) -> None:
        digit = b"\x80\xe5" + bytes(20)
        apart = shapes_of(frozenset({101}))

        def judged(*datagrams: bytes) -> bool:
            lengths = tuple(len(datagram) for datagram in datagrams)
            heads = filled(*datagrams).heads(len(datagrams))
            return is_ordinary(lengths, heads, apart)

        assert [True, False, False] == [
            judged(RTP, RTP),
            judged(RTP, digit),
            judged(digit, digit),
        ]


class TestADatagram:
    @pytest.mark.parametrize(
        ("datagram", "reason"),
        [
            (RTP, None),
            (RTCP[:5], None),
            (b"", Rejection.TOO_SHORT),
            (RTP[:11], Rejection.TOO_SHORT),
            (b"\x01" + bytes(30), Rejection.NOT_RTP),
        ],
    )
    def test_is_unfit_for_one_reason(
        self, datagram: bytes, reason: Rejection | None
    ) -> None:
        assert unfit(filled(datagram), 0, len(datagram)) == reason

    def test_octets_of_an_earlier_one_in_the_slot_are_not_judged(self) -> None:
        slots = filled(RTCP)
        slots.restore(0, b"\x80")

        assert unfit(slots, 0, 1) == Rejection.TOO_SHORT
