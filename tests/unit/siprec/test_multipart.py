from pathlib import Path

import pytest

from vault.core.errors import MalformedSignallingError
from vault.sip.sdp import SessionDescription
from vault.siprec.multipart import MAX_DEPTH, MAX_PARTS, Part, split

SDP = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n"
XML = (
    b'<?xml version="1.0"?>\r\n<recording xmlns="urn:ietf:params:xml:ns:recording:1"/>'
)
MIXED = "multipart/mixed;boundary=b"
# Parts of each vendor's body: their type, and how they begin and end.
VENDORS = {
    "acme-siprec-offer": ("application/sdp", "application/rs-metadata+xml"),
    "audiocodes-legacy": ("application/sdp", "application/rs-metadata"),
    "broadworks-offer": ("application/ +xml", "application/sdp"),
    "broadworks-offer-2": ("application/sdp", "application/rs-metadata+xml"),
    "cisco-siprec-offer": (
        "application/sdp",
        "application/rs-metadata+xml",
        "application/gtd",
    ),
    "connectel-offer": ("application/sdp", "application/rs-metadata+xml"),
    "connectel-offer2": ("application/sdp", "application/rs-metadata+xml"),
    "connectel-offer3": ("application/sdp", "application/rs-metadata+xml"),
    "inactive-sdp-offer": ("application/sdp", "application/rs-metadata+xml"),
    "jambonz": ("application/sdp", "application/rs-metadata+xml"),
    "procomm-siprec-offer": ("application/sdp", "application/rs-metadata"),
    "sonus-siprec-offer": ("application/sdp", "application/rs-metadata+xml"),
    "non-siprec-payload": None,
    "sample-sdp2": None,
    "sample-sdp3": None,
    "sample-sdps": None,
}


def part(octets: bytes, *headers: str) -> bytes:
    return "".join(f"{line}\r\n" for line in headers).encode() + b"\r\n" + octets


def mixed(*parts: bytes, boundary: str = "b", close: bool = True) -> bytes:
    line = f"--{boundary}".encode()
    body = b"".join(line + b"\r\n" + one + b"\r\n" for one in parts)
    return body + (line + b"--\r\n" if close else b"")


OFFER = part(SDP, "Content-Type: application/sdp")
METADATA = part(
    XML,
    "Content-Type: application/rs-metadata+xml",
    "Content-Disposition: recording-session",
)


def octets_of(parts: tuple[Part, ...]) -> list[bytes]:
    return [one.octets for one in parts]


class TestVendors:
    @pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
    @pytest.mark.parametrize("name", sorted(VENDORS))
    def test_every_body_of_the_corpus_is_split(
        self, shared: Path, name: str, ending: bytes
    ) -> None:
        body = (shared / "corpus/siprec-bodies" / f"{name}.txt").read_bytes()
        body = body.replace(b"\r\n", b"\n").replace(b"\n", ending)
        expected = VENDORS[name]
        if expected is None:
            assert (body,) == tuple(octets_of(split("application/sdp", body)))
            return

        found = split("multipart/mixed", body)

        assert expected == tuple(one.content_type for one in found)
        assert [1, 1] == [
            sum(one.is_sdp for one in found),
            sum(one.is_metadata for one in found),
        ]
        assert all(one.octets in body for one in found)
        for one in found:
            if one.is_sdp:
                assert SessionDescription.parse(one.octets.decode()).media
            if one.is_metadata:
                assert one.octets.strip().startswith(b"<")
                assert one.octets.strip().endswith(b">")

    def test_no_body_is_left_out(self, shared: Path) -> None:
        there = {path.stem for path in (shared / "corpus/siprec-bodies").glob("*.txt")}

        assert there == set(VENDORS)

    def test_a_binary_part_comes_out_octet_for_octet(self, shared: Path) -> None:
        octets = (shared / "corpus/rfc4475/mpart01.dat").read_bytes()
        body = octets.partition(b"\r\n\r\n")[2]

        text, blob = split("multipart/mixed;boundary=7a9cbec02ceef655", body)

        assert b"Hello" == text.octets
        assert b"\r\n\r\n" + blob.octets + b"\r\n--7a9" in body
        assert "binary" == blob.headers.get("content-transfer-encoding")


class TestSplit:
    @pytest.mark.parametrize(
        "content_type",
        [
            "multipart/mixed;boundary=b",
            "multipart/mixed; boundary=b",
            'multipart/mixed; boundary="b"',
            "Multipart/Mixed ; charset=utf-8; BOUNDARY = b ;",
            "multipart/related;boundary=b",
            # The announced boundary is absent, or another one: the one in use is read.
            "multipart/mixed",
            "multipart/mixed;boundary=",
            "multipart/mixed;boundary=other",
            'multipart/mixed;boundary="never ends',
        ],
    )
    def test_every_spelling_of_a_boundary_is_understood(
        self, content_type: str
    ) -> None:
        found = split(content_type, mixed(OFFER, METADATA))

        assert [SDP, XML] == octets_of(found)
        assert [True, False] == [one.is_sdp for one in found]
        assert [False, True] == [one.is_metadata for one in found]

    @pytest.mark.parametrize(
        "boundary", ["a b", "a'()+_,-./:=?", "x" * 71, "--x", "=_" + "y" * 68]
    )
    def test_boundaries_may_hold_what_needs_quotes(self, boundary: str) -> None:
        body = mixed(OFFER, METADATA, boundary=boundary)

        assert [SDP, XML] == octets_of(
            split(f'multipart/mixed;boundary="{boundary}"', body)
        )

    @pytest.mark.parametrize(
        "body",
        [
            mixed(OFFER, METADATA),
            mixed(OFFER, METADATA, close=False).removesuffix(b"\r\n"),
            mixed(OFFER, METADATA).replace(b"\r\n--b--\r\n", b"--b--\r\n"),
            b"\r\n" + mixed(OFFER, METADATA),
            b"preamble\r\nof lines\r\n" + mixed(OFFER, METADATA) + b"epilogue --b\r\n",
            mixed(OFFER, METADATA).replace(b"--b--\r\n", b"--b-- "),
            mixed(OFFER, METADATA).replace(b"--b\r\n", b"--b \t\r\n"),
            mixed(OFFER, METADATA).replace(b"--b\r\n", b"--b\n"),
            mixed(OFFER, METADATA).replace(b"Content-Type: ", b"content-type:"),
            mixed(OFFER, METADATA).replace(b"Content-Type: ", b"c :\r\n  "),
            mixed(OFFER, METADATA).replace(b"sdp\r\n", b"SDP;charset=utf-8\r\n"),
            mixed(OFFER, METADATA).replace(b"sdp\r\n", b"sdp\r\nContent-Length: 3\r\n"),
            # The empty line between headers and content was forgotten.
            mixed(OFFER, METADATA).replace(b"sdp\r\n\r\n", b"sdp\r\n"),
            mixed(OFFER, METADATA).replace(b"session\r\n\r\n", b"session\r\n"),
            mixed(OFFER, METADATA).replace(b"session\r\n\r\n", b"session\r\n \r\n"),
        ],
    )
    def test_what_the_field_gets_wrong_is_read_as_it_was_meant(
        self, body: bytes
    ) -> None:
        found = split(MIXED, body)

        assert [SDP, XML] == octets_of(found)
        assert [True, True] == [found[0].is_sdp, found[1].is_metadata]

    @pytest.mark.parametrize(
        "headers",
        [
            ("Content-Type: application/rs-metadata",),
            ("Content-Type: Application/RS-Metadata+XML; charset=utf-8",),
            (
                "Content-Type: application/ +xml",
                "Content-Disposition:Recording-Session",
            ),
            ("Content-Disposition: recording-session;handling=optional",),
            ("Content-Type: text/xml", "Content-Disposition: recording-session"),
        ],
    )
    def test_metadata_is_found_by_type_or_disposition(
        self, headers: tuple[str, ...]
    ) -> None:
        assert split(MIXED, mixed(OFFER, part(XML, *headers)))[1].is_metadata

    def test_an_offer_without_headers_is_found_by_its_first_line(self) -> None:
        found = split(MIXED, mixed(part(SDP), part(b"junk")))

        assert [(True, False), (False, False)] == [
            (one.is_sdp, one.is_metadata) for one in found
        ]

    @pytest.mark.parametrize(
        "content_type", ["application/sdp", "Application/SDP ;x=y", ""]
    )
    def test_a_body_that_is_no_multipart_is_one_part(self, content_type: str) -> None:
        (found,) = split(content_type, SDP)

        assert (SDP, True, False) == (found.octets, found.is_sdp, found.is_metadata)

    def test_a_line_that_only_begins_like_the_boundary_divides_nothing(self) -> None:
        content = b"--bb\r\n --b\r\nx--b\r\n--b--x\r\n--B"

        assert [content] == octets_of(split(MIXED, mixed(part(content))))

    def test_line_ends_of_a_part_are_its_own_but_for_the_last(self) -> None:
        content = b"\n\r\n a\r\rb\n\n\r\n"

        assert [content] == octets_of(split(MIXED, mixed(part(content, "A: b"))))

    def test_empty_parts_are_parts(self) -> None:
        assert [b"", b""] == octets_of(split(MIXED, b"--b\r\n\r\n--b\r\n--b--"))

    def test_nested_ones_are_laid_flat_in_order(self) -> None:
        inner = part(
            mixed(METADATA, part(b"x"), boundary="c"), "c: multipart/mixed;boundary=c"
        )

        assert [SDP, XML, b"x", b"y"] == octets_of(
            split(MIXED, mixed(OFFER, inner, part(b"y")))
        )

    @pytest.mark.parametrize("content_type", [MIXED, "multipart/mixed"])
    @pytest.mark.parametrize(
        "body", [b"", b"v=0\r\n", b"x --b", b"--\r\n", b"--" + b"x" * 300 + b"\r\n"]
    )
    def test_a_multipart_without_its_boundary_is_refused(
        self, content_type: str, body: bytes
    ) -> None:
        with pytest.raises(MalformedSignallingError):
            split(content_type, body)

    def test_no_content_is_shown(self) -> None:
        assert "192.0.2" not in repr(split(MIXED, mixed(OFFER)))


class TestCaps:
    def test_as_many_parts_as_the_cap_and_no_more(self) -> None:
        assert MAX_PARTS == len(split(MIXED, mixed(*[OFFER] * MAX_PARTS)))
        for count in (MAX_PARTS + 1, 10_000):
            with pytest.raises(MalformedSignallingError, match="parts"):
                split(MIXED, mixed(*[part(b"x")] * count))

    def test_many_nested_ones_count_together(self) -> None:
        inner = part(
            mixed(*[part(b"x")] * 40, boundary="c"), "c: multipart/x;boundary=c"
        )

        with pytest.raises(MalformedSignallingError, match="parts"):
            split(MIXED, mixed(inner, inner))

    @pytest.mark.parametrize("depth", [MAX_DEPTH, 1_000])
    def test_too_deep_ones_are_refused(self, depth: int) -> None:
        body = OFFER
        for level in range(depth):
            body = part(
                mixed(body, boundary=f"b{level}"),
                f"Content-Type: multipart/mixed;boundary=b{level}",
            )

        with pytest.raises(MalformedSignallingError, match="deeper"):
            split(
                f"multipart/mixed;boundary=b{depth}", mixed(body, boundary=f"b{depth}")
            )

    @pytest.mark.parametrize(
        "body",
        [
            b"--b\r\n" + b"\r\n--bx" * 160_000,
            b"--b\r\n" + b"--b" * 300_000,
            b"--b\r\n" + b"A:b\r\n" * 150_000,
            b"--b\r\n" + b"A" * 1_000_000,
            b"--b\r\n" + b" \r\n" * 300_000,
            b"--b" + b" " * 1_000_000,
            b"\r\n" * 500_000,
            b"-" * 1_000_000,
        ],
    )
    def test_a_megabyte_made_to_be_searched_again_and_again_is_searched_once(
        self, body: bytes
    ) -> None:
        """Quadratic, each would look at 10**11 octets and meet the time limit."""
        try:
            found = split(MIXED, body)
        except MalformedSignallingError:
            found = ()

        assert len(found) <= 1
