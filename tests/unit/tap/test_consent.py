"""Whom a media worker answers, how often, and whose DTLS it passes on."""

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.simulators.webrtc import attribute, signed
from vault.core.secrets import SecretBytes
from vault.tap.consent import MOST_PER_TICK, Consent
from vault.tap.orders import IceCredentials

OLD = IceCredentials(ufrag="oldold", password=SecretBytes(b"o" * 24))
NEW = IceCredentials(ufrag="newnew", password=SecretBytes(b"n" * 24))


def check(ice: IceCredentials) -> bytes:
    user = attribute(0x0006, f"{ice.ufrag}:peer".encode())
    return signed(user, ice.password.reveal())


def source(port: int = 5000) -> bytes:
    """Return a socket address as the kernel writes it, in a slot's room."""
    name = struct.pack("=H", socket.AF_INET) + struct.pack(">H", port)
    return (name + socket.inet_aton("192.0.2.1")).ljust(28, b"\0")


@pytest.fixture
def fd() -> Iterator[int]:
    # What is sent goes nowhere: that it arrives is shown with real sockets
    # (tests/integration/test_recorder_dtls.py).
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        yield near.fileno()


class TestAnswers:
    def test_a_check_that_passes_is_answered_and_proves_its_address(
        self, fd: int
    ) -> None:
        consent = Consent(OLD)

        answered = consent.answer(fd, check(OLD), source(), 1.0)

        assert answered is True
        assert consent.has_proved(source())
        assert not consent.has_proved(source(5001))

    @pytest.mark.parametrize(
        "datagram",
        [b"", b"\x00", check(NEW), b"\x80" + bytes(40), bytes(40)],
        ids=["nothing", "an-octet", "of-another-stream", "rtp", "zeros"],
    )
    def test_anything_else_is_not(self, fd: int, datagram: bytes) -> None:
        consent = Consent(OLD)

        assert not consent.answer(fd, datagram, source(), 1.0)
        assert not consent.has_proved(source())

    def test_a_socket_without_addresses_has_nobody_to_answer(self, fd: int) -> None:
        assert not Consent(OLD).answer(fd, check(OLD), bytes(28), 1.0)

    def test_a_tick_has_its_share(self, fd: int) -> None:
        consent = Consent(OLD)

        first = [consent.answer(fd, check(OLD), source(), 1.0) for _ in range(40)]
        second = [consent.answer(fd, check(OLD), source(), 1.2) for _ in range(40)]

        assert (sum(first), sum(second)) == (MOST_PER_TICK, MOST_PER_TICK)

    def test_only_so_many_addresses_are_remembered(self, fd: int) -> None:
        consent = Consent(OLD)

        for port in range(5000, 5040):
            consent.answer(fd, check(OLD), source(port), float(port))

        proved = [
            port for port in range(5000, 5040) if consent.has_proved(source(port))
        ]
        assert proved == list(range(5032, 5040))


class TestRestart:
    def test_old_credentials_hold_until_new_ones_are_used(self, fd: int) -> None:
        consent = Consent(OLD)
        consent.renew(NEW)

        seen = [
            consent.answer(fd, check(ice), source(), 1.0) for ice in (OLD, NEW, OLD)
        ]

        assert seen == [True, True, False]

    def test_the_same_ones_again_are_no_restart(self, fd: int) -> None:
        consent = Consent(OLD)
        consent.renew(NEW)
        consent.renew(NEW)

        assert consent.answer(fd, check(OLD), source(), 1.0)
