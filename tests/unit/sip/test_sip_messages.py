from pathlib import Path

import pytest

from vault.core.errors import MalformedSignallingError
from vault.sip.headers import NameAddr
from vault.sip.messages import (
    MAX_HEADERS,
    Headers,
    MalformedMessageError,
    Request,
    Response,
    parse_message,
    respond,
)
from vault.sip.screening import Screen

HEAD = (
    "INVITE sip:srs@192.0.2.1 SIP/2.0",
    "Via: SIP/2.0/TCP 192.0.2.7:5060;branch=z9hG4bK1;rport",
    "Max-Forwards: 70",
    "From: <sip:src@192.0.2.7>;tag=a",
    "To: <sip:srs@192.0.2.1>",
    "Call-ID: 1@192.0.2.7",
    "CSeq: 1 INVITE",
)
ACCEPTED, DROPPED = "accepted", "dropped"
# What becomes of every message of RFC 4475: accepted, and left to who is asking and
# for what; refused with a status; or dropped without an answer.
TORTURE = {
    # 3.1.1: valid, and hard to read.
    "wsinv": ACCEPTED,
    "intmeth": 501,
    "esc01": ACCEPTED,
    "escnull": 405,
    "esc02": 501,  # an escape is no letter of a method
    "lwsdisp": ACCEPTED,
    "longreq": ACCEPTED,
    "dblreq": 405,  # the REGISTER; what follows it in the datagram is dropped
    "semiuri": ACCEPTED,
    "transports": ACCEPTED,
    "mpart01": 405,  # MESSAGE
    "unreason": ACCEPTED,  # a response, to nothing that we asked
    "noreason": ACCEPTED,  # a response, to nothing that we asked
    # 3.1.2: invalid.
    "badinv01": 400,  # a list of Vias with nothing between its commas
    "clerr": 400,
    "ncl": 400,
    "scalar02": 400,
    "scalarlg": DROPPED,  # a response
    "quotbal": 400,
    "ltgtruri": 400,
    "lwsruri": 400,
    "lwsstart": ACCEPTED,  # two spaces mean no more than one
    "trws": ACCEPTED,  # and so does one at the end
    "escruri": ACCEPTED,  # headers in a URI are never acted upon
    "baddate": ACCEPTED,  # nothing of ours reads Date
    "regbadct": 405,
    "badaspec": ACCEPTED,  # white space inside of <> is taken off
    "baddn": ACCEPTED,  # a name with a comma and no quotes: seen from directories
    "badvers": 505,
    "mismatch01": 400,
    "mismatch02": 400,
    "bigcode": DROPPED,  # a response
    # 3.2 to 3.4: what a transaction, an application, an old client makes of it.
    "badbranch": ACCEPTED,
    "insuf": DROPPED,  # no Call-ID, From, To: an answer would belong to nothing
    "unkscm": 416,
    "novelsc": 416,
    "unksm2": 405,
    "bext01": 420,  # Require: nothingSupportsThis
    "invut": ACCEPTED,
    "regaut01": 405,
    "multi01": 400,
    "mcl01": 400,
    "bcast": ACCEPTED,  # a response, to nothing that we asked
    "zeromf": ACCEPTED,
    "cparam01": 405,
    "cparam02": 405,
    "regescrt": 405,
    "sdp01": ACCEPTED,
    "inv2543": ACCEPTED,
    # Of the corpus, not of the RFC: no version, no Via, a line without a colon.
    "test": DROPPED,
}


def message(*lines: str, body: bytes = b"", end: str = "\r\n") -> bytes:
    return end.join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def changed(name: str, *rows: str) -> bytes:
    """Return the sample with the row of *name* replaced by *rows*."""
    lines = [line for line in HEAD if not line.startswith(name)]
    return message(*lines[:1], *rows, *lines[1:])


def verdict(octets: bytes) -> str | int:
    try:
        found = parse_message(octets)
    except MalformedMessageError as exc:
        if exc.partial is None:
            return DROPPED
        answer = respond(exc.partial, exc.status, to_tag="ours")
        # It can be written; what it copies may be as odd as it came.
        assert bytes(answer).startswith(b"SIP/2.0 ")
        return answer.status
    refusal = Screen().refusal(found) if isinstance(found, Request) else None
    return refusal.status if refusal else ACCEPTED


class TestTorture:
    @pytest.mark.parametrize("name", sorted(TORTURE))
    def test_every_message_of_rfc_4475_has_its_verdict(
        self, shared: Path, name: str
    ) -> None:
        octets = (shared / "corpus/rfc4475" / f"{name}.dat").read_bytes()

        assert TORTURE[name] == verdict(octets)

    def test_no_message_is_without_a_verdict(self, shared: Path) -> None:
        there = {path.stem for path in (shared / "corpus/rfc4475").glob("*.dat")}

        assert there == set(TORTURE)

    def test_what_is_accepted_is_read_as_the_rfc_means_it(self, shared: Path) -> None:
        def read(name: str) -> Request | Response:
            return parse_message((shared / f"corpus/rfc4475/{name}.dat").read_bytes())

        folded = read("wsinv").headers
        method = read("intmeth")
        escaped = read("esc02")

        assert 'J Rosenberg \\"' == NameAddr.parse(folded.one("from")).display_name
        assert ("98asjd8", "1918181833n") == (
            NameAddr.parse(folded.one("from")).tag,
            NameAddr.parse(folded.one("to")).tag,
        )
        assert 3 == len(folded.values("via"))
        assert isinstance(method, Request)
        assert "!interesting-Method0123456789_*+`.%indeed'~" == method.method
        assert (
            "BEL:\x07 NUL:\x00 DEL:\x7f"
            == NameAddr.parse(method.headers.one("to")).display_name
        )
        # An escape is no letter of a method or of a header's name.
        assert isinstance(escaped, Request)
        assert "RE%47IST%45R" == escaped.method
        assert 2 == len(escaped.headers.all("contact"))
        assert 34 == len(read("longreq").headers.values("via"))


class TestParseMessage:
    def test_a_request_is_read(self) -> None:
        found = parse_message(message(*HEAD, "Content-Length: 5", body=b"hello"))

        assert isinstance(found, Request)
        assert ("INVITE", "sip:srs@192.0.2.1", b"hello") == (
            found.method,
            found.uri,
            found.body,
        )
        assert "1@192.0.2.7" == found.headers.one("call-id")

    def test_a_response_is_read(self) -> None:
        found = parse_message(message("SIP/2.0 481 Call/Transaction  gone ", *HEAD[1:]))

        assert isinstance(found, Response)
        assert (481, "Call/Transaction  gone ") == (found.status, found.reason)

    @pytest.mark.parametrize("end", ["\r\n", "\n"])
    def test_writing_and_reading_are_inverses(self, end: str) -> None:
        for start in (HEAD[0], "SIP/2.0 200 OK", "SIP/2.0 200 "):
            octets = message(start, "l: 3", *HEAD[1:], body=b"\r\n\xff", end=end)

            found = parse_message(octets)

            assert found == parse_message(bytes(found))
            assert bytes(found) == bytes(parse_message(bytes(found)))

    def test_octets_that_are_no_utf_8_come_back_unchanged(self) -> None:
        name = b"Subject: caf\xe9 \xff\xc3\xa9\xe2\x80\xa8\x85"

        found = parse_message(message(*HEAD)[:-2] + name + b"\r\n\r\n")

        assert name in bytes(found)

    def test_a_body_without_a_length_goes_to_the_end(self) -> None:
        assert b"hello" == parse_message(message(*HEAD, body=b"hello")).body

    def test_what_follows_the_length_of_a_datagram_is_dropped(self) -> None:
        octets = message(*HEAD, "Content-Length: 2", body=b"hello")

        assert b"he" == parse_message(octets).body

    def test_empty_lines_before_a_message_are_passed_over(self) -> None:
        assert isinstance(parse_message(b"\r\n\r\n" + message(*HEAD)), Request)

    @pytest.mark.parametrize(
        "octets",
        [
            changed("From", "f: <sip:a@b>;tag=1"),
            changed("CSeq", "CSEQ : 0001", "  INVITE"),
            changed("From", "From: <sip:a@b"),
            changed("Via", "Via: SIP/2.0/UDP my_host1:5060;branch=z9hG4bK1"),
            changed(
                "Via", "v: SIP/2.0/UDP a;branch=1 , SIP/2.0/UDP b", "Via: SIP/2.0/UDP c"
            ),
            changed("Max-Forwards"),
            changed("Max-Forwards", "Max-Forwards: 0255"),
            changed("To", "To: sip:srs@192.0.2.1"),
            message(HEAD[0].replace(" ", "  ") + "  ", *HEAD[1:]),
            message(HEAD[0].replace("SIP", "sip"), *HEAD[1:]),
            message(HEAD[0].replace("sip:srs@192.0.2.1", "tel:1"), *HEAD[1:]),
        ],
    )
    def test_what_the_field_sends_is_accepted(self, octets: bytes) -> None:
        assert ACCEPTED == verdict(octets)

    @pytest.mark.parametrize(
        "octets",
        [
            # B5: what is said twice is never the last, nor the first.
            changed("Call-ID", "Call-ID: a", "i: b"),
            changed("Call-ID", "Call-ID: a", "Call-ID: a"),
            changed("CSeq", "CSeq: 1 INVITE", "CSeq: 2 INVITE"),
            changed("From", "From: <sip:a@b>;tag=1", "f: <sip:a@b>;tag=2"),
            changed("To", "To: <sip:a@b>", "t: <sip:a@c>"),
            changed("Max-Forwards", "Max-Forwards: 1", "Max-Forwards: 2"),
            message(*HEAD, "Content-Length: 0", "l: 0"),
            message(*HEAD, "Content-Length: 0", "Content-", " Length: 5"),
            message(*HEAD, "c: application/sdp", "Content-Type: text/plain"),
            changed("From", "From: <sip:a@b>;tag=1;tag=2"),
            # Numbers.
            changed("CSeq", "CSeq: -1 INVITE"),
            changed("CSeq", "CSeq: 4294967296 INVITE"),
            changed("CSeq", "CSeq: 1 BYE"),
            changed("CSeq", "CSeq: INVITE"),
            changed("Max-Forwards", "Max-Forwards: 256"),
            changed("Max-Forwards", "Max-Forwards: many"),
            message(*HEAD, "Content-Length: 1"),
            message(*HEAD, "Content-Length: -1"),
            message(*HEAD, "Content-Length: 0, 0"),
            # Lines.
            message(*HEAD, "no colon"),
            message(*HEAD, ": no name"),
            message(*HEAD, "two words: x"),
            message(*HEAD, "X: a\rContact: b"),
            message(*HEAD, "X: a", "\r"),
            message(*HEAD)[:-2],
            # Start lines.
            message("INVITE sip:a@b", *HEAD[1:]),
            message("INVITE sip:a b SIP/2.0", *HEAD[1:]),
            message("INVITE <sip:a@b> SIP/2.0", *HEAD[1:]),
            message("INV/ITE sip:a@b SIP/2.0", *HEAD[1:]),
            message("INVITE sip:a@b HTTP/1.1", *HEAD[1:]),
            message("INVITE\tsip:a@b\tSIP/2.0", *HEAD[1:]),
            message("hello", *HEAD[1:]),
            # Addresses.
            changed("To", 'To: "never ends <sip:a@b>'),
            changed("From", "From: nobody"),
            changed("Via", "Via: SIP/2.0/UDP a;branch=1, ,SIP/2.0/UDP b"),
        ],
    )
    def test_what_could_be_read_in_two_ways_is_refused_with_400(
        self, octets: bytes
    ) -> None:
        assert 400 == verdict(octets)

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b"\r\n\r\n",
            b"\x00" * 40,
            *[changed(name) for name in ("Via", "From", "To", "Call-ID", "CSeq")],
            changed("Via", "Via: nonsense"),
            changed("Call-ID", "Call-ID:"),
            message("SIP/2.0 99 Low", *HEAD[1:]),
            message("SIP/2.0 700 High", *HEAD[1:]),
            message("SIP/2.0 2000 OK", *HEAD[1:]),
            message("SIP/3.0 200 OK", *HEAD[1:]),
            message("SIP/2.0", *HEAD[1:]),
            message("SIP/2.0 200 OK", *HEAD[1:], "Content-Length: 9"),
            message(*HEAD, "X: " + "x" * 65_536),
            b"A" * 70_000,
        ],
    )
    def test_what_nobody_could_be_answered_about_is_dropped(
        self, octets: bytes
    ) -> None:
        assert DROPPED == verdict(octets)

    @pytest.mark.parametrize(
        ("octets", "status"),
        [
            (message(HEAD[0].replace("2.0", "3.1"), *HEAD[1:]), 505),
            (message(*HEAD, *["X: y"] * MAX_HEADERS), 513),
            (message(*HEAD, body=bytes(1_048_577)), 513),
            (changed("Via", *["Via: SIP/2.0/UDP a"] * 257), 513),
            (changed("Via", "Via: SIP/2.0/UDP a" + ",SIP/2.0/UDP a" * 256), 513),
            (message(*HEAD, "Record-Route: <sip:a>" + ",<sip:a>" * 256), 513),
            (changed("Via", *["Via: SIP/2.0/UDP a"] * 256), ACCEPTED),
        ],
    )
    def test_a_better_status_than_400_is_named(
        self, octets: bytes, status: int
    ) -> None:
        assert status == verdict(octets)

    def test_a_refusal_says_each_thing_once(self) -> None:
        octets = changed("Call-ID", "Call-ID: a", "Call-ID: b")
        with pytest.raises(MalformedMessageError) as caught:
            parse_message(octets)

        assert caught.value.partial is not None
        answer = respond(caught.value.partial, caught.value.status)

        assert "a" == answer.headers.one("call-id")
        assert b"" == answer.body

    def test_no_value_is_in_an_error_or_shown(self) -> None:
        with pytest.raises(MalformedSignallingError) as caught:
            parse_message(changed("From", "From: secret"))
        shown = repr(parse_message(message(*HEAD, body=b"secret")))

        assert "secret" not in f"{caught.value!r} {caught.value.args} {shown}"
        assert "192.0.2" not in shown


class TestWriting:
    def test_the_length_is_the_bodys_and_is_said_once(self) -> None:
        request = Request(
            method="BYE",
            uri="sip:a@b",
            headers=Headers([("l", "7"), ("To", "x"), ("Content-Length", "8")]),
            body=b"abc",
        )

        assert b"BYE sip:a@b SIP/2.0\r\nContent-Length: 3\r\nTo: x\r\n\r\nabc" == bytes(
            request
        )

    def test_a_response_without_a_body_says_so(self) -> None:
        assert b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n" == bytes(
            Response(status=200, reason="OK")
        )

    @pytest.mark.parametrize(
        "bad",
        [
            Request(method="BYE\r\n", uri="sip:a"),
            Request(method="", uri="sip:a"),
            Request(method="BYE", uri="sip:a b"),
            Request(method="BYE", uri="sip:a\r\nTo: b"),
            Response(status=99),
            Response(status=700),
            Response(status=200, reason="OK\r\nTo: b"),
            Response(status=200, reason="lone \ud800"),
        ],
    )
    def test_what_would_end_its_line_is_not_written(
        self, bad: Request | Response
    ) -> None:
        with pytest.raises(ValueError, match=r"."):
            bytes(bad)


class TestRespond:
    def test_what_ties_an_answer_to_its_request_is_copied_in_order(self) -> None:
        request = parse_message(
            changed(
                "Via",
                "v: SIP/2.0/UDP a;branch=1",
                "Timestamp: 54",
                "Via: SIP/2.0/UDP b, SIP/2.0/UDP c",
            )
        )
        assert isinstance(request, Request)

        answer = respond(
            request,
            200,
            to_tag="ours",
            headers=[("Allow", "BYE")],
            body=b"v=0",
            content_type="application/sdp",
        )

        assert [
            ("Via", "SIP/2.0/UDP a;branch=1"),
            ("Timestamp", "54"),
            ("Via", "SIP/2.0/UDP b, SIP/2.0/UDP c"),
            ("From", "<sip:src@192.0.2.7>;tag=a"),
            ("Call-ID", "1@192.0.2.7"),
            ("CSeq", "1 INVITE"),
            ("To", "<sip:srs@192.0.2.1>;tag=ours"),
            ("Allow", "BYE"),
            ("Content-Type", "application/sdp"),
        ] == list(answer.headers)
        assert (200, "OK", b"v=0") == (answer.status, answer.reason, answer.body)
        assert answer == parse_message(
            bytes(answer).replace(b"Content-Length: 3\r\n", b"")
        )

    @pytest.mark.parametrize(
        ("to", "expected"),
        [
            ("<sip:a@b>;tag=theirs", "<sip:a@b>;tag=theirs"),
            ("sip:a@b", "<sip:a@b>;tag=ours"),
            ("sip:a@b;x=1", "<sip:a@b>;x=1;tag=ours"),
            ('"A, \\"B\\"" <sip:a@b', '"A, \\"B\\"" <sip:a@b>;tag=ours'),
        ],
    )
    def test_a_tag_is_put_where_none_is(self, to: str, expected: str) -> None:
        request = parse_message(changed("To", f"To: {to}"))
        assert isinstance(request, Request)

        assert expected == respond(request, 200, to_tag="ours").headers.one("to")

    def test_a_reason_may_be_given_and_every_status_has_one(self) -> None:
        request = Request(method="BYE", uri="sip:a@b")

        assert "Draining" == respond(request, 503, "Draining").reason
        assert all(respond(request, status).reason for status in range(100, 700))

    def test_nothing_can_be_injected(self) -> None:
        request = Request(method="BYE", uri="sip:a@b")

        with pytest.raises(ValueError, match="line"):
            respond(request, 200, headers=[("Warning", "x\r\nContact: <sip:evil>")])
        with pytest.raises(ValueError, match="line"):
            respond(request, 200, content_type="text/plain\r\n")
