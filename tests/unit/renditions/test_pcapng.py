import base64
import struct
from collections.abc import Iterator

import pytest

from tests.simulators.calls import (
    MS,
    START_NS,
    Phone,
    Sent,
    added,
    babble,
    capture,
    record,
)
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.renditions.deferred import DeferredDecryption
from vault.renditions.late_keys import LateKeys
from vault.renditions.pcapng import to_pcapng
from vault.tap.capture import Kind
from vault.tap.srtp import OutboundSession

_INTERFACE, _PACKET = 1, 6


def blocks(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(octets):
        kind, size = struct.unpack_from("<II", octets, at)
        assert size % 4 == 0
        assert struct.unpack_from("<I", octets, at + size - 4) == (size,)
        yield kind, octets[at + 8 : at + size - 4]
        at += size


def export(part: bytes, step: int = 1000) -> bytes:
    return b"".join(to_pcapng(part[i : i + step] for i in range(0, len(part), step)))


def ones_complement_sum(octets: bytes) -> int:
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_each_stream_is_one_interface_also_in_a_second_part() -> None:
    part = added(0, "agent") + added(1, "customer")

    kinds = [kind for kind, _ in blocks(export(part + part))]

    assert kinds == [0x0A0D0D0A, _INTERFACE, _INTERFACE]


def test_a_packet_keeps_its_time_to_the_nanosecond_and_its_octets() -> None:
    packet = Phone().say(babble(0.02))[0]
    part = added(0, "agent") + bytes(Sent(START_NS + 7, 0, packet.octets))

    body = next(body for kind, body in blocks(export(part)) if kind == _PACKET)
    number, high, low, size, _ = struct.unpack_from("<IIIII", body)

    assert number == 0
    assert START_NS + 7 == high << 32 | low
    assert packet.octets == body[20 + 28 : 20 + size]


@pytest.mark.parametrize(
    ("local", "remote", "offset"),
    [
        (("127.0.0.1", 40000), ("192.0.2.9", 5004), 20),
        (("2001:db8::1", 40000), ("2001:db8::2", 5004), 40),
        (("2001:db8::1", 40000), ("192.0.2.9", 5004), 40),
        (("127.0.0.1", 40000), None, 20),
    ],
)
def test_checksums_are_those_that_a_host_would_send(
    local: tuple[str, int], remote: tuple[str, int] | None, offset: int
) -> None:
    # An odd payload is padded for the sum and not on the wire.
    part = added(0, "agent", local=local, remote=remote)
    part += record(Kind.RTP, 0, b"\x80" + bytes(range(16)), at_ns=START_NS)

    body = next(body for kind, body in blocks(export(part)) if kind == _PACKET)
    size = struct.unpack_from("<I", body, 12)[0]
    frame = body[20 : 20 + size]
    addresses = frame[12:20] if offset == 20 else frame[8:40]
    udp = frame[offset:]
    pseudo = addresses + struct.pack(">IBBH", len(udp), 0, 17, 0)[:4] + b"\0\x11"

    assert ones_complement_sum(pseudo + udp + b"\0" * (len(udp) % 2)) == 0xFFFF
    if offset == 20:
        assert ones_complement_sum(frame[:20]) == 0xFFFF


def test_rtcp_goes_to_its_own_port_and_bad_packets_carry_a_comment() -> None:
    part = added(0, "agent", remote=("192.0.2.9", 5004))
    part += record(Kind.RTCP, 0, bytes(28), at_ns=START_NS)
    part += record(Kind.UNDECRYPTABLE, 0, bytes(28), at_ns=START_NS)

    rtcp, bad = [body for kind, body in blocks(export(part)) if kind == _PACKET]

    assert struct.unpack_from(">HH", rtcp, 20 + 20) == (5005, 40001)
    assert b"failed SRTP authentication" in bad


def test_what_a_late_key_opens_is_exported_opened_and_says_so() -> None:
    key = SecretBytes(bytes(range(30)))
    suite = SrtpSuite.AES_CM_128_HMAC_SHA1_80
    packet = Phone().say(babble(0.02))[0]
    locked = OutboundSession(suite, key).protect(packet.octets)
    part = added(0, "agent") + record(Kind.UNDECRYPTABLE, 0, locked, at_ns=START_NS)
    inline = base64.b64encode(key.reveal()).decode()
    late = LateKeys.parse(f"agent {suite} inline:{inline}".encode())

    exported = b"".join(to_pcapng([part], DeferredDecryption(late.keys)))

    (body,) = [body for kind, body in blocks(exported) if kind == _PACKET]
    size = struct.unpack_from("<IIIII", body)[3]
    assert packet.octets == body[20 + 28 : 20 + size]
    assert b"opened by a late key" in body
    assert locked not in exported


@pytest.mark.parametrize("step", [1, 7, 19, 4096])
def test_where_the_capture_is_cut_into_blocks_changes_nothing(step: int) -> None:
    part = capture(Phone().say(babble(0.2)), added(0, "agent"))

    assert export(part) == export(part, step)


def test_padding_events_and_a_cut_record_leave_no_packet() -> None:
    part = added(0, "agent")
    part += record(Kind.PADDING, 255, bytes(40), at_ns=START_NS)
    part += record(Kind.EVENT, 0, b"not json", at_ns=START_NS)
    part += record(Kind.RTP, 0, bytes(100), at_ns=START_NS + MS)[:50]

    assert [k for k, _ in blocks(export(part))] == [0x0A0D0D0A, _INTERFACE]
