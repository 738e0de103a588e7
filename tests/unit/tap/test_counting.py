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
            single, batch = SsrcTrack(7, seqs[0], 0.0), SsrcTrack(7, seqs[0], 0.0)
            for seq in seqs[1:]:
                single.add(seq, 1.0)
            batch.add_batch(seqs[1:], 1.0)

            assert (batch.first, batch.last, batch.packets) == (
                single.first,
                single.last,
                single.packets,
            )

    def test_a_packet_before_the_first_moves_the_first(self):
        track = SsrcTrack(7, 100, 0.0)
        track.add(98, 0.0)

        assert (track.first, track.last) == (98, 100)

    def test_keeps_counting_where_a_new_key_begins_at_rollover_0_again(self):
        track = SsrcTrack(7, 3 << 16 | 10, 0.0)
        track.shift = 3 << 16
        track.add(11, 0.0)

        assert (track.last, track.index) == (3 << 16 | 11, 11)


class TestSsrcTable:
    def test_one_that_fell_silent_makes_room(self):
        table = SsrcTable(at_work=2)

        admitted = [
            table.admit(1, 0, 0.0),
            table.admit(2, 0, 0.0),
            table.admit(3, 0, 1.0),
        ]
        table.tracks[1].add(1, 9.0)

        assert [track is not None for track in admitted] == [True, True, False]
        assert table.admit(3, 0, 11.0) is table.tracks[3]

    def test_never_remembers_more_than_64(self):
        table = SsrcTable(at_work=8)
        admitted = [table.admit(n, 0, 100.0 * n) is not None for n in range(70)]

        assert admitted.count(True) == len(table.spans()) == 64

    def test_spans_are_in_the_order_of_appearance(self):
        table = SsrcTable(at_work=8)
        table.admit(9, 5, 0.0)
        table.admit(3, 7, 0.0)
        table.tracks[9].add(6, 0.0)

        assert table.spans() == (
            SsrcSpan(ssrc=9, first=5, last=6, packets=2),
            SsrcSpan(ssrc=3, first=7, last=7, packets=1),
        )

    def test_a_restored_ssrc_goes_on_where_it_was(self):
        table = SsrcTable(at_work=8)
        span = SsrcSpan(ssrc=9, first=5, last=2 << 16 | 9, packets=70_000)
        track = table.restore(span, index=1 << 16 | 7)

        assert table.spans() == (span,)
        assert (track.index, track.shift) == (1 << 16 | 9, 1 << 16)


class TestStreamCount:
    def test_counts_each_reason_apart(self):
        count = StreamCount(8)
        for reason in (Rejection.OVERSIZE, Rejection.REPLAYED, Rejection.OVERSIZE):
            count.reject(reason)

        assert count.rejected == {Rejection.OVERSIZE: 2, Rejection.REPLAYED: 1}

    def test_what_is_packed_is_restored(self):
        before, after = StreamCount(8), StreamCount(8)
        before.rtcp, before.kept, before.checks = 3, 4, 5
        before.reject(Rejection.TOO_OLD)
        after.restore(bytes(before))

        assert bytes(after) == bytes(before)
        assert after.rejected == {Rejection.TOO_OLD: 1}

    def test_octets_of_another_size_restore_nothing(self):
        count = StreamCount(8)
        count.restore(b"")

        assert bytes(count) == bytes(StreamCount(8))

    def test_a_rejection_that_is_taken_back_is_none(self):
        count = StreamCount(8)
        count.reject(Rejection.TOO_OLD)
        count.take_back(Rejection.TOO_OLD)

        assert count.rejected == {}
