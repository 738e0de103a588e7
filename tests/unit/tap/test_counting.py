from vault.tap.counting import SsrcTable, SsrcTrack, StreamCount
from vault.tap.orders import Rejection, SsrcSpan


class TestSsrcTrack:
    def test_a_batch_and_single_packets_count_the_same(self):
        for seqs in (
            [1, 2, 3],
            [65534, 65535, 0, 1, 3, 2],
            [10, 9, 8, 12, 11],
            [40000, 65000, 20000, 50000],
        ):
            single, batch = SsrcTrack(seqs[0], 0.0), SsrcTrack(seqs[0], 0.0)
            for seq in seqs[1:]:
                single.add(seq, 1.0)
            batch.add_batch(seqs[1:], 1.0)

            assert (batch.first, batch.last, batch.packets) == (
                single.first,
                single.last,
                single.packets,
            )

    def test_a_packet_before_the_first_moves_the_first(self):
        track = SsrcTrack(100, 0.0)
        track.add(98, 0.0)

        assert (track.first, track.last) == (98, 100)


class TestSsrcTable:
    def test_one_that_fell_silent_makes_room(self):
        table = SsrcTable(at_work=2)

        admitted = [
            table.count(1, 0, 0.0),
            table.count(2, 0, 0.0),
            table.count(3, 0, 1.0),
            table.count(1, 1, 9.0),
            table.count(3, 0, 11.0),
        ]

        assert admitted == [True, True, False, True, True]

    def test_never_remembers_more_than_64(self):
        table = SsrcTable(at_work=8)
        admitted = [table.count(n, 0, 100.0 * n) for n in range(70)]

        assert admitted.count(True) == len(table.spans()) == 64

    def test_spans_are_in_the_order_of_appearance(self):
        table = SsrcTable(at_work=8)
        table.count(9, 5, 0.0)
        table.count(3, 7, 0.0)
        table.count(9, 6, 0.0)

        assert table.spans() == (
            SsrcSpan(ssrc=9, first=5, last=6, packets=2),
            SsrcSpan(ssrc=3, first=7, last=7, packets=1),
        )


class TestStreamCount:
    def test_counts_each_reason_apart(self):
        count = StreamCount(8)
        for reason in (Rejection.OVERSIZE, Rejection.REPLAYED, Rejection.OVERSIZE):
            count.reject(reason)

        assert count.rejected == {Rejection.OVERSIZE: 2, Rejection.REPLAYED: 1}
