"""Parsers of signalling against whatever a network may bring."""

import contextlib
import random
import string
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulators.malformed import every_malformed, malformed, sound
from vault.core.errors import MalformedSignallingError
from vault.sip.framing import Framer, Ping
from vault.sip.headers import CSeq, NameAddr, Via
from vault.sip.messages import (
    Headers,
    MalformedMessageError,
    Request,
    Response,
    parse_message,
    respond,
)
from vault.sip.uris import Parameters, SipUri, split_list
from vault.siprec.multipart import MAX_PARTS, split

TOKENS = st.text(
    string.ascii_letters + string.digits + "-.!%*_+`'~", min_size=1, max_size=12
)
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\r\n"), max_size=40
)
PARAMETERS = st.dictionaries(TOKENS.map(str.lower), st.none() | TOKENS, max_size=4).map(
    lambda pairs: Parameters(pairs.items())
)
HOSTS = st.from_regex(
    r"[a-z0-9_]{1,8}(\.[a-z0-9-]{1,8}){0,3}", fullmatch=True
) | st.ip_addresses().map(str)
PORTS = st.none() | st.integers(0, 65_535)
USERS = st.from_regex(r"[A-Za-z0-9+._%;=/&$,?-]{0,12}", fullmatch=True)
URIS = st.builds(
    SipUri,
    scheme=st.sampled_from(["sip", "sips"]),
    user=USERS,
    password=st.from_regex(r"[a-z0-9]{0,5}", fullmatch=True),
    host=HOSTS,
    port=PORTS,
    parameters=PARAMETERS,
    headers=st.from_regex(r"([a-z]=[a-z%0-9]{1,5})?", fullmatch=True),
)
VIAS = st.builds(
    Via,
    transport=st.sampled_from(["UDP", "TCP", "TLS", "X-Y"]),
    host=HOSTS,
    port=PORTS,
    parameters=PARAMETERS,
)
ADDRESSES = st.builds(
    NameAddr,
    display_name=TEXT.map(lambda text: text.strip(" \t")),
    uri=URIS.map(str),
    parameters=PARAMETERS,
)
CSEQS = st.builds(CSeq, number=st.integers(0, 2**32 - 1), method=TOKENS)
EXTRA = st.lists(st.tuples(TOKENS.map(lambda name: f"X-{name}"), TEXT), max_size=4)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    cseq = draw(CSEQS)
    body = draw(st.binary(max_size=60))
    rows = [
        *[("Via", str(draw(VIAS))) for _ in range(draw(st.integers(1, 3)))],
        ("From", str(draw(ADDRESSES))),
        ("To", str(draw(ADDRESSES))),
        ("Call-ID", draw(TOKENS)),
        ("CSeq", str(cseq)),
        ("Content-Length", str(len(body))),
        *draw(EXTRA),
    ]
    return Request(
        method=cseq.method,
        uri=str(draw(URIS)),
        headers=Headers(draw(st.permutations(rows))),
        body=body,
    )


class TestRoundTrips:
    @given(URIS)
    def test_a_uri_is_read_as_it_was_written(self, uri: SipUri) -> None:
        assert SipUri.parse(str(uri)) == uri

    @given(VIAS)
    def test_a_via_is_read_as_it_was_written(self, via: Via) -> None:
        assert Via.parse(str(via)) == via

    @given(ADDRESSES)
    def test_an_address_is_read_as_it_was_written(self, address: NameAddr) -> None:
        assert NameAddr.parse(str(address)) == address

    @given(CSEQS)
    def test_a_cseq_is_read_as_it_was_written(self, cseq: CSeq) -> None:
        assert CSeq.parse(str(cseq)) == cseq

    @given(st.lists(ADDRESSES.map(str), min_size=1, max_size=4))
    def test_a_list_is_split_where_it_was_joined(self, addresses: list[str]) -> None:
        assert split_list(", ".join(addresses)) == addresses

    @given(requests())
    def test_a_request_is_read_as_it_was_written(self, request: Request) -> None:
        assert parse_message(bytes(request)) == request

    @given(requests(), st.integers(100, 699), TEXT, st.binary(max_size=40))
    def test_a_response_is_read_as_it_was_written(
        self, request: Request, status: int, reason: str, body: bytes
    ) -> None:
        answer = respond(request, status, reason, body=body, to_tag="ours")
        whole = Response(
            status=answer.status,
            reason=answer.reason,
            headers=answer.headers.with_("Content-Length", str(len(body))),
            body=body,
        )

        assert parse_message(bytes(answer)) == whole

    @settings(max_examples=30)
    @given(
        st.lists(requests().map(bytes) | st.just(b"\r\n\r\n"), min_size=1, max_size=5),
        st.randoms(),
    )
    def test_a_stream_is_cut_where_it_was_joined(
        self, pieces: list[bytes], chance: random.Random
    ) -> None:
        framer, stream, found = Framer(), b"".join(pieces), []
        while stream:
            size = chance.randint(1, 200)
            found += framer.feed(stream[:size])
            stream = stream[size:]

        assert [one for one in found if not isinstance(one, Ping)] == [
            piece for piece in pieces if piece.strip()
        ]
        assert not framer.waiting

    @given(st.lists(st.binary(max_size=60), min_size=1, max_size=8))
    def test_parts_are_split_where_they_were_joined(
        self, contents: list[bytes]
    ) -> None:
        boundary = b"=_unlikely"
        body = b"".join(
            b"--" + boundary + b"\r\nA: b\r\n\r\n" + content + b"\r\n"
            for content in contents
        )

        found = split(
            'multipart/mixed;boundary="=_unlikely"', body + b"--" + boundary + b"--"
        )

        assert [part.octets for part in found] == contents


class TestHostileText:
    @given(st.text(max_size=80))
    def test_every_parser_of_values_refuses_or_reads_again_what_it_writes(
        self, text: str
    ) -> None:
        for kind in (SipUri, Via, NameAddr, CSeq, Parameters):
            with contextlib.suppress(MalformedSignallingError):
                found = kind.parse(text)
                assert kind.parse(str(found)) == found

    @given(st.text('<>;,:"\\@[]= \tsip*1%', max_size=40).map("sip:{}".format))
    def test_so_they_do_with_nothing_but_marks(self, text: str) -> None:
        for kind in (SipUri, NameAddr, Parameters):
            with contextlib.suppress(MalformedSignallingError):
                found = kind.parse(text)
                assert kind.parse(str(found)) == found

    @given(st.binary(max_size=200))
    def test_octets_are_a_message_or_malformed(self, octets: bytes) -> None:
        with contextlib.suppress(MalformedSignallingError):
            parse_message(octets)

    @given(
        st.text(st.characters(exclude_characters="\r\n"), max_size=40),
        st.binary(max_size=200),
    )
    def test_octets_are_parts_or_malformed(
        self, content_type: str, octets: bytes
    ) -> None:
        for one in (content_type, "multipart/mixed", "multipart/mixed;boundary=b"):
            with contextlib.suppress(MalformedSignallingError):
                assert len(split(one, octets)) <= MAX_PARTS

    @given(st.lists(st.binary(max_size=40), max_size=8))
    def test_octets_are_framed_or_malformed(self, pieces: list[bytes]) -> None:
        framer = Framer(max_head_bytes=64, max_body_bytes=16)
        with contextlib.suppress(MalformedSignallingError):
            for piece in pieces:
                framer.feed(piece)


class TestProtos:
    """B2: ten thousand malformed INVITEs, each with a verdict."""

    def test_nothing_but_a_verdict_comes_of_any(self) -> None:
        verdicts: Counter[str] = Counter()
        for number, octets in enumerate(every_malformed(10_000)):
            try:
                found = parse_message(octets)
            except MalformedMessageError as exc:
                verdicts["dropped" if exc.partial is None else str(exc.status)] += 1
                if exc.partial is not None:
                    bytes(respond(exc.partial, exc.status, to_tag="ours"))
                continue
            except Exception as exc:
                exc.add_note(f"malformed({number})")
                raise
            verdicts["accepted"] += 1
            assert parse_message(bytes(found)) == parse_message(
                bytes(parse_message(bytes(found)))
            )
            with contextlib.suppress(MalformedSignallingError):
                split(found.headers.get("content-type") or "", found.body)

        # Neither is everything refused for one reason, nor is anything let through.
        assert all(verdicts[one] > 100 for one in ("accepted", "dropped", "400", "513"))

    def test_a_stream_of_any_is_cut_or_given_up(self) -> None:
        for octets in every_malformed(2_000):
            framer = Framer()
            with contextlib.suppress(MalformedSignallingError):
                for one in framer.feed(octets + sound()):
                    with contextlib.suppress(MalformedSignallingError):
                        parse_message(one if isinstance(one, bytes) else b"")

    def test_they_can_be_made_again(self) -> None:
        assert malformed(7) == malformed(7)
        assert isinstance(parse_message(sound(3)), Request)

    @given(st.integers(10_000, 2**63))
    @settings(max_examples=200)
    def test_nor_of_any_other(self, number: int) -> None:
        with contextlib.suppress(MalformedSignallingError):
            parse_message(malformed(number))


class TestCost:
    """What is linear here takes milliseconds; quadratic, it meets the time limit."""

    def test_a_hundred_thousand_vias_are_refused(self) -> None:
        octets = sound().replace(
            b"Max-Forwards", b"Via: x\r\n" * 100_000 + b"Max-Forwards"
        )

        for _ in range(100):
            with contextlib.suppress(MalformedMessageError):
                parse_message(octets)
            with contextlib.suppress(MalformedSignallingError):
                Framer().feed(octets)

    def test_the_largest_head_of_each_mark_is_read_once(self) -> None:
        for mark in (
            "<",
            '"',
            '"\\',
            "\\",
            ";",
            ",",
            ";a=",
            " ",
            "\t",
            "=",
            "0",
            "a,",
            "\r\n ",
            "\x00",
        ):
            filler = mark.encode() * (60_000 // len(mark))
            for name in (
                b"Via: ",
                b"Contact: <",
                b'From: "',
                b"To: sip:a;",
                b"CSeq: ",
                b"Content-Length: ",
                b"INVITE ",
            ):
                octets = sound().replace(name.rstrip(b' <"'), name + filler, 1)
                with contextlib.suppress(MalformedSignallingError):
                    headers = parse_message(octets).headers
                    assert headers.values("via")
                for kind in (Via, NameAddr, SipUri, CSeq, Parameters):
                    with contextlib.suppress(MalformedSignallingError):
                        kind.parse(f"sip:{mark * 60_000}")
                        kind.parse(f"SIP/2.0/UDP {mark * 60_000}")
                split_list(f",{mark * 60_000}")
