import struct

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.simulators.calls import START_NS, record, rtp
from vault.renditions.rtp_columns import arrival_ns, field, payload_spans
from vault.tap.capture import HEADER_SIZE, Kind


def rows(*packets: bytes) -> np.ndarray:
    octets = b"".join(
        record(Kind.RTP, 0, packet, at_ns=START_NS + n)
        for n, packet in enumerate(packets)
    )
    return np.frombuffer(octets, np.uint8).reshape(len(packets), -1)


def test_fields_are_read_in_network_order() -> None:
    found = rows(rtp(1, 2, b"a", ssrc=0xA1B2C3D4), rtp(0xFFFE, 2**32 - 1, b"b", ssrc=7))

    assert [START_NS, START_NS + 1] == arrival_ns(found).tolist()
    assert [1, 0xFFFE] == field(found, 2, np.dtype(">u2")).tolist()
    assert [2, 2**32 - 1] == field(found, 4, np.dtype(">u4")).tolist()
    assert [0xA1B2C3D4, 7] == field(found, 8, np.dtype(">u4")).tolist()


def test_a_payload_lies_behind_csrcs_and_extension_and_before_padding() -> None:
    packet = bytearray(rtp(1, 2, bytes(40)))
    packet[0] |= 0x20 | 0x10 | 2
    struct.pack_into(">HH", packet, 12 + 8, 0xBEDE, 3)
    packet[-1] = 5

    start, stop = payload_spans(rows(bytes(packet)))

    assert (HEADER_SIZE + 12 + 8 + 4 + 12, HEADER_SIZE + len(packet) - 5) == (
        start[0],
        stop[0],
    )


@given(octets=st.binary(max_size=60))
def test_nothing_is_read_past_a_record(octets: bytes) -> None:
    start, stop = payload_spans(rows(octets))

    if stop[0] >= start[0]:
        assert HEADER_SIZE + 12 <= start[0] <= stop[0] <= HEADER_SIZE + len(octets)
