import pytest

from tests.simulators.calls import START_NS, record
from vault.renditions.records import RecordScanner


def sizes(octets: bytes, step: int) -> list[tuple[int, int]]:
    scanner = RecordScanner()
    return [
        run.shape
        for at in range(0, len(octets), step)
        for run in scanner.feed(octets[at : at + step])
    ]


def test_records_of_one_size_come_as_one_run() -> None:
    octets = b"".join(record(0, 0, bytes(172), at_ns=START_NS) for _ in range(500))

    assert [(500, 192)] == sizes(octets, len(octets))


def test_sizes_that_alternate_come_one_by_one() -> None:
    one, two = (record(0, 0, bytes(n), at_ns=START_NS) for n in (100, 101))

    assert [(1, 120), (1, 121)] * 3 == sizes((one + two) * 3, 10_000)


@pytest.mark.parametrize("step", [1, 19, 20, 21, 192])
def test_a_record_may_come_in_pieces(step: int) -> None:
    octets = record(0, 0, bytes(172), at_ns=START_NS) * 3

    assert 3 == sum(count for count, _ in sizes(octets, step))


def test_what_is_cut_off_is_pending_until_the_part_ends() -> None:
    scanner = RecordScanner()

    assert list(scanner.feed(record(0, 0, bytes(9), at_ns=START_NS)[:-1])) == []
    assert (scanner.pending_bytes, scanner.end(), scanner.pending_bytes) == (28, 28, 0)
