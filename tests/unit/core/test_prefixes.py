import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.core.errors import InvalidInputError
from vault.core.prefixes import AddressLists, Prefixes, literal, network_of


@pytest.mark.parametrize(
    ("prefix", "spelled"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("192.0.2.0/24", "192.0.2.0/24"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::1", "::1/128"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        (" 10.0.0.0/8 ", "10.0.0.0/8"),
    ],
)
def test_each_has_one_spelling(prefix: str, spelled: str) -> None:
    parsed = Prefixes.parse([prefix])

    assert (spelled,) == parsed.spelled()
    assert parsed.spelled() == Prefixes.parse(parsed.spelled()).spelled()


@pytest.mark.parametrize(
    "prefix",
    ["", "x", "192.0.2.7/24", "192.0.2.0/33", "fe80::1%eth0", "192.0.2", "a.example"],
)
def test_what_is_no_prefix_is_refused_with_an_example(prefix: str) -> None:
    """Bits beyond the length are refused, too: one host or its network was meant."""
    with pytest.raises(InvalidInputError, match=r"192\.0\.2\.0/24"):
        Prefixes.parse([prefix])


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("192.0.2.255", True),
        ("::ffff:192.0.2.1", True),
        ("192.0.3.0", False),
        ("2001:db8:ffff::1", True),
        ("2001:db9::1", False),
        ("sbc.example.com", False),
        ("", False),
        ("192.0.2.1/32", False),
    ],
)
def test_who_is_inside(address: str, inside: bool) -> None:
    assert inside is (address in Prefixes.parse(["192.0.2.0/24", "2001:db8::/32"]))


def test_an_empty_list_has_nobody_in_it_and_says_so() -> None:
    assert Prefixes.parse([]).empty
    assert "192.0.2.1" not in Prefixes.parse([])


def test_what_a_newer_version_wrote_lets_nobody_in() -> None:
    kept = Prefixes.of(("whole-internet", "192.0.2.7/32"))

    assert "192.0.2.7" in kept
    assert "192.0.2.8" not in kept


@given(st.text())
def test_asking_never_raises(address: str) -> None:
    assert (address in Prefixes.parse(["0.0.0.0/0", "::/0"])) in {True, False}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:0:1", "::ffff:0:1"),
    ],
)
def test_an_address_has_one_spelling(said: str, expected: str) -> None:
    assert expected == literal(said)


def test_a_budget_is_one_ipv4_address_or_a_64_of_ipv6() -> None:
    assert "192.0.2.1" == network_of("192.0.2.1")
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")


def test_a_fence_without_an_allow_list_lets_in_who_is_not_denied() -> None:
    fence = AddressLists(deny=Prefixes.parse(["192.0.2.0/24"]))

    assert [True, False, False] == [
        fence.admits(one) for one in ("198.51.100.1", "192.0.2.9", "::ffff:192.0.2.9")
    ]


def test_with_an_allow_list_everybody_else_stays_out_and_deny_wins() -> None:
    fence = AddressLists(
        allow=Prefixes.parse(["192.0.2.0/24"]), deny=Prefixes.parse(["192.0.2.7"])
    )

    assert [True, False, False, False] == [
        fence.admits(one) for one in ("192.0.2.9", "192.0.2.7", "10.0.0.1", "nonsense")
    ]


def test_what_is_no_address_is_let_in_by_no_fence_that_has_a_list() -> None:
    assert not AddressLists(deny=Prefixes.parse(["192.0.2.7"])).admits("nonsense")


@pytest.mark.parametrize(
    ("allow", "deny", "prefix", "expected"),
    [
        ([], [], "0.0.0.0/0", False),
        ([], ["0.0.0.0/1", "128.0.0.0/1"], "0.0.0.0/0", True),
        ([], ["0.0.0.0/1", "128.0.0.0/2"], "0.0.0.0/0", False),
        ([], ["0.0.0.0/0"], "::/0", False),
        ([], ["::ffff:0:0/96"], "0.0.0.0/0", True),
        (["192.0.2.0/24"], [], "198.51.100.0/24", True),
        (["192.0.2.0/24"], ["192.0.2.0/25"], "192.0.2.0/24", False),
        (["192.0.2.0/24"], ["192.0.2.0/25"], "192.0.2.7", True),
        (["0.0.0.0/0"], ["192.0.2.0/25", "192.0.2.128/25"], "192.0.2.0/24", True),
    ],
)
def test_a_fence_knows_whom_it_shuts_out_altogether(
    allow: list[str], deny: list[str], prefix: str, *, expected: bool
) -> None:
    fence = AddressLists(allow=Prefixes.parse(allow), deny=Prefixes.parse(deny))

    assert expected is fence.shuts_out(prefix)
