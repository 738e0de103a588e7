import fcntl
import mmap
import os
import random
import signal
import struct
import time
from collections.abc import Iterator

import pytest

from vault.core.errors import InvalidInputError
from vault.tap import page
from vault.tap.page import MAX_COUNTS, MAX_SSRCS, MAX_STATE, CallPage, PageWriter


@pytest.fixture
def kept() -> Iterator[CallPage]:
    one = CallPage.create()
    yield one
    one.close()


@pytest.fixture
def writer(kept: CallPage) -> Iterator[PageWriter]:
    one = PageWriter(os.dup(kept.fd))
    yield one
    one.close()


def again(page: CallPage | PageWriter) -> PageWriter:
    """Return what the next worker sees."""
    return PageWriter(os.dup(page.fd))


class TestState:
    def test_is_found_by_whoever_takes_the_page(self, kept: CallPage) -> None:
        kept.write_state(b"one")
        kept.write_state(b"the second")
        taken = CallPage.take(os.dup(kept.fd))

        assert taken.read_state() == b"the second"
        taken.close()

    def test_of_a_page_that_never_had_one_is_an_error(self, kept: CallPage) -> None:
        with pytest.raises(InvalidInputError):
            kept.read_state()

    def test_has_an_upper_size(self, kept: CallPage) -> None:
        kept.write_state(bytes(MAX_STATE))
        with pytest.raises(ValueError, match="octets"):
            kept.write_state(bytes(MAX_STATE + 1))

        assert kept.read_state() == bytes(MAX_STATE)

    def test_a_writer_that_died_before_the_selector_leaves_the_old_one(
        self, kept: CallPage
    ) -> None:
        kept.write_state(b"old")
        selector = os.pread(kept.fd, 8, 8)
        kept.write_state(b"new")
        os.pwrite(kept.fd, selector, 8)

        assert kept.read_state() == b"old"

    @pytest.mark.parametrize("at", [0, 8, 16, 24, 29])
    def test_with_a_wrong_octet_is_an_error_and_no_state(
        self, kept: CallPage, at: int
    ) -> None:
        kept.write_state(b"octets")
        place = page._state_at(1) + at
        (octet,) = os.pread(kept.fd, 1, place)
        os.pwrite(kept.fd, bytes([octet ^ 1]), place)

        with pytest.raises(InvalidInputError):
            kept.read_state()

    def test_with_an_impossible_size_is_an_error(self, kept: CallPage) -> None:
        kept.write_state(b"octets")
        os.pwrite(kept.fd, struct.pack("@Q", 2**63), page._state_at(1) + 8)

        with pytest.raises(InvalidInputError):
            kept.read_state()

    def test_is_whole_whenever_its_writer_is_killed(self, kept: CallPage) -> None:
        dice = random.Random(7)
        for _ in range(20):
            child = os.fork()
            if child == 0:
                for number in range(1 << 30):
                    kept.write_state(bytes([number & 255]) * (1000 + number % 5000))
            time.sleep(dice.uniform(0, 0.005))
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            kept.write_state(kept.read_state() if _has_state(kept) else b"x")

            assert len(set(kept.read_state())) == 1


def _has_state(kept: CallPage) -> bool:
    try:
        kept.read_state()
    except InvalidInputError:
        return False
    return True


class TestNotes:
    def test_are_read_by_the_supervisor_and_the_next_worker(
        self, kept: CallPage, writer: PageWriter
    ) -> None:
        writer.note(0, 7, 70_000, 69_000, 1000, 70_000)
        writer.note(0, 8, 12, 2, -1, 0)
        writer.note(31, 7, 1, 1, 1, 1)
        for index in range(70_001, 70_011):
            writer.note(0, 7, index, index - 1000, 1000, index)
        found = kept.indexes(0)

        assert found == again(writer).indexes(0)
        assert [(i.ssrc, i.extended, i.packets) for i in found] == [
            (7, 70_010, 69_010),
            (8, 12, 2),
        ]
        assert [(i.first, i.last) for i in found] == [(1000, 70_010), (-1, 0)]
        assert [i.ssrc for i in kept.indexes(31)] == [7]
        assert kept.indexes(1) == ()

    def test_an_index_may_go_back_after_a_rekey(
        self, kept: CallPage, writer: PageWriter
    ) -> None:
        writer.note(0, 7, 70_000, 500, 0, 500)
        writer.note(0, 7, 3, 501, 0, 501)

        assert kept.indexes(0)[0].extended == 3

    def test_the_next_worker_goes_on_without_touching_the_last_value(
        self, kept: CallPage, writer: PageWriter
    ) -> None:
        for start in range(4):
            writer.note(0, 7, start, start, 0, start)
            second = again(writer)
            second.note(0, 7, 100, 100, 0, 100)
            # It dies in that very store.
            os.pwrite(kept.fd, b"\xff", (second._next[7] ^ 64) + 8)
            second.close()

            assert kept.indexes(0)[0].packets == start
            writer = again(kept)

    def test_beyond_the_most_ssrcs_are_left_out(
        self, kept: CallPage, writer: PageWriter
    ) -> None:
        for ssrc in range(MAX_SSRCS + 5):
            writer.note(2, ssrc, 1, 1, 1, 1)
            writer.note(2, ssrc, 2, 2, 1, 2)

        assert [i.ssrc for i in kept.indexes(2)] == list(range(MAX_SSRCS))
        assert {i.packets for i in kept.indexes(2)} == {2}
        assert kept.indexes(1) == kept.indexes(3) == ()

    def test_in_a_store_that_was_torn_are_never_mixed(
        self, kept: CallPage, writer: PageWriter
    ) -> None:
        writer.note(0, 7, 1000, 1000, 0, 1000)
        writer.note(0, 7, 1010, 1010, 0, 1010)
        for words in range(1, 6):
            at = writer._next[7]
            old = os.pread(kept.fd, 48, at)
            writer.note(0, 7, 1020, 1020, 0, 1020)
            new = os.pread(kept.fd, 48, at)
            os.pwrite(kept.fd, new[: 8 * words] + old[8 * words :], at)
            found = kept.indexes(0)[0]

            assert found.extended == found.packets == found.last
            os.pwrite(kept.fd, old, at)
            writer._next[7] = at


class TestCounts:
    def test_are_replaced_and_the_last_is_read(
        self, kept: CallPage, writer: PageWriter
    ) -> None:
        assert kept.counts(0) == b""
        for number in range(5):
            writer.note_counts(0, bytes([number]) * 100)
            writer.note_counts(31, bytes([number]) * MAX_COUNTS)

            assert kept.counts(0) == bytes([number]) * 100
            assert again(writer).counts(31) == bytes([number]) * MAX_COUNTS

    def test_torn_leave_the_ones_before(
        self, kept: CallPage, writer: PageWriter
    ) -> None:
        writer.note_counts(0, b"first")
        writer.note_counts(0, b"second")
        at = page._counts_at(0) + page._COUNTS_HALF + page._HEAD.size
        os.pwrite(kept.fd, b"S", at)

        assert kept.counts(0) == b"first"
        third = again(writer)
        third.note_counts(0, b"third")
        assert kept.counts(0) == b"third"

    def test_have_an_upper_size(self, writer: PageWriter) -> None:
        with pytest.raises(ValueError, match="octets"):
            writer.note_counts(0, bytes(MAX_COUNTS + 1))


class TestADescriptor:
    def test_cannot_be_made_shorter_by_its_holders(self, kept: CallPage) -> None:
        with pytest.raises(PermissionError):
            os.ftruncate(kept.fd, 10)

    def test_that_is_no_page_is_refused(self) -> None:
        read, write = os.pipe()
        unsealed = os.memfd_create("x", os.MFD_ALLOW_SEALING)
        os.ftruncate(unsealed, page._SIZE)
        short = os.memfd_create("x", os.MFD_ALLOW_SEALING)
        fcntl.fcntl(short, fcntl.F_ADD_SEALS, page._SEALS)
        for fd in (read, write, unsealed, short):
            with pytest.raises(InvalidInputError):
                CallPage.take(fd)
            with pytest.raises(InvalidInputError):
                PageWriter(fd)
            os.close(fd)

    def test_of_another_version_is_refused(self, kept: CallPage) -> None:
        os.pwrite(kept.fd, b"2", 7)

        with pytest.raises(InvalidInputError):
            CallPage.take(kept.fd)

    def test_is_closed_once(self) -> None:
        one = CallPage.create()
        one.close()
        one.close()

        assert one.fd == -1

    def test_holding_a_page_fills_no_hole(
        self, kept: CallPage, writer: PageWriter
    ) -> None:
        kept.write_state(b"state")
        writer.note(0, 7, 1, 1, 1, 1)
        writer.note_counts(0, b"counts")
        writer.hold()

        # One page each for head, state, the other half and the stream.
        assert os.fstat(kept.fd).st_blocks * 512 <= 5 * mmap.PAGESIZE
