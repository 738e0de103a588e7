from collections.abc import Iterable

import pytest

from vault.core.errors import MalformedSignallingError
from vault.sip.framing import Framer, Ping, body_length, head_end, header_lines

OPTIONS = b"OPTIONS sip:a@b SIP/2.0\r\nTo: x\r\nl: 0\r\n\r\n"
INVITE = b"INVITE sip:a@b SIP/2.0\r\nContent-Length : 5\r\n\r\nhello"


def feed(pieces: Iterable[bytes], framer: Framer | None = None) -> list[bytes | Ping]:
    framer = framer or Framer()
    return [found for piece in pieces for found in framer.feed(piece)]


class TestFramer:
    @pytest.mark.parametrize("size", [1, 2, 3, 7, 1_000])
    def test_messages_come_out_as_they_went_in_however_they_were_cut(
        self, size: int
    ) -> None:
        stream = OPTIONS + INVITE + b"\r\n\r\n" + INVITE + OPTIONS

        found = feed(stream[at : at + size] for at in range(0, len(stream), size))

        assert [OPTIONS, INVITE, Ping(), INVITE, OPTIONS] == found

    @pytest.mark.parametrize(
        "message",
        [
            OPTIONS.replace(b"\r\n", b"\n"),
            INVITE.replace(b"\r\n", b"\n", 1),
            b"INVITE sip:a@b SIP/2.0\r\nContent-Length:\r\n  5\r\n\r\nhello",
            b"SIP/2.0 200 OK\r\nL:5\r\n\r\nhello",
            b"OPTIONS sip:a@b SIP/7.0\r\nl: 0\r\n\r\n",
        ],
    )
    def test_lf_alone_folded_and_compact_lengths_are_read(self, message: bytes) -> None:
        assert [message, OPTIONS] == feed([message + OPTIONS])

    def test_a_single_crlf_is_passed_over_and_a_double_one_is_a_ping(self) -> None:
        framer = Framer()

        assert [OPTIONS] == framer.feed(b"\r\n" + OPTIONS)
        assert [] == framer.feed(b"\r\n\r")
        assert not framer.waiting
        assert [Ping()] == framer.feed(b"\n")
        assert [Ping(), OPTIONS] == framer.feed(b"\r\n" * 5_000 + OPTIONS)

    def test_what_is_waited_for_is_known(self) -> None:
        framer = Framer()
        seen = []
        for piece in (b"INVITE si", INVITE[9:-4], b"hello"[1:]):
            framer.feed(piece)
            seen.append((framer.waiting, framer.in_head))

        assert [(True, True), (True, False), (False, False)] == seen

    @pytest.mark.parametrize(
        "octets",
        [
            b"OPTIONS sip:a@b SIP/2.0\r\nTo: x\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nl: -1\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nl: +1\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nl: 1, 1\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nl: 0x1\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nl:\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\nContent-Length: 0\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\nCONTENT-LENGTH : 7\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nl: 1048577\r\n\r\n",
            b"OPTIONS sip:a@b SIP/2.0\r\nl: 99999999999999999999999\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\n",
            b"GET / HTTP/1.1\r\n",
            b"v=0\r\n",
            b"A" * 65_536,
            b"OPTIONS sip:a@b SIP/2.0\r\n" + b"A: b\r\n" * 11_000,
        ],
    )
    def test_what_cannot_be_framed_raises_and_ever_after(self, octets: bytes) -> None:
        framer = Framer()

        with pytest.raises(MalformedSignallingError):
            framer.feed(octets)
        with pytest.raises(MalformedSignallingError):
            framer.feed(OPTIONS)

        assert framer.failed

    def test_a_length_that_is_too_small_leaves_a_body_that_is_no_start_line(
        self,
    ) -> None:
        """B6: the rest of a body is never taken for a request, unless it is one."""
        smuggling = INVITE.replace(b"5", b"3")
        framer = Framer()

        assert [smuggling[:-2]] == framer.feed(smuggling + b"\r\n")
        assert framer.failed
        with pytest.raises(MalformedSignallingError):
            framer.feed(OPTIONS)

    def test_the_rest_of_a_body_that_sticks_to_a_request_line_is_no_method(
        self,
    ) -> None:
        """B6: ``abOPTIONS sip:... SIP/2.0`` is a start line by its looks alone."""
        whole = OPTIONS.replace(b"\r\n", b"\r\nCSeq: 7 OPTIONS\r\n", 1)
        folded = OPTIONS.replace(b"\r\n", b"\r\ncseq :\r\n 7\r\n OPTIONS\r\n", 1)
        answer = whole.replace(b"OPTIONS sip:a@b SIP/2.0", b"SIP/2.0 200 OK")
        framer = Framer()

        assert [whole, folded, answer] == framer.feed(whole + folded + answer)
        with pytest.raises(MalformedSignallingError):
            framer.feed(b"ab" + whole)
        with pytest.raises(MalformedSignallingError):
            framer.feed(whole)

    def test_what_was_whole_before_the_fault_is_handed_over_first(self) -> None:
        framer = Framer()

        assert [OPTIONS, INVITE] == framer.feed(
            OPTIONS + INVITE + b"junk\r\n" + OPTIONS
        )
        assert framer.failed
        assert framer.waiting
        with pytest.raises(MalformedSignallingError):
            framer.feed(b"")

    def test_the_caps_are_arguments(self) -> None:
        framer = Framer(max_head_bytes=len(OPTIONS) - 1)
        with pytest.raises(MalformedSignallingError):
            framer.feed(OPTIONS)

        with pytest.raises(MalformedSignallingError):
            Framer(max_body_bytes=4).feed(INVITE)

        assert [INVITE] == Framer(max_body_bytes=5).feed(INVITE)

    def test_a_slow_sender_costs_no_more_than_a_fast_one(self) -> None:
        """
        Octet by octet, the largest head: were it searched anew each time, this
        would look at 2 * 10**9 octets and run into the time limit of the suite.
        """
        head = b"OPTIONS sip:a@b SIP/2.0\r\nl: 0\r\nX: " + b"x" * 65_000 + b"\r\n\r\n"

        assert [head] == feed(head[at : at + 1] for at in range(len(head)))


class TestHead:
    @pytest.mark.parametrize(
        ("octets", "end"),
        [
            (b"a\r\n\r\nb", 5),
            (b"a\n\nb", 3),
            (b"a\n\r\nb", 4),
            (b"a\r\n\nb", 4),
            (b"a\r\n\r\nb\n\nc", 5),
            (b"a\n\nb\r\n\r\n", 3),
            (b"a\r\n b\r\n", -1),
            (b"", -1),
        ],
    )
    def test_ends_with_the_first_empty_line(self, octets: bytes, end: int) -> None:
        assert end == head_end(octets)

    def test_lines_are_unfolded_and_octets_kept(self) -> None:
        head = b"A: 1\r\n  2\r\n\t3\nB: \xff\xc3\xa9\xe2\x80\xa8\r\n\r\n"

        lines = header_lines(head)

        assert ["A: 1 2 3", "B: \udcff\u00e9\u2028"] == lines
        assert b"B: \xff\xc3\xa9\xe2\x80\xa8" == lines[1].encode(
            "utf-8", "surrogateescape"
        )

    def test_a_length_is_read_once(self) -> None:
        assert 7 == body_length(["Call-ID: 5", "Content-Type: 6", "L : 007"])
        assert body_length(["Call-ID: 5", "lonely"]) is None
