"""What needs no socket; the lock itself is in tests/integration/test_tap_sources.py."""

import socket
import struct

import pytest

from vault.tap.source_lock import address_of


class TestASocketAddress:
    @pytest.mark.parametrize(
        ("octets", "address"),
        [
            (
                struct.pack("=H", socket.AF_INET) + b"\x13\x8c\xc0\x00\x02\x07",
                ("192.0.2.7", 5004),
            ),
            (
                struct.pack("=H", socket.AF_INET6)
                + b"\x13\x8c\0\0\0\0\x20\x01\x0d\xb8"
                + bytes(11)
                + b"\x01",
                ("2001:db8::1", 5004),
            ),
            (b"", None),
            (struct.pack("=H", socket.AF_UNIX), None),
        ],
    )
    def test_is_read_as_the_kernel_writes_it(
        self, octets: bytes, address: tuple[str, int] | None
    ) -> None:
        assert address_of(octets.ljust(28, b"\0")) == address
