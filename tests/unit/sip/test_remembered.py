from tests.simulators.sip_caller import UDP, Caller
from vault.sip.matching import Heading, TransactionKey
from vault.sip.remembered import Limits, Remembered


def key(number: int) -> TransactionKey:
    return Heading.of(Caller().request("OPTIONS", cseq=number), UDP).key


def kept(remembered: Remembered[int], address: str, *numbers: int) -> list[int]:
    """Remember *numbers*, one second each; return what was forgotten for them."""
    forgotten = []
    for number in numbers:
        forgotten += remembered.add(
            key(number), number, address=address, size=100, ends_s=float(number)
        )
    return forgotten


def test_what_ends_is_forgotten_in_the_order_of_its_end() -> None:
    remembered: Remembered[int] = Remembered(Limits())
    kept(remembered, "a", 1, 2, 3)

    assert [1, 2] == list(remembered.expired(2.5))
    assert 4.0 == remembered.next_s
    assert [3] == list(remembered.expired(9.0))
    assert (0, None) == (len(remembered), remembered.next_s)


def test_whoever_has_much_gives_way_first() -> None:
    remembered: Remembered[int] = Remembered(Limits(finished=4))

    assert [] == kept(remembered, "quiet", 1) + kept(remembered, "loud", 2, 3, 4)
    assert [2, 3] == kept(remembered, "loud", 5, 6)
    assert [1] == kept(remembered, "third", 7)


def test_one_address_is_held_to_its_octets() -> None:
    limits = Limits(finished_bytes_per_address=3000)
    remembered: Remembered[int] = Remembered(limits)

    assert [1] == kept(remembered, "a", 1, 2, 3)
    assert [] == kept(remembered, "b", 4, 5)


def test_a_call_that_stands_may_use_an_eighth_more() -> None:
    remembered: Remembered[int] = Remembered(Limits(pending_per_address=8))
    for _ in range(8):
        remembered.begun("a")

    assert not remembered.has_room("a", in_dialog=False)
    assert remembered.has_room("a", in_dialog=True)
    assert remembered.has_room("b", in_dialog=False)
    remembered.begun("a")
    assert not remembered.has_room("a", in_dialog=True)
    for _ in range(9):
        remembered.ended("a")
    assert remembered.has_room("a", in_dialog=False)
    assert {} == remembered._shares
