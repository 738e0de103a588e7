import pytest

from vault.core.errors import MalformedSignallingError
from vault.sip.uris import (
    Parameters,
    SipUri,
    host_and_port,
    number,
    scheme_of,
    split_list,
)


class TestSipUri:
    @pytest.mark.parametrize(
        "text",
        [
            "sip:alice@example.com",
            "sips:alice@example.com:5061;transport=tcp",
            "sip:example.com",
            "sip:user:secret@example.com",
            "sip:[2001:db8::1]:5060;lr",
            "sip:user;par=u%40example.net@example.com",
            "sip:+4930123@192.0.2.1;user=phone?Subject=x",
            "sip:src@sbc1",
            "sip:src@my_host.example",
        ],
    )
    def test_reading_and_writing_are_inverses(self, text: str) -> None:
        assert text == str(SipUri.parse(text))

    def test_each_piece_is_found(self) -> None:
        found = SipUri.parse("SIP:al%69ce:pw@Example.COM:5070;Transport=TCP;lr?a=b")

        assert (
            SipUri(
                user="al%69ce",
                password="pw",
                host="example.com",
                port=5070,
                parameters=Parameters([("transport", "TCP"), ("lr", None)]),
                headers="a=b",
            )
            == found
        )
        assert "tcp" == found.transport

    @pytest.mark.parametrize(
        ("text", "user", "host"),
        [
            # RFC 4475, 3.1.1.13: the user part is what stands before the "@".
            ("sip:user;par=u%40x@example.com", "user;par=u%40x", "example.com"),
            ("sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*@h", None, "h"),
            # An SBC that leaves an "@" of its user unescaped.
            ("sip:alice@corp.example@sbc.example", "alice@corp.example", "sbc.example"),
            # By the grammar a user may hold "?", and headers no "@"...
            ("sip:h.example?Route=a@b", "h.example?Route=a", "b"),
            # ... but a second one behind a "?" divides nothing.
            ("sip:u@h.example?Route=a@b", "u", "h.example"),
        ],
    )
    def test_the_user_ends_at_the_last_at_sign_before_the_headers(
        self, text: str, user: str | None, host: str
    ) -> None:
        found = SipUri.parse(text)

        assert host == found.host
        assert user is None or user == found.user

    @pytest.mark.parametrize(
        ("text", "transport"),
        [
            ("sip:a@b", "udp"),
            ("sip:a@b;transport=TLS", "tls"),
            ("sips:a@b", "tls"),
            ("sips:a@b;transport=tcp", "tls"),
            ("sips:a@b;transport=ws", "ws"),
        ],
    )
    def test_the_transport_follows_scheme_and_parameter(
        self, text: str, transport: str
    ) -> None:
        assert transport == SipUri.parse(text).transport

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "sip:",
            "sip:@",
            "alice@example.com",
            "tel:+4930123",
            "sip:a b@example.com",
            "sip:a@exam ple.com",
            "sip:a@b:70000",
            "sip:a@b:-1",
            "sip:a@b:\u0665",
            "sip:a@[2001:db8::1",
            "sip:a@[::1]x",
            "sip:a@ho<st",
            "sip:a@b;x=1;x=2",
            "sip:a\x00@b",
            "sip:a@b\r\nTo: c",
        ],
    )
    def test_what_is_no_sip_uri_is_refused(self, text: str) -> None:
        with pytest.raises(MalformedSignallingError):
            SipUri.parse(text)

    def test_neither_user_nor_host_is_shown(self) -> None:
        shown = repr(SipUri.parse("sip:+4930123:pw@pbx.example;x=y?h=v"))

        assert not any(text in shown for text in ("4930", "pw", "pbx", "y", "h=v"))


class TestParameters:
    def test_names_compare_without_case_and_empty_ones_are_skipped(self) -> None:
        found = Parameters.parse(";;Tag = abc ;;lr;")

        assert ("abc", "", None) == (found.get("tag"), found.get("LR"), found.get("x"))
        assert ";Tag=abc;lr" == str(found)
        assert Parameters([("tag", "abc"), ("LR", None)]) == found
        assert "TAG" in found
        assert 2 == len(found)

    def test_a_semicolon_in_quotes_divides_nothing(self) -> None:
        found = Parameters.parse(r'a="x;\"y;";b=1')

        assert ('x;"y;', "1") == (found.unquoted("a"), found.get("b"))

    def test_copies_change_one_parameter_in_its_place(self) -> None:
        before = Parameters.parse("rport;branch=z")

        after = before.with_("rport", "5060").with_("received", "192.0.2.1")

        assert ";rport=5060;branch=z;received=192.0.2.1" == str(after)
        assert ";rport;branch=z" == str(before)
        assert ";rport=5060;received=192.0.2.1" == str(after.without("Branch"))

    @pytest.mark.parametrize(
        "text",
        ["tag=a;tag=b", "tag=a;TAG=b", "=x", 'a="x', ";".join(map(str, range(300)))],
    )
    def test_what_could_be_read_in_two_ways_is_refused(self, text: str) -> None:
        with pytest.raises(MalformedSignallingError):
            Parameters.parse(text)

    def test_the_same_said_twice_is_one(self) -> None:
        assert ";tag=a" == str(Parameters.parse("tag=a;tag=a"))

    def test_no_value_is_shown(self) -> None:
        assert "Parameters(tag, lr)" == repr(Parameters.parse("tag=secret;lr"))


class TestSplitList:
    @pytest.mark.parametrize(
        ("text", "pieces"),
        [
            ("a", ["a"]),
            ("a, b ,c", ["a", "b", "c"]),
            ('"a,b" <sip:x,y@h>;p="1,2", c', ['"a,b" <sip:x,y@h>;p="1,2"', "c"]),
            (r'"a\",b", c', [r'"a\",b"', "c"]),
            (r'"a\\", b', [r'"a\\"', "b"]),
            ('<sip:a"b>, c', ['<sip:a"b>', "c"]),
            ('"never, ends', ['"never, ends']),
            ("<never, ends", ["<never, ends"]),
            (r"a\,b", ["a\\", "b"]),
            ("a,,b,", ["a", "", "b", ""]),
        ],
    )
    def test_commas_divide_outside_of_quotes_and_brackets(
        self, text: str, pieces: list[str]
    ) -> None:
        assert pieces == split_list(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Example.com", ("example.com", None)),
        ("example.com : 5060", ("example.com", 5060)),
        ("example.com:", ("example.com", None)),
        ("[::1]", ("::1", None)),
        ("[::1] : 5061", ("::1", 5061)),
    ],
)
def test_a_host_may_have_a_port(text: str, expected: tuple[str, int | None]) -> None:
    assert expected == host_and_port(text)


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", "1_0", "0x1", "1" * 5_000, "\u0661", "256"]
)
def test_only_decimal_digits_that_fit_are_a_number(text: str) -> None:
    with pytest.raises(MalformedSignallingError):
        number(text, 255)


def test_leading_zeros_change_no_number() -> None:
    assert 68 == number("0" * 5_000 + "68", 255)


@pytest.mark.parametrize(
    ("uri", "scheme"),
    [
        ("SIPS:a", "sips"),
        ("nobody+knows:x", "nobody+knows"),
        ("a", ""),
        (":x", ""),
        ("1:x", ""),
    ],
)
def test_a_scheme_is_what_may_be_one(uri: str, scheme: str) -> None:
    assert scheme == scheme_of(uri)
