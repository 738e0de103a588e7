"""Connectivity checks: against RFC 5769's vectors and a peer of our own."""

import secrets

import pytest

from tests.simulators.webrtc import attribute, signed
from vault.core.secrets import SecretBytes
from vault.tap.orders import IceCredentials
from vault.tap.stun import MOST_OCTETS, answer_check, is_stun

# RFC 5769, section 2.1: user name "evtj:h6vY", SOFTWARE, PRIORITY, ICE-CONTROLLED.
VECTOR = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae"
    "802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36"
    "000600096576746a3a68367659202020"
    "000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2"
    "80280004e57a3bcf"
)
EVTJ = IceCredentials(ufrag="evtj", password=SecretBytes(b"VOkJxbRl1RmTxUk/WvJxBt"))
OURS = IceCredentials(ufrag="oursours", password=SecretBytes(b"p" * 32))
KEY = OURS.password.reveal()
SOURCE = ("192.0.2.1", 32853)
USER = attribute(0x0006, b"oursours:theirs")


class TestRightChecks:
    def test_the_vector_of_the_rfc_is_answered_with_its_mapped_address(self) -> None:
        answer = answer_check(VECTOR, SOURCE, EVTJ)

        # RFC 5769, section 2.2: 192.0.2.1, port 32853.
        assert answer is not None
        assert answer[:8] == bytes.fromhex("0101002c2112a442")
        assert answer[8:20] == VECTOR[8:20]
        assert answer[20:32] == bytes.fromhex("002000080001a147e112a643")

    def test_an_ipv6_address_is_masked_with_the_transaction(self) -> None:
        source = ("2001:db8:1234:5678:11:2233:4455:6677", 32853)

        answer = answer_check(VECTOR, source, EVTJ)

        # RFC 5769, section 2.3.
        assert answer is not None
        assert answer[20:44] == bytes.fromhex(
            "002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d9"
        )

    def test_a_mapped_ipv4_address_is_named_as_what_it_is(self) -> None:
        answer = answer_check(VECTOR, ("::ffff:192.0.2.1", 32853), EVTJ)

        assert answer == answer_check(VECTOR, SOURCE, EVTJ)

    def test_the_answer_is_signed_with_our_password(self) -> None:
        request = signed(USER, KEY)

        answer = answer_check(request, SOURCE, OURS)

        assert answer is not None
        assert answer == signed(
            answer[20:32], KEY, kind=0x0101, transaction=request[8:20]
        )

    def test_attributes_that_may_be_ignored_are(self) -> None:
        body = USER + attribute(0xC057, b"\x00\x01\x00\x0a") + attribute(0x0025, b"")

        assert answer_check(signed(body, KEY), SOURCE, OURS) is not None

    def test_nothing_is_amplified(self) -> None:
        request = signed(USER, KEY)
        answer = answer_check(request, ("2001:db8::1", 1), OURS)

        assert answer is not None
        assert len(answer) <= len(request) + 12


class TestSilence:
    @pytest.mark.parametrize(
        "user", [b"", b"oursours", b"oursours:", b"ours:theirs", b"theirs:oursours"]
    )
    def test_for_somebody_else(self, user: bytes) -> None:
        request = signed(attribute(0x0006, user), KEY)

        assert answer_check(request, SOURCE, OURS) is None

    def test_for_who_does_not_know_the_password(self) -> None:
        assert answer_check(signed(USER, b"q" * 32), SOURCE, OURS) is None

    def test_for_every_other_kind_of_message(self) -> None:
        kinds = [0x0011, 0x0101, 0x0111, 0x0003, 0x0000]
        answers = [answer_check(signed(USER, KEY, kind=k), SOURCE, OURS) for k in kinds]

        assert answers == [None] * len(kinds)

    def test_for_an_attribute_that_had_to_be_understood(self) -> None:
        request = signed(USER + attribute(0x0003, b"\0\0\0\6"), KEY)

        assert answer_check(request, SOURCE, OURS) is None

    def test_without_a_fingerprint_or_one_that_is_not_last(self) -> None:
        request = signed(USER, KEY)
        short = request[:2] + (len(request) - 28).to_bytes(2) + request[4:-8]
        longer = request + attribute(0x8022, b"more")
        longer = longer[:2] + (len(longer) - 20).to_bytes(2) + longer[4:]

        assert [answer_check(r, SOURCE, OURS) for r in (short, longer)] == [None] * 2

    def test_for_any_flipped_bit(self) -> None:
        for at in range(len(VECTOR)):
            damaged = bytearray(VECTOR)
            damaged[at] ^= 0x01

            assert answer_check(bytes(damaged), SOURCE, EVTJ) is None, at

    def test_for_any_piece(self) -> None:
        pieces = [VECTOR[:size] for size in range(len(VECTOR))]

        assert [answer_check(p, SOURCE, EVTJ) for p in pieces] == [None] * len(pieces)

    def test_for_an_integrity_of_another_length(self) -> None:
        body = USER + attribute(0x0008, b"")

        assert answer_check(signed(body, KEY), SOURCE, OURS) is None

    def test_for_what_no_check_is_as_long_as(self) -> None:
        body = USER + attribute(0x8022, bytes(MOST_OCTETS))

        assert answer_check(signed(body, KEY), SOURCE, OURS) is None

    def test_for_noise(self) -> None:
        head = VECTOR[:20]
        noise = [head + secrets.token_bytes(88) for _ in range(200)]

        assert {answer_check(one, SOURCE, EVTJ) for one in noise} == {None}


class TestKindOfDatagram:
    def test_the_first_octet_says_stun(self) -> None:
        said = [octet for octet in range(256) if is_stun(bytes([octet]))]

        assert (said, is_stun(b"")) == ([0, 1, 2, 3], False)
