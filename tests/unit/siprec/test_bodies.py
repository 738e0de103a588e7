import pytest

from vault.core.errors import MalformedSignallingError, UnsupportedOfferError
from vault.sip.messages import Headers, Request
from vault.siprec.answers import UnreadableBodyError
from vault.siprec.bodies import read_bodies
from vault.siprec.simulated_bodies import multipart

SDP = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 9 RTP/SAVP 0\r\na=label:96\r\nm=audio 9 RTP/SAVP 0\r\n"
)
METADATA = b"<recording/>"


def request(body: bytes, content_type: str = "") -> Request:
    rows = (("Content-Type", content_type),) if content_type else ()
    return Request(method="INVITE", uri="sip:x", headers=Headers(rows), body=body)


def parts(*kinds: tuple[str, bytes]) -> Request:
    body = b"".join(
        b"--b\r\nContent-Type: " + kind.encode() + b"\r\n\r\n" + octets + b"\r\n"
        for kind, octets in kinds
    )
    return request(body + b"--b--\r\n", "multipart/mixed;boundary=b")


def test_an_offer_and_its_metadata_come_out_as_they_went_in() -> None:
    bodies = read_bodies(request(*multipart(SDP, METADATA)))

    assert (SDP.strip(), METADATA) == (bodies.offer.strip(), bodies.metadata)


def test_a_section_without_label_is_named_by_its_place() -> None:
    bodies = read_bodies(request(SDP.encode(), "application/sdp"))

    assert ("96", "2") == bodies.labels


def test_nothing_says_nothing() -> None:
    assert read_bodies(request(b"\r\n")).says_nothing


@pytest.mark.parametrize(
    "kind", ["application/dtmf-relay", "application/dtmf", "audio/telephone-event"]
)
def test_a_digit_is_no_fault_and_says_nothing(kind: str) -> None:
    assert read_bodies(request(b"Signal=1", kind)).says_nothing


def test_what_a_gateway_adds_beside_the_offer_is_passed_over() -> None:
    bodies = read_bodies(
        parts(
            ("application/sdp", SDP.encode()),
            ("application/gtd", b"IAM,\r\nGCI,1"),
            ("application/qsig", b"\x00\x01"),
        )
    )

    assert b"IAM,\r\nGCI,1" == bodies.gtd
    assert ("application/qsig",) == bodies.strange


def test_a_body_of_nothing_that_is_read_is_refused() -> None:
    with pytest.raises(UnreadableBodyError):
        read_bodies(request(b"hello", "text/plain"))


def test_two_offers_are_two_opinions() -> None:
    twice = parts(("application/sdp", SDP.encode()), ("application/sdp", SDP.encode()))

    with pytest.raises(MalformedSignallingError, match="2 offers"):
        read_bodies(twice)


def test_an_offer_of_no_media_is_refused() -> None:
    with pytest.raises(UnsupportedOfferError):
        read_bodies(request(SDP.partition("m=")[0].encode(), "application/sdp"))


def test_a_name_that_is_no_utf_8_costs_no_call() -> None:
    named = SDP.replace("s=-", "s=Bl\u00fccher").encode("latin-1")

    assert "Bl\u00fccher" in read_bodies(request(named, "application/sdp")).offer
