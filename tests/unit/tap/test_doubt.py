from vault.tap.doubt import HELD_S, MOST_OCTETS, MOST_PACKETS, Doubt, Doubted
from vault.tap.orders import Rejection


def doubted(
    seq: int,
    ssrc: int = 7,
    *,
    since_s: float = 0.0,
    size: int = 100,
    triable: bool = True,
) -> Doubted:
    head = b"\x80\x00" + seq.to_bytes(2, "big") + bytes(4) + ssrc.to_bytes(4, "big")
    return Doubted(
        arrival=bytes(16),
        packet=head.ljust(size, b"\0"),
        reason=Rejection.UNAUTHENTICATED,
        since_s=since_s,
        was_capturing=True,
        keep=True,
        triable=triable,
    )


def filled(*packets: Doubted) -> Doubt:
    doubt = Doubt()
    for one in packets:
        doubt.add(one)
    return doubt


class TestAQueue:
    def test_holds_so_many_packets_and_lets_the_oldest_go(self) -> None:
        doubt = Doubt()
        gone = [one for n in range(MOST_PACKETS + 3) for one in doubt.add(doubted(n))]

        assert [one.seq for one in gone] == [0, 1, 2]
        assert len(doubt.packets) == MOST_PACKETS

    def test_holds_so_many_octets(self) -> None:
        doubt = Doubt()
        for n in range(60):
            doubt.add(doubted(n, size=1000))

        assert sum(len(one.packet) for one in doubt.packets) <= MOST_OCTETS

    def test_lets_go_what_it_has_held_long_enough(self) -> None:
        doubt = filled(doubted(1, since_s=1.0), doubted(2, since_s=2.0))

        assert [one.seq for one in doubt.expired(1.0 + HELD_S)] == [1]
        assert [one.seq for one in doubt.packets] == [2]

    def test_gives_the_packets_of_one_ssrc_in_order(self) -> None:
        doubt = filled(doubted(1, 7), doubted(1, 8), doubted(2, 7))

        assert [one.seq for one in doubt.take(7)] == [1, 2]
        assert [one.ssrc for one in doubt.take()] == [8]


class TestATry:
    def test_needs_three_packets_of_one_ssrc(self) -> None:
        doubt = filled(doubted(1), doubted(1, 8), doubted(2), doubted(2, 9))
        too_few = doubt.next_try(0.0, 1024)
        doubt.add(doubted(3))
        chosen = doubt.next_try(0.0, 1024)

        assert too_few is None
        assert chosen is not None
        assert (chosen[0].ssrc, chosen[1]) == (7, 16)

    def test_counts_a_repeated_packet_once(self) -> None:
        doubt = filled(doubted(1), doubted(1), doubted(1))

        assert doubt.next_try(0.0, 1024) is None

    def test_waits_longer_and_goes_farther_each_time(self) -> None:
        doubt = filled(*(doubted(n) for n in range(5)))
        tries = []
        for tick in range(100):
            chosen = doubt.next_try(tick * 0.1, 1024)
            if chosen is not None:
                tries.append((tick, chosen[1]))

        assert [most for _, most in tries[:4]] == [16, 128, 1024, 1024]
        # Ten seconds of garbage: never more often than every 1.6 s in the end.
        assert len(tries) <= 10
        assert tries[-1][0] - tries[-2][0] >= 16

    def test_waits_for_another_tick_where_others_had_the_budget(self) -> None:
        doubt = filled(*(doubted(n) for n in range(5)))

        assert doubt.next_try(0.0, 15) is None

    def test_is_for_those_that_a_rollover_may_explain(self) -> None:
        doubt = filled(*(doubted(n, triable=False) for n in range(5)))

        assert doubt.next_try(0.0, 1024) is None

    def test_begins_anew_when_a_counter_was_found(self) -> None:
        doubt = filled(*(doubted(n) for n in range(5)))
        doubt.next_try(0.0, 1024)
        doubt.resolved()
        chosen = doubt.next_try(0.0, 1024)

        assert chosen is not None
        assert chosen[1] == 16
