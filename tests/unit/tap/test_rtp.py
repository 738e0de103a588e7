import pytest

from vault.core.errors import MalformedPacketError
from vault.tap.rtp import RtpPacket, extended_sequence, is_rtcp, is_rtp_or_rtcp

PLAIN = bytes.fromhex("80801234000000a0cafebabe") + b"voice"


class TestRtpPacket:
    def test_reads_the_fields_of_the_fixed_header(self):
        packet = RtpPacket.parse(PLAIN)

        assert packet == RtpPacket(
            payload_type=0,
            marker=True,
            sequence=0x1234,
            timestamp=160,
            ssrc=0xCAFEBABE,
            payload=b"voice",
        )

    def test_is_written_as_it_was_read(self):
        octets = bytes.fromhex(
            "9200000100000002000000030000000400000005bede0001aabbccdd"
        )

        assert bytes(RtpPacket.parse(octets)) == octets

    def test_padding_is_not_payload(self):
        octets = b"\xa0" + PLAIN[1:] + b"\x00\x00\x03"

        assert RtpPacket.parse(octets).payload == b"voice"

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            PLAIN[:11],
            b"\x40" + PLAIN[1:],
            b"\x8f" + PLAIN[1:],
            b"\x90" + PLAIN[1:14],
            b"\x90" + PLAIN[1:12] + b"\xbe\xde\xff\xff",
            b"\xa0" + PLAIN[1:] + b"\x00",
            b"\xa0" + PLAIN[1:] + b"\xff",
        ],
    )
    def test_a_header_that_contradicts_its_size_is_malformed(self, octets: bytes):
        with pytest.raises(MalformedPacketError):
            RtpPacket.parse(octets)


class TestTellingApart:
    def test_stun_dtls_and_nothing_are_not_rtp(self):
        assert [is_rtp_or_rtcp(o) for o in (b"", b"\x00\x01", b"\x16\xfe", PLAIN)] == [
            False,
            False,
            False,
            True,
        ]

    def test_a_marked_dynamic_payload_type_is_not_rtcp(self):
        seconds = (191, 192, 200, 223, 224, 0x80 | 96)

        assert [is_rtcp(bytes([0x80, s])) for s in seconds] == [
            False,
            True,
            True,
            True,
            False,
            False,
        ]


class TestExtendedSequence:
    @pytest.mark.parametrize(
        ("seq", "highest", "extended"),
        [
            (5, 4, 5),
            (0, 65535, 65536),
            (65535, 65536, 65535),
            (3, 2 * 65536 + 65530, 3 * 65536 + 3),
            (65530, 3 * 65536 + 3, 2 * 65536 + 65530),
            (65535, 0, 65535),
            (100, 100, 100),
        ],
    )
    def test_is_the_nearest_that_is_not_below_zero(
        self, seq: int, highest: int, extended: int
    ):
        assert extended_sequence(seq=seq, highest=highest) == extended
