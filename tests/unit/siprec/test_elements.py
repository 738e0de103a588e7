"""XML as an attack: refused, and early (B12)."""

import pytest

from vault.core.errors import MalformedSignallingError
from vault.siprec.elements import MAX_DEPTH, MAX_OCTETS, read_elements


def flaw_of(octets: bytes) -> str:
    with pytest.raises(MalformedSignallingError) as caught:
        read_elements(octets)
    return str(caught.value)


def bomb() -> bytes:
    """Return a document that is worth 10^10 characters."""
    names = [b"a%d" % number for number in range(10)]
    entities = [b'<!ENTITY a0 "aaaaaaaaaa">']
    entities += [
        b'<!ENTITY %s "%s">' % (name, b"&%s;" % names[place] * 10)
        for place, name in enumerate(names[1:])
    ]
    return b"<!DOCTYPE r [%s]><recording>&a9;</recording>" % b"".join(entities)


WITH_A_DTD = {
    "billion-laughs": bomb(),
    "quadratic": b'<!DOCTYPE r [<!ENTITY a "%s">]><recording>%s</recording>'
    % (b"x" * 50_000, b"&a;" * 50_000),
    "file": b'<!DOCTYPE r [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
    b"<recording>&a;</recording>",
    "http": b'<!DOCTYPE r [<!ENTITY a SYSTEM "http://192.0.2.1/">]>'
    b"<recording>&a;</recording>",
    "external": b'<!DOCTYPE r SYSTEM "http://192.0.2.1/r.dtd"><recording/>',
    "public": b'<!DOCTYPE r PUBLIC "-//a//b" "http://192.0.2.1/r.dtd"><recording/>',
    "parameter": b'<!DOCTYPE r [<!ENTITY % a SYSTEM "http://192.0.2.1/"> %a;]>'
    b"<recording/>",
    "harmless": b"<!DOCTYPE recording><recording/>",
}
"""Every document with a document type; the quadratic one is within the size limit only
without its references."""


class TestDocumentTypes:
    @pytest.mark.parametrize("name", sorted(WITH_A_DTD))
    def test_every_document_type_is_refused(self, name: str) -> None:
        octets = WITH_A_DTD[name][:MAX_OCTETS]

        assert flaw_of(octets) == "XML with a DTD or entities"

    def test_an_entity_that_nobody_declared_is_refused(self) -> None:
        assert flaw_of(b"<r>&a;</r>") == "not well-formed XML"

    def test_what_includes_a_file_is_an_element_like_any_other(self) -> None:
        root, _ = read_elements(
            b'<r xmlns:xi="http://www.w3.org/2001/XInclude">'
            b'<xi:include href="file:///etc/passwd" parse="text"/></r>'
        )

        assert [("include", "")] == [(each.name, each.text) for each in root.children]

    def test_processing_instructions_do_nothing(self) -> None:
        root, _ = read_elements(
            b'<?xml-stylesheet href="http://192.0.2.1/"?><r><?php x?></r>'
        )

        assert ([], "") == (root.children, root.text)


class TestCaps:
    @pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1_000, 60_000])
    def test_nesting_is_refused_where_it_gets_too_deep(self, depth: int) -> None:
        assert flaw_of(b"<a>" * depth) == f"XML deeper than {MAX_DEPTH} elements"

    def test_what_is_just_deep_enough_is_read(self) -> None:
        root, _ = read_elements(b"<a>" * MAX_DEPTH + b"</a>" * MAX_DEPTH)

        depth, node = 1, root
        while node.children:
            depth, node = depth + 1, node.children[0]
        assert depth == MAX_DEPTH

    @pytest.mark.parametrize("octets", [b"<a>" * 200_000, b"<a>" + b"x" * 10_000_000])
    def test_what_is_too_long_is_not_even_parsed(self, octets: bytes) -> None:
        assert flaw_of(octets) == f"XML of {len(octets)} octets is too long"

    @pytest.mark.parametrize(
        "octets",
        [
            b"<r>" + b"<a/>" * 60_000 + b"</r>",
            b"<r>" + b"<a><b/></a>" * 20_000 + b"</r>",
            b"<r " + b" ".join(b'a%d=""' % number for number in range(20_000)) + b"/>",
        ],
        ids=["siblings", "pairs", "attributes"],
    )
    def test_too_many_are_refused(self, octets: bytes) -> None:
        assert flaw_of(octets) == "XML with too many elements or attributes"

    @pytest.mark.parametrize(
        "octets",
        [
            b"",
            b" \r\n\t",
            b"<",
            b"<r>",
            b"<r></s>",
            b"<r/><r/>",
            b"<r a=1/>",
            b'<r a="1" a="2"/>',
            b"<p:r/>",
            b"text",
            b"<r>\x01</r>",
            b"<r a='" + b"x" * 200_000,
            b"<!--" + b"x" * 200_000,
        ],
    )
    def test_what_is_not_well_formed_is_refused_without_repeating_it(
        self, octets: bytes
    ) -> None:
        assert flaw_of(octets) == "not well-formed XML"


class TestEncodings:
    @pytest.mark.parametrize(
        "octets",
        [
            "<r/>".encode("utf-16"),
            "<r/>".encode("utf-16-be"),
            "<r/>".encode("utf-32"),
            b"\xff\xfe<r/>",
            b'<?xml version="1.0" encoding="UTF-16"?><r/>',
            b'<?xml version="1.0" encoding="utf-7"?><r>+ADw-a+AD4-</r>',
            b"<?xml version='1.0' encoding='cp037'?><r/>",
            b"<?xml version='1.0' encoding='zlib'?><r/>",
        ],
    )
    def test_an_encoding_that_hides_things_is_refused(self, octets: bytes) -> None:
        assert flaw_of(octets) == "XML that is neither UTF-8 nor Latin-1"

    @pytest.mark.parametrize(
        ("octets", "remarks"),
        [
            ("<r>Zoë</r>".encode(), ()),
            (b"\xef\xbb\xbf" + "<r>Zoë</r>".encode(), ()),
            ('<?xml version="1.0" encoding="UTF-8"?><r>Zoë</r>'.encode(), ()),
            (
                '<?xml version="1.0" encoding="ISO-8859-1"?><r>Zoë</r>'.encode(
                    "latin-1"
                ),
                (),
            ),
            (
                '<?xml version="1.0" encoding="UTF-8"?><r>Zoë</r>'.encode("latin-1"),
                ("not-utf-8",),
            ),
            ('\r\n\n <?xml version="1.0"?><r>Zoë</r>\r\n\0'.encode(), ()),
        ],
    )
    def test_a_name_is_read_in_every_encoding_of_the_field(
        self, octets: bytes, remarks: tuple[str, ...]
    ) -> None:
        root, found = read_elements(octets)

        assert ("Zoë", remarks) == (root.text, found)


class TestNodes:
    def test_names_lose_namespace_and_case(self) -> None:
        root, _ = read_elements(
            b'<t:Recording xmlns:t="urn:a" xmlns:u="urn:b" u:ID=" 7 "><t:A/></t:Recording>'
        )

        assert ("recording", "urn:a", "7", ["a"]) == (
            root.name,
            root.namespace,
            root.attribute("session_id", "id"),
            [each.name for each in root.children],
        )

    def test_text_is_one_line(self) -> None:
        root, _ = read_elements(b"<r>\n  a &lt;<!-- x -->b\r\n<![CDATA[<c>]]></r>")

        assert root.text == "a <b <c>"

    def test_text_is_in_no_repr(self) -> None:
        root, _ = read_elements(b"<r><a>secret</a></r>")

        assert "secret" not in repr(root)
