import pytest

from vault.core.errors import MalformedSignallingError
from vault.sip.headers import CSeq, NameAddr, Via
from vault.sip.uris import Parameters


class TestVia:
    @pytest.mark.parametrize(
        "text",
        [
            "SIP/2.0/UDP 192.0.2.1",
            "SIP/2.0/TLS sbc_1.example:5061;branch=z9hG4bKabc;rport",
            "SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bK1;received=2001:db8::9",
        ],
    )
    def test_reading_and_writing_are_inverses(self, text: str) -> None:
        assert text == str(Via.parse(text))

    def test_white_space_may_stand_around_every_mark(self) -> None:
        found = Via.parse(
            "SIP  /   2.0 /udp     192.0.2.2 : 5060 ; branch =  z9hG4bK9 ;"
        )

        assert "SIP/2.0/UDP 192.0.2.2:5060;branch=z9hG4bK9" == str(found)

    def test_a_client_of_rfc_2543_has_no_branch(self) -> None:
        found = Via.parse("SIP/2.0/UDP iftgw.example.com")

        assert ("", "iftgw.example.com") == (found.branch, found.sent_by)

    def test_what_the_transport_saw_is_put_where_rport_asks_for_it(self) -> None:
        via = Via.parse("SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bK1")

        told = via.with_parameter("rport", "40000").with_parameter("received", "::1")

        assert "SIP/2.0/UDP 10.0.0.1;rport=40000;branch=z9hG4bK1;received=::1" == str(
            told
        )

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0/UDP ;branch=x",
            "SIP/2/UDP host",
            "HTTP/1.1/TCP host",
            "SIP/2.0/UDP host name",
            "SIP/2.0/UDP host:99999",
            "SIP/2.0/UDP host;branch=a;branch=b",
            "SIP/2.0/" + "U" * 40 + " host",
        ],
    )
    def test_what_is_no_via_is_refused(self, text: str) -> None:
        with pytest.raises(MalformedSignallingError):
            Via.parse(text)

    def test_its_host_is_not_shown(self) -> None:
        assert "192.0.2" not in repr(Via.parse("SIP/2.0/UDP 192.0.2.1"))


class TestNameAddr:
    @pytest.mark.parametrize(
        ("text", "name", "uri", "parameters"),
        [
            ("sip:a@b;tag=1", "", "sip:a@b", ";tag=1"),
            ("<sip:a@b;lr>;tag=1", "", "sip:a@b;lr", ";tag=1"),
            ("Alice B <sip:a@b>", "Alice B", "sip:a@b", ""),
            ("caller<sip:a@b>;tag=323", "caller", "sip:a@b", ";tag=323"),
            (
                '"J \\"R\\" \\\\"       <sip:a@b> ; tag = 9',
                'J "R" \\',
                "sip:a@b",
                ";tag=9",
            ),
            ('"" <sip:a@b>', "", "sip:a@b", ""),
            ('"x, y" < sip:a@b >', "x, y", "sip:a@b", ""),
            (
                "Bell, Alexander <sip:a@b>;tag=43",
                "Bell, Alexander",
                "sip:a@b",
                ";tag=43",
            ),
            ("<tel:+4930123>", "", "tel:+4930123", ""),
            ("*", "", "*", ""),
            ("sip:h.example", "", "sip:h.example", ""),
        ],
    )
    def test_every_spelling_is_read(
        self, text: str, name: str, uri: str, parameters: str
    ) -> None:
        expected = NameAddr(
            display_name=name, uri=uri, parameters=Parameters.parse(parameters)
        )

        assert expected == NameAddr.parse(text)
        assert expected == NameAddr.parse(str(expected))

    @pytest.mark.parametrize(
        ("text", "uri", "parameters"),
        [
            (
                "<sip:src@h:5060;transport=tcp;+sip.src",
                "sip:src@h:5060;transport=tcp",
                ";+sip.src",
            ),
            ("<sip:src@h;src", "sip:src@h", ";src"),
            ("<sip:src@h;lr", "sip:src@h;lr", ""),
            ('"x" <sip:src@h;tag=1;transport=tcp', "sip:src@h", ";tag=1;transport=tcp"),
        ],
    )
    def test_a_bracket_that_is_never_closed_takes_only_what_is_a_uris(
        self, text: str, uri: str, parameters: str
    ) -> None:
        found = NameAddr.parse(text)

        assert (uri, parameters) == (found.uri, str(found.parameters))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "alan@jasomi.com",
            '"Mr. J. User <sip:j.user@example.com>',
            '"ends with a backslash\\',
            '"name" sip:a@b',
            "<>",
            "<sip:a<b@c>",
            "<sip:a@b> tag=1",
            "<sip:a@b>;tag=1;tag=2",
            "<*>",
            'x "a<b" <sip:a@b>',
        ],
    )
    def test_what_is_no_address_is_refused(self, text: str) -> None:
        with pytest.raises(MalformedSignallingError):
            NameAddr.parse(text)

    def test_its_tag_is_found(self) -> None:
        assert ("1", "") == (
            NameAddr.parse("sip:a@b;TAG=1").tag,
            NameAddr.parse("sip:a@b").tag,
        )

    def test_neither_name_nor_number_is_shown(self) -> None:
        shown = repr(NameAddr.parse('"Alice" <sip:+4930123@b>;tag=xyz'))

        assert not any(text in shown for text in ("Alice", "4930", "xyz"))


class TestCSeq:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("1 INVITE", CSeq(number=1, method="INVITE")),
            ("0009   INVITE", CSeq(number=9, method="INVITE")),
            ("4294967295\tBYE", CSeq(number=2**32 - 1, method="BYE")),
            ("0 RE%47IST%45R", CSeq(number=0, method="RE%47IST%45R")),
        ],
    )
    def test_number_and_method_are_read(self, text: str, expected: CSeq) -> None:
        assert expected == CSeq.parse(text)
        assert expected == CSeq.parse(str(expected))

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "1",
            "INVITE",
            "1 INVITE x",
            "-1 INVITE",
            "4294967296 BYE",
            "1\u2003INVITE",
            "36893488147419103232 REGISTER",
        ],
    )
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(MalformedSignallingError):
            CSeq.parse(text)
