import pytest

from vault.core.errors import MalformedPacketError
from vault.core.media import STATIC_PAYLOADS
from vault.tap.capture import (
    HEADER_SIZE,
    WHOLE_CALL,
    Event,
    Kind,
    Record,
    encode_event,
    padding,
    parse_event,
    parse_records,
    payload_map,
    whole_size,
)

RECORD = Record(arrival_ns=1_700_000_000_123_456_789, stream=1, kind=0, octets=b"rtp")


class TestRecords:
    def test_have_the_layout_of_the_format_page(self):
        assert bytes(RECORD).hex() == (
            "00f1536500000000"  # 1700000000 s
            "15cd5b0700000000"  # 123456789 ns
            "01"  # stream
            "00"  # kind
            "0300"  # length
            "727470"
        )

    def test_are_read_as_they_were_written(self):
        several = [RECORD, Record(arrival_ns=5, stream=255, kind=9, octets=b"")]

        assert list(parse_records(b"".join(map(bytes, several)))) == several

    def test_of_a_capture_cut_anywhere_are_the_whole_ones(self):
        octets = bytes(RECORD) * 3
        size = len(bytes(RECORD))

        for cut in range(len(octets) + 1):
            assert list(parse_records(octets[:cut])) == [RECORD] * (cut // size)
            assert whole_size(octets[:cut]) == cut // size * size


class TestPadding:
    @pytest.mark.parametrize("size", [20, 21, 16384, 16384 + 19])
    def test_has_the_size_asked_for_and_only_zeros(self, size: int):
        octets = padding(size, now_ns=1)

        (record,) = parse_records(octets)

        assert len(octets) == size
        assert (record.kind, record.octets) == (Kind.PADDING, bytes(size - HEADER_SIZE))

    @pytest.mark.parametrize("size", [0, 19, HEADER_SIZE + 65536])
    def test_of_another_size_is_no_record(self, size: int):
        with pytest.raises(ValueError, match="no record"):
            padding(size, now_ns=1)


class TestEvents:
    def test_are_canonical_json_with_name_version_and_stream(self):
        octets = encode_event(Event.REKEY, now_ns=1, stream=3, members={"suite": "x"})

        (record,) = parse_records(octets)

        assert record.octets == b'{"event":"rekey","stream":3,"suite":"x","v":1}'
        assert record.stream == 3

    def test_of_the_whole_call_name_no_stream(self):
        (record,) = parse_records(encode_event(Event.PAUSE, now_ns=1))

        assert record.stream == WHOLE_CALL
        assert parse_event(record) == {"event": "pause", "v": 1}

    @pytest.mark.parametrize("octets", [b"", b"[]", b"{}", b'{"event":1}', b"\xff"])
    def test_without_a_name_are_malformed(self, octets: bytes):
        with pytest.raises(MalformedPacketError):
            parse_event(Record(arrival_ns=0, stream=0, kind=3, octets=octets))

    def test_that_do_not_fit_are_refused(self):
        with pytest.raises(ValueError, match="octets"):
            encode_event(Event.GAP, now_ns=1, members={"reason": "x" * 70000})


class TestPayloadMap:
    def test_is_keyed_by_payload_type(self):
        assert payload_map([STATIC_PAYLOADS[8]]) == {
            "8": {"encoding": "PCMA", "clock_rate_hz": 8000, "channels": 1, "fmtp": ""}
        }
