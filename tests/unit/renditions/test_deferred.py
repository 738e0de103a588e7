"""Opening kept packets, against pylibsrtp's sender."""

import base64
import random
import secrets
from collections.abc import Sequence

import pytest

from tests.simulators.calls import rtp
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.renditions.deferred import DeferredDecryption
from vault.renditions.late_keys import LateKeys
from vault.tap.srtp import OutboundSession

SUITES = [suite for suite in SrtpSuite if not suite.is_plain]


class Sender:
    """Sends packet after packet under one key, from any extended number on."""

    def __init__(self, suite: SrtpSuite, *, ssrc: int = 0xA1, mki: bytes = b"") -> None:
        self.key = SecretBytes(secrets.token_bytes(suite.master_size_bytes))
        self.suite, self.ssrc, self.mki = suite, ssrc, mki
        self.session = OutboundSession(suite, self.key, mki)
        self.at = 0

    def plain(self, index: int) -> bytes:
        return rtp(index, 160 * index, index.to_bytes(8) * 20, ssrc=self.ssrc)

    def send(self, first: int, count: int) -> list[bytes]:
        # libsrtp follows steps below 2**15 on its own way to the first packet.
        for index in range(self.at + (first - self.at) % 30_000, first, 30_000):
            self.session.protect(self.plain(index))
        self.at = first + count
        return [
            self.session.protect(self.plain(i)) for i in range(first, first + count)
        ]

    def late(self, stream: str = "agent", *, roc: int | None = None) -> str:
        inline = base64.b64encode(self.key.reveal()).decode()
        named = f"|{int.from_bytes(self.mki)}:{len(self.mki)}" if self.mki else ""
        counter = "" if roc is None else f" roc={roc}"
        return f"{stream} {self.suite} inline:{inline}{named}{counter}\n"


def opened(keys: str, packets: Sequence[bytes], stream: int = 0) -> list[bytes | None]:
    deferred = DeferredDecryption(LateKeys.parse(keys.encode()).keys)
    deferred.announce(0, "agent")
    deferred.announce(1, "customer")
    return [deferred.open(stream, packet) for packet in packets]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("mki", [b"", b"\x00\x07"])
def test_every_suite_opens_packet_by_packet(suite: SrtpSuite, mki: bytes) -> None:
    sender = Sender(suite, mki=mki)

    packets = sender.send(500, 60)

    assert [sender.plain(i) for i in range(500, 560)] == opened(sender.late(), packets)


@pytest.mark.parametrize(
    "suite", [suite for suite in SUITES if not suite.has_short_tag]
)
@pytest.mark.parametrize("first", [3 * 65536 + 9, 65_530, 100 * 65_536 + 65_533])
def test_a_rollover_counter_that_nobody_knows_is_found(
    suite: SrtpSuite, first: int
) -> None:
    sender = Sender(suite)

    packets = sender.send(first, 12)

    expected = [sender.plain(i) for i in range(first, first + 12)]
    assert expected == opened(sender.late(), packets)


def test_under_a_short_tag_a_counter_is_believed_and_never_guessed() -> None:
    sender = Sender(SrtpSuite.AES_CM_128_HMAC_SHA1_32)
    packets = sender.send(3 * 65_536 + 9, 5)

    guessed = opened(sender.late(), packets)
    told = opened(sender.late(roc=3), packets)

    assert [None] * 5 == guessed
    assert [sender.plain(3 * 65_536 + 9 + i) for i in range(5)] == told


def test_loss_of_more_than_half_the_numbers_and_disorder_lose_nothing_more() -> None:
    sender = Sender(SrtpSuite.AES_CM_128_HMAC_SHA1_80)
    packets = [
        *sender.send(10, 40),
        *sender.send(70_000, 40),
        *sender.send(300_000, 40),
    ]
    numbers = [*range(10, 50), *range(70_000, 70_040), *range(300_000, 300_040)]
    for at in (0, 40, 80):
        order = random.Random(at).sample(range(40), 40)
        packets[at : at + 40] = [packets[at + n] for n in order]
        numbers[at : at + 40] = [numbers[at + n] for n in order]

    found = opened(sender.late(), packets)

    assert [sender.plain(number) for number in numbers] == found


def test_a_packet_that_came_twice_opens_twice() -> None:
    """The capture has it twice, and counting duplicates is not for this room."""
    sender = Sender(SrtpSuite.AEAD_AES_128_GCM)
    (packet,) = sender.send(70_000, 1)

    assert [sender.plain(70_000)] * 2 == opened(sender.late(), [packet, packet])


def test_packets_between_do_not_disturb() -> None:
    sender, stranger = Sender(SUITES[0]), Sender(SUITES[0])
    good = sender.send(100, 20)
    bad = stranger.send(100, 20)
    noise = [secrets.token_bytes(n) for n in range(40)]
    mixed = [each for three in zip(good, bad, noise, strict=False) for each in three]

    found = opened(sender.late(), mixed)

    assert [sender.plain(i) for i in range(100, 120)] == found[::3]
    assert {None} == {*found[1::3], *found[2::3]}


def test_the_key_of_another_stream_is_not_tried() -> None:
    sender = Sender(SUITES[0])

    packets = sender.send(1, 3)

    assert [None] * 3 == opened(sender.late("customer"), packets)
    assert None not in opened(sender.late("customer"), packets, stream=1)
    assert None not in opened(sender.late("*"), packets)


def test_each_of_two_keys_opens_its_part_of_a_stream() -> None:
    first, second = Sender(SUITES[2]), Sender(SUITES[3])
    packets = [*first.send(1, 10), *second.send(11, 10)]

    found = opened(first.late() + second.late(), packets)

    assert None not in found


def test_ssrcs_under_one_key_stand_apart() -> None:
    suite = SrtpSuite.AES_CM_128_HMAC_SHA1_80
    one, other = Sender(suite, ssrc=1), Sender(suite, ssrc=2)
    other.key = one.key
    other.session = OutboundSession(suite, one.key)
    packets = [
        each
        for pair in zip(one.send(200_000, 20), other.send(5, 20), strict=True)
        for each in pair
    ]

    assert None not in opened(one.late(), packets)


def test_a_flood_under_no_key_gets_a_bounded_number_of_trials() -> None:
    sender = Sender(SrtpSuite.AES_CM_128_HMAC_SHA1_80)
    flood = [b"\x80\x00" + secrets.token_bytes(180) for _ in range(3000)]

    found = opened(sender.late(), [*flood, *sender.send(7, 5)])

    assert [None] * 3000 == found[:3000]
    assert [sender.plain(7 + i) for i in range(5)] == found[3000:]
