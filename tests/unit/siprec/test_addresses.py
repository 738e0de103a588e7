import pytest

from vault.siprec.addresses import display_name, person_of, shown, uri_of, user_of


@pytest.mark.parametrize(
    ("address", "person", "uri"),
    [
        ("sip:7301@192.0.2.8", "7301", "sip:7301@192.0.2.8"),
        ("+15550100010@192.0.2.22", "+15550100010", "sip:+15550100010@192.0.2.22"),
        ("SIPS:alice@Example.com", "alice@Example.com", "SIPS:alice@Example.com"),
        ("sip:02077705371", "02077705371", "sip:02077705371"),
        ("sip:sub_00403715", "sub_00403715", "sip:sub_00403715"),
        ("9000", "9000", "9000"),
        ("tel:+49-30-1;ext=2", "+49-30-1", "tel:+49-30-1;ext=2"),
        (
            "sip:+1555;phone-context=x@h;user=phone",
            "+1555",
            "sip:+1555;phone-context=x@h;user=phone",
        ),
        ("sip:%2B1555@h.example:5060", "+1555", "sip:%2B1555@h.example:5060"),
        ("sip:a@b@h.example", "a@b@h.example", "sip:a@b@h.example"),
        (
            "sip:alice@[2001:db8::1]:5060",
            "alice@[2001:db8::1]",
            "sip:alice@[2001:db8::1]:5060",
        ),
        (
            "sip:alice@h.example:5060?x=y",
            "alice@h.example",
            "sip:alice@h.example:5060?x=y",
        ),
        ("sip:10.42.30.10", "", "sip:10.42.30.10"),
        ("sip:[2001:db8::1]", "", "sip:[2001:db8::1]"),
        ("sip:sbc.example.com:5060", "", "sip:sbc.example.com:5060"),
        ("Alice", "Alice", "Alice"),
        ("", "", ""),
        ("sip:%0a12%003", "12 3", "sip:%0a12%003"),
        ("sip:", "", "sip:"),
        ("@", "", "sip:@"),
    ],
)
def test_an_address_means_a_person(address: str, person: str, uri: str) -> None:
    assert (person, uri) == (person_of(address), uri_of(address))


def test_the_user_is_what_stands_before_the_host() -> None:
    assert user_of("sip:alice:secret@h.example") == "alice"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("test_user;lang=en-US;id=22", "test_user"),
        ('"WIRELESS CALLER"', "WIRELESS CALLER"),
        ('"', '"'),
        ("A;B", "A;B"),
        ("  Zoë \t Smith\r\n", "Zoë Smith"),
        ("", ""),
    ],
)
def test_a_display_name_is_read_as_it_was_meant(name: str, expected: str) -> None:
    assert display_name(name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b\x1b[31mc\x9bd", "a b [31mc d"),
        (b"Zo\xeb \xc3\xab".decode("utf-8", "surrogateescape"), "Zoë ë"),
        (b"\x80\x9b".decode("utf-8", "surrogateescape"), "\ufffd\ufffd"),
        ("\ud800", "\ufffd"),
        ("\U0001f600", "\U0001f600"),
        ("Zoe\u202egro.elpmaxe@\u2066x\u2069", "Zoegro.elpmaxe@x"),
        ("x" * 999, "x" * 256),
        ("", ""),
    ],
)
def test_what_is_shown_can_be_sealed(text: str, expected: str) -> None:
    assert expected.encode() == shown(text).encode()
