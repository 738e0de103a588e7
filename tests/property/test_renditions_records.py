"""The fast scanner against the plain parser, and RTP of any shape."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulators.calls import PCMU, START_NS, added, babble, record, rtp
from vault.renditions.legs import legs_of
from vault.renditions.mixdown import timeline_of
from vault.renditions.packets import CaptureReader
from vault.renditions.records import RecordScanner
from vault.tap.capture import HEADER_SIZE, parse_records

_LENGTHS = st.sampled_from([0, 1, 12, 160, 172, 172, 172, 172, 1400])
_RECORDS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from([0, 1, 255]), _LENGTHS, st.binary()),
    max_size=60,
)


def captured(records: list[tuple[int, int, int, bytes]]) -> bytes:
    return b"".join(
        record(kind, stream, (fill * length + bytes(length))[:length], at_ns=START_NS)
        for kind, stream, length, fill in records
    )


@given(_RECORDS, st.integers(1, 5000), st.integers(0, 40))
def test_rows_are_the_records_of_the_plain_parser(
    records: list[tuple[int, int, int, bytes]], step: int, lost: int
) -> None:
    octets = captured(records)
    octets = octets[: max(0, len(octets) - lost)]
    scanner = RecordScanner()

    rows = [
        row.tobytes()
        for at in range(0, len(octets), step)
        for run in scanner.feed(octets[at : at + step])
        for row in run
    ]

    parsed = list(parse_records(octets))
    assert rows == [bytes(each) for each in parsed]
    assert scanner.pending_bytes == len(octets) - sum(
        HEADER_SIZE + len(each.octets) for each in parsed
    )


@given(st.lists(st.binary(max_size=200), max_size=40))
def test_no_octets_that_claim_to_be_rtp_break_the_reader(bodies: list[bytes]) -> None:
    part = added(0, "agent")
    part += b"".join(
        record(kind, 0, body, at_ns=START_NS + n * 20_000_000)
        for n, body in enumerate(bodies)
        for kind in (0, 3)
    )
    reader = CaptureReader()

    reader.feed(part)
    reader.end_part()
    streams = reader.finish()

    assert len(streams[0].packets) + streams[0].malformed == len(bodies)
    assert sum(block.shape[1] for block in timeline_of(streams).blocks()) >= 0


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)),
        min_size=1,
        max_size=60,
    )
)
def test_no_timestamp_stretches_a_call(numbers: list[tuple[int, int]]) -> None:
    """
    Whatever a sender claims, its audio lies between 10 s before the first packet
    and the last one's arrival.
    """
    octets = babble(0.02)
    part = added(0, "agent", payloads=(PCMU,))
    part += b"".join(
        record(0, 0, rtp(seq, stamp, octets.tobytes()), at_ns=START_NS + n * 20_000_000)
        for n, (seq, stamp) in enumerate(numbers)
    )
    reader = CaptureReader()
    reader.feed(part)
    streams = reader.finish()

    timeline = timeline_of(streams)

    assert timeline.samples <= 10 * 8000 + len(numbers) * 160 + 800 + 160


@settings(max_examples=40)
@given(st.data())
def test_order_loss_and_duplicates_are_counted_exactly(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 120))
    lost = data.draw(st.sets(st.integers(1, count - 2), max_size=count // 3))
    kept = [n for n in range(count) if n not in lost]
    again = data.draw(st.lists(st.sampled_from(kept), max_size=20))
    first = data.draw(st.integers(0, 65535))
    order = sorted(kept + again, key=lambda n: (n // 4, hash((n, first))))
    part = added(0, "agent") + b"".join(
        record(0, 0, rtp(first + n, 160 * n, b"\xff" * 160), at_ns=START_NS + at * MS)
        for at, n in enumerate(order)
    )
    reader = CaptureReader()
    reader.feed(part)

    ((run,),) = legs_of(reader.finish()[0].packets)

    assert (len(lost), len(again)) == (run.lost, run.duplicated)
    assert np.array_equal(np.diff(run.extended) > 0, np.ones(len(kept) - 1, bool))


MS = 1_000_000
