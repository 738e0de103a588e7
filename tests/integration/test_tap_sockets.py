import socket

import pytest

from tests.simulators.tap_calls import free_ports
from vault.core.errors import ConfigurationError, ConflictError, SpoolFullError
from vault.tap.sockets import PortAllocator

pytestmark = pytest.mark.network


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def allocator(low: int, pairs: int, clock: Clock | None = None) -> PortAllocator:
    return PortAllocator(
        address="127.0.0.1",
        ports=(low, low + 2 * pairs - 1),
        buffer_bytes=512 * 1024,
        cool_down_s=5.0,
        clock=clock or Clock(),
    )


class TestPortAllocator:
    def test_gives_even_ports_with_the_odd_one_above(self) -> None:
        ports = allocator(free_ports()[0], 20)
        pair = ports.take()

        assert pair.ports.rtp % 2 == 0
        assert pair.ports.rtcp == pair.ports.rtp + 1
        assert pair.rtp.getsockname() == ("127.0.0.1", pair.ports.rtp)
        ports.close()

    def test_skips_a_port_that_someone_else_holds(self) -> None:
        low, _ = free_ports()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", low + 1))
            ports = allocator(low, 20)
            pair = ports.take()

        assert pair.ports.rtp > low
        ports.close()

    def test_a_port_cools_down_before_it_is_used_again(self) -> None:
        clock = Clock()
        ports = allocator(free_ports()[0], 1, clock)
        pair = ports.take()
        ports.give_back(pair.ports)
        with pytest.raises(SpoolFullError, match="no free media ports"):
            ports.take()
        clock.now_s += 5.0

        assert ports.take().ports == pair.ports
        ports.close()

    def test_given_back_twice_is_given_back_once(self) -> None:
        ports = allocator(free_ports()[0], 20)
        pair = ports.take()
        ports.give_back(pair.ports)
        ports.give_back(pair.ports)

        assert ports.take().ports != pair.ports
        ports.close()

    def test_buffers_hold_five_seconds_of_audio(self) -> None:
        ports = allocator(free_ports()[0], 20)
        pair = ports.take()
        granted = pair.rtp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        ports.close()

        # 250 packets at 832 octets of kernel memory each.
        assert granted >= 250 * 832

    def test_counts_what_found_a_full_buffer(self) -> None:
        ports = allocator(free_ports()[0], 20)
        pair = ports.take()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            for _ in range(5000):
                peer.sendto(bytes(172), ("127.0.0.1", pair.ports.rtp))
        queued = 0
        while _taken(pair.rtp):
            queued += 1

        assert pair.drops() == 5000 - queued > 0
        ports.close()

    def test_takes_in_a_pair_with_what_waits_in_it(self) -> None:
        low, _ = free_ports()
        earlier = allocator(low, 20)
        bound = earlier.take()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.sendto(b"early", ("127.0.0.1", bound.ports.rtp))
        ports = allocator(low, 20)
        pair = ports.adopt(bound.rtp.dup(), bound.rtcp.dup())
        earlier.close()

        assert pair.ports == bound.ports
        assert ports.bound(pair.ports) is pair
        assert pair.rtp.recv(100) == b"early"
        assert ports.used == 1
        assert ports.take().ports != pair.ports
        ports.close()

    def test_a_pair_taken_in_cools_down_as_any_other(self) -> None:
        low, _ = free_ports()
        earlier = allocator(low, 1)
        bound = earlier.take()
        ports = allocator(low, 1)
        ports.give_back(ports.adopt(bound.rtp, bound.rtcp).ports)

        with pytest.raises(SpoolFullError, match="no free media ports"):
            ports.take()

    def test_takes_in_no_pair_twice_and_none_that_is_none(self) -> None:
        low, _ = free_ports()
        ports = allocator(low, 20)
        pair = ports.take()

        with pytest.raises(ConflictError, match="another call"):
            ports.adopt(pair.rtp, pair.rtcp)
        with pytest.raises(ConflictError, match="no pair"):
            ports.adopt(pair.rtcp, pair.rtp)
        ports.close()

    def test_says_how_many_pairs_are_free(self) -> None:
        clock = Clock()
        ports = allocator(free_ports()[0], 3, clock)
        before = ports.free
        pair = ports.take()
        ports.give_back(pair.ports)
        cooling = ports.free
        clock.now_s += 5.0

        assert (before, cooling, ports.free) == (3, 2, 3)

    @pytest.mark.parametrize("address", ["localhost", "", "192.0.2.300"])
    def test_an_address_that_is_none_stops_the_start(self, address: str) -> None:
        with pytest.raises(ConfigurationError):
            PortAllocator(
                address=address,
                ports=(40000, 40010),
                buffer_bytes=1,
                cool_down_s=0.0,
                clock=Clock(),
            )

    def test_an_address_of_another_machine_says_so(self) -> None:
        ports = PortAllocator(
            address="192.0.2.1",
            ports=free_ports(),
            buffer_bytes=65536,
            cool_down_s=0.0,
            clock=Clock(),
        )
        with pytest.raises(ConfigurationError, match=r"192\.0\.2\.1"):
            ports.take()


def _taken(one: socket.socket) -> bool:
    try:
        one.recv(2048)
    except BlockingIOError:
        return False
    return True
