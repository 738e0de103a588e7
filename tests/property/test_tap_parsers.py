"""Parsers of the hot path against whatever a network may bring."""

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from vault.core.errors import MalformedPacketError, MalformedSignallingError
from vault.tap.capture import (
    HEADER_SIZE,
    Record,
    padding,
    parse_event,
    parse_records,
    whole_size,
)
from vault.tap.rtcp import SenderReport, parse_compound, source_description
from vault.tap.rtp import RtpPacket, extended_sequence
from vault.tap.simulate import read_answer

WORDS = st.binary(max_size=40).map(lambda octets: octets[: len(octets) // 4 * 4])
PACKETS = st.builds(
    RtpPacket,
    payload_type=st.integers(0, 127),
    marker=st.booleans(),
    sequence=st.integers(0, 2**16 - 1),
    timestamp=st.integers(0, 2**32 - 1),
    ssrc=st.integers(0, 2**32 - 1),
    csrcs=st.lists(st.integers(0, 2**32 - 1), max_size=15).map(tuple),
    extension=st.none() | st.tuples(st.integers(0, 2**16 - 1), WORDS),
    payload=st.binary(max_size=60),
)
RECORDS = st.builds(
    Record,
    arrival_ns=st.integers(-(2**62), 2**62),
    stream=st.integers(0, 255),
    kind=st.integers(0, 255),
    octets=st.binary(max_size=200),
)


class TestRtp:
    @given(PACKETS)
    def test_is_read_as_it_was_written(self, packet: RtpPacket) -> None:
        assert RtpPacket.parse(bytes(packet)) == packet

    @given(st.binary(max_size=120))
    def test_is_refused_or_read_within_its_octets(self, octets: bytes) -> None:
        with contextlib.suppress(MalformedPacketError):
            assert len(RtpPacket.parse(octets).payload) <= len(octets) - 12

    @given(st.integers(0, 2**40), st.integers(-(2**15) + 1, 2**15))
    def test_a_number_is_extended_to_the_nearest(self, highest: int, step: int) -> None:
        extended = max(highest + step, 0)

        assert extended_sequence(seq=extended & 0xFFFF, highest=highest) == extended


class TestRtcp:
    @given(st.binary(max_size=120))
    def test_is_refused_or_read_within_its_octets(self, octets: bytes) -> None:
        with contextlib.suppress(MalformedPacketError):
            packets = list(parse_compound(octets))

            assert sum(4 + len(packet.body) for packet in packets) == len(octets)

    @given(st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1), st.text(max_size=300))
    def test_is_read_as_it_was_written(self, ssrc: int, ntp: int, name: str) -> None:
        report = SenderReport(ssrc=ssrc, ntp=ntp, rtp_timestamp=1, packets=2, octets=3)
        compound = bytes(report) + source_description(ssrc, name)

        first, _ = parse_compound(compound)

        assert SenderReport.read(first) == report


class TestCaptures:
    @given(st.lists(RECORDS, max_size=8))
    def test_are_read_as_they_were_written(self, records: list[Record]) -> None:
        octets = b"".join(map(bytes, records))

        assert list(parse_records(octets)) == records
        assert whole_size(octets) == len(octets)

    @given(st.binary(max_size=300))
    def test_of_any_octets_never_reach_past_their_end(self, octets: bytes) -> None:
        sizes = [HEADER_SIZE + len(r.octets) for r in parse_records(octets)]

        assert sum(sizes) == whole_size(octets) <= len(octets)

    @given(RECORDS)
    def test_events_are_refused_or_named(self, record: Record) -> None:
        with contextlib.suppress(MalformedPacketError):
            assert isinstance(parse_event(record)["event"], str)

    @given(st.integers(HEADER_SIZE, HEADER_SIZE + 65535))
    def test_padding_has_any_size_that_a_record_can(self, size: int) -> None:
        assert len(padding(size, now_ns=0)) == size


class TestAnswers:
    @given(st.text(alphabet="cm=audio 4IN\r\n.:", max_size=120))
    def test_are_refused_or_name_an_address_and_a_port(self, text: str) -> None:
        with contextlib.suppress(MalformedSignallingError):
            assert all(one.address and one.rtp for one in read_answer(text))
