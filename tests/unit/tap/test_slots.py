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

    def test_lengths_and_first_octets_are_as_received(self):
        slots, count = filled(b"abc", b"", b"xy")

        assert slots.lengths_of[count](slots.hdrs) == (3, 0, 2)
        assert slots.first_octets(1) == b"a"
        assert slots.second_octets(3)[2:] == b"y"

    def test_only_a_cut_datagram_is_flagged(self):
        slots, count = filled(b"abc", bytes(ROOM + 1), bytes(ROOM))

        assert slots.flagged(count)
        assert [slots.is_cut(i) for i in range(count)] == [False, True, False]

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
