import pytest

from vault.core.errors import MalformedPacketError
from vault.tap.rtcp import (
    SENDER_REPORT,
    SOURCE_DESCRIPTION,
    SenderReport,
    ntp_time,
    parse_compound,
    source_description,
)

REPORT = SenderReport(ssrc=7, ntp=2**63 + 1, rtp_timestamp=160, packets=50, octets=8000)


class TestCompound:
    def test_a_report_and_a_name_are_read_as_they_were_written(self):
        compound = bytes(REPORT) + source_description(7, "agent")

        first, second = parse_compound(compound)

        assert SenderReport.read(first) == REPORT
        assert (second.packet_type, second.count) == (SOURCE_DESCRIPTION, 1)

    def test_the_size_of_a_name_is_whole_words_with_a_null_at_its_end(self):
        sizes = [len(source_description(7, "x" * n)) for n in range(5)]

        assert sizes == [12, 12, 16, 16, 16]

    @pytest.mark.parametrize(
        "octets",
        [
            b"\x80",
            b"\x80\xc8\x00\x01",
            b"\x40\xc8\x00\x00",
            bytes(REPORT) + b"\x80\xca",
        ],
    )
    def test_a_length_beyond_the_datagram_is_malformed(self, octets: bytes):
        with pytest.raises(MalformedPacketError):
            list(parse_compound(octets))

    def test_a_short_sender_report_is_malformed(self):
        (packet,) = parse_compound(b"\x80\xc8\x00\x01\x00\x00\x00\x07")

        assert packet.packet_type == SENDER_REPORT
        with pytest.raises(MalformedPacketError):
            SenderReport.read(packet)


class TestNtpTime:
    def test_counts_from_1900_in_binary_fractions(self):
        assert ntp_time(500_000_000) == (2_208_988_800 << 32) | 1 << 31
