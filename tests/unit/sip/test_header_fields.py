import pytest

from vault.core.errors import MalformedSignallingError
from vault.sip.messages import Headers

ROWS = [
    ("v", "SIP/2.0/UDP a, SIP/2.0/UDP b"),
    ("VIA", " SIP/2.0/UDP c "),
    ("Contact", '"x, y" <sip:a@b>, <sip:c@d>;p="1,2"'),
    ("X-Own", "1"),
]


class TestHeaders:
    @pytest.mark.parametrize(
        ("compact", "name"),
        [
            ("v", "Via"),
            ("f", "From"),
            ("t", "To"),
            ("i", "Call-ID"),
            ("m", "Contact"),
            ("l", "Content-Length"),
            ("c", "Content-Type"),
            ("k", "Supported"),
            ("s", "Subject"),
            ("e", "Content-Encoding"),
            ("o", "Event"),
            ("r", "Refer-To"),
            ("x", "Session-Expires"),
            ("b", "Referred-By"),
            ("a", "Accept-Contact"),
            ("j", "Reject-Contact"),
            ("d", "Request-Disposition"),
            ("u", "Allow-Events"),
            ("y", "Identity"),
            ("n", "Identity-Info"),
        ],
    )
    def test_a_compact_name_is_the_long_one(self, compact: str, name: str) -> None:
        for spelling in (compact, compact.upper()):
            assert [(name, "1")] == list(Headers([(spelling, "1")]))

    def test_rows_and_elements_keep_their_order(self) -> None:
        headers = Headers(ROWS)

        assert ("SIP/2.0/UDP a, SIP/2.0/UDP b", "SIP/2.0/UDP c") == headers.all("via")
        assert ("SIP/2.0/UDP a", "SIP/2.0/UDP b", "SIP/2.0/UDP c") == headers.values(
            "Via"
        )
        assert ('"x, y" <sip:a@b>', '<sip:c@d>;p="1,2"') == headers.values("CONTACT")
        assert ["Via", "Via", "Contact", "X-Own"] == [name for name, _ in headers]

    def test_what_is_absent_is_none_and_empty(self) -> None:
        headers = Headers(ROWS)

        assert (None, (), ()) == (
            headers.get("to"),
            headers.all("to"),
            headers.values("to"),
        )
        assert "to" not in headers
        assert "x-own" in headers

    @pytest.mark.parametrize("name", ["To", "Via"])
    def test_one_is_neither_the_first_nor_the_last_of_two(self, name: str) -> None:
        with pytest.raises(MalformedSignallingError):
            Headers(ROWS).one(name)

    def test_one_is_the_only_one(self) -> None:
        assert "1" == Headers(ROWS).one("x-own")

    def test_copies_leave_the_original_alone(self) -> None:
        headers = Headers([("To", "a")])

        assert [("To", "a"), ("Expires", "5")] == list(headers.with_("Expires", "5"))
        assert [] == list(headers.without("to"))
        assert [("To", "a")] == list(headers)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("To", "a\r\nContact: b"),
            ("To", "a\n"),
            ("To", "a\rb"),
            ("To:", "a"),
            ("", "a"),
            ("T o", "a"),
            ("To\r\n", "a"),
            ("T\u00f6", "a"),
        ],
    )
    def test_nothing_can_be_injected(self, name: str, value: str) -> None:
        with pytest.raises(ValueError, match="header"):
            Headers([(name, value)])
        with pytest.raises(ValueError, match="header"):
            Headers().with_(name, value)

    def test_reading_leaves_out_what_is_no_header_and_says_so(self) -> None:
        headers, fault = Headers.read(
            ["To : a", "no colon", "b\u00e4d: x", "Via:", "A: x\ry"]
        )

        assert [("To", "a"), ("Via", "")] == list(headers)
        assert fault

    def test_equality_knows_no_case_of_names(self) -> None:
        assert Headers([("TO", "a")]) == Headers([("t", "a")])
        assert hash(Headers([("TO", "a")])) == hash(Headers([("t", "a")]))
        assert Headers([("To", "A")]) != Headers([("To", "a")])

    def test_no_value_is_shown(self) -> None:
        assert "Headers(4 rows)" == repr(Headers(ROWS))
