import threading
from typing import BinaryIO

import pytest

from vault.core.errors import TrailBrokenError
from vault.web.exporting import blocks_of


def test_what_is_written_comes_out_whole() -> None:
    def write(out: BinaryIO) -> None:
        out.writelines(b"%d\n" % n for n in range(50_000))

    found = b"".join(blocks_of(write))

    assert found == b"".join(b"%d\n" % n for n in range(50_000))


def test_a_failure_comes_out_at_its_place() -> None:
    def write(out: BinaryIO) -> None:
        out.write(b"x" * 200_000)
        raise TrailBrokenError("entry 7")

    found = blocks_of(write)

    assert len(next(found)) > 0
    with pytest.raises(TrailBrokenError):
        list(found)


def test_a_reader_who_leaves_ends_the_writer() -> None:
    ended = threading.Event()

    def write(out: BinaryIO) -> None:
        try:
            while True:
                out.write(b"x" * 65_536)
        finally:
            ended.set()

    found = blocks_of(write)
    next(found)
    found.close()  # type: ignore[attr-defined]

    assert ended.wait(10)
