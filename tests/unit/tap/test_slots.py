import socket

from vault.tap.capture import Kind, parse_records
from vault.tap.slots import BATCH, ROOM, Slots


def filled(*datagrams: bytes) -> tuple[Slots, int]:
    slots = Slots(stream=5)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setsockopt(socket.SOL_SOCKET, 35, 1)
    with near, far:
        for datagram in datagrams:
            far.send(datagram)
        return slots, slots.receive(near.fileno())


class TestSlots:
    def test_a_gathered_batch_is_a_sequence_of_records(self):
        slots, count = filled(b"one", b"two", b"six")

        records = list(parse_records(slots.gather(count, 3)))

        assert [(r.stream, r.kind, r.octets) for r in records] == [
            (5, Kind.RTP, b"one"),
            (5, Kind.RTP, b"two"),
            (5, Kind.RTP, b"six"),
        ]

    def test_lengths_are_as_received(self):
        slots, count = filled(b"abc", b"", b"xy")

        assert slots.lengths_of[count](slots.hdrs) == (3, 0, 2)

    def test_heads_are_type_sequence_number_and_ssrc_of_each(self):
        slots, count = filled(
            b"\x80\x08\x00\x07tttt\x00\x00\x00\x09data",
            b"\x90\xc8\xff\xfftttt\xff\xff\xff\xff",
        )

        first, second = (0x8008, 7, 9), (0x90C8, 0xFFFF, 0xFFFFFFFF)
        assert slots.heads(count) == (*first, *second)

    def test_records_of_several_lengths_are_gathered_in_order(self):
        slots, _ = filled(b"a", b"bcd", b"ef")

        records = list(parse_records(slots.gather_mixed((1, 3, 2))))

        assert [record.octets for record in records] == [b"a", b"bcd", b"ef"]

    def test_one_length_after_several_is_right_again(self):
        slots, count = filled(b"one", b"two")
        slots.gather_mixed((1, 2))

        records = list(parse_records(slots.gather(count, 3)))

        assert [record.octets for record in records] == [b"one", b"two"]

    def test_a_placed_datagram_has_its_own_arrival(self):
        slots, _ = filled(b"before")
        slots.place(bytes(range(16)), b"again")

        assert slots.arrival(0) == bytes(range(16))
        assert bytes(slots.packet(0, slots.length(0))) == b"again"

    def test_a_socket_without_addresses_gives_no_sources(self):
        slots, count = filled(b"a", b"b")

        assert slots.source(1) == bytes(28)
        assert slots.are_all_from(count, b"")

    def test_only_a_cut_datagram_is_flagged(self):
        slots, count = filled(b"abc", bytes(ROOM + 1), bytes(ROOM))

        assert [slots.is_cut(i) for i in range(count)] == [False, True, False]

    def test_a_datagram_of_any_size_is_whole_or_flagged(self):
        sizes = (0, 1, 11, 12, 13, 1500, 1501, ROOM, 9000, 65507)
        slots, count = filled(*(bytes(size) for size in sizes))

        assert [slots.length(i) for i in range(count)] == [min(s, ROOM) for s in sizes]
        assert [slots.is_cut(i) for i in range(count)] == [s > ROOM for s in sizes]

    def test_an_empty_socket_gives_nothing(self):
        _, count = filled()

        assert count <= 0

    def test_a_restored_datagram_is_as_before(self):
        slots, _ = filled(b"before")
        slots.restore(0, b"again")

        assert bytes(slots.packet(0, slots.length(0))) == b"again"

    def test_one_call_brings_no_more_than_a_batch(self):
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        near.setblocking(False)
        far.setblocking(False)
        sent = 0
        with near, far:
            try:
                while sent < BATCH + 5:
                    far.send(b"x")
                    sent += 1
            except BlockingIOError:
                pass
            received = Slots(0).receive(near.fileno())

        assert received == min(sent, BATCH)
