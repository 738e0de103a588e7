import pytest

from vault.core.addresses import address_key, same_party


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("1001", ("1001", "")),
        ("sip:1001@pbx.example", ("1001", "pbx.example")),
        ("SIPS:1001@PBX.example:5061;transport=tls?x=y", ("1001", "pbx.example")),
        (
            '"Groß, Anna" <sip:anna@pbx.example;user=phone>;tag=1',
            ("anna", "pbx.example"),
        ),
        ("tel:+49-(30)-123.45;phone-context=x", ("+493012345", "")),
        ("+49 30 12345", ("+493012345", "")),
        ("sip:%31001@pbx", ("1001", "pbx")),
        ("sip:anna:secret@pbx", ("anna", "pbx")),
        ("Anna@PBX", ("anna", "pbx")),
        ("sip:pbx.example", ("", "pbx.example")),
        ("sip:10.0.0.1", ("", "10.0.0.1")),
        ("10.0.0.1", ("10.0.0.1", "")),
        ("sip:1001@[2001:db8::1]:5060", ("1001", "2001:db8::1")),
        ("", ("", "")),
        ("<", ("", "")),
        ("9" * 600, ("", "")),
    ],
)
def test_an_address_has_one_key_however_it_is_spelled(
    address: str, expected: tuple[str, str]
) -> None:
    assert expected == address_key(address)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("sip:1001@a", "1001", True),
        ("sip:1001@a", "sip:1001@a:5060", True),
        ("sip:1001@a", "sip:1001@b", False),
        ("tel:+4930123", "+49 30 123", True),
        ("sip:a", "sip:a", False),
        ("", "", False),
    ],
)
def test_a_host_counts_where_both_have_one(
    one: str, other: str, *, expected: bool
) -> None:
    assert expected == same_party(one, other)
