import time

import pytest

from vault.access import extensions
from vault.access.extensions import (
    ExtensionTable,
    checked_extension,
)
from vault.core.errors import InvalidInputError


def table(*patterns: str) -> ExtensionTable:
    return ExtensionTable(checked_extension(one, agent="a") for one in patterns)


def matched(address: str, *patterns: str) -> str | None:
    forward, backward = table(*patterns), table(*reversed(patterns))
    found = [one.match(address) for one in (forward, backward)]

    assert 1 == len({None if one is None else one.pattern for one in found})
    return None if found[0] is None else found[0].pattern


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("1001", "1001"),
        ("sip:1001@pbx.example", "1001@pbx.example"),
        ("sip:1001@other", "1001"),
        ("1002", "100?"),
        ("1010", "10*"),
        ("2222", "????"),
        ("33", "*"),
        ("sip:33@pbx.example", "*@pbx.example"),
        ("+4930123499", "+493012*"),
        ("tel:+49-30-1234-99", "+493012*"),
        ("anna", "anna"),
        ("ANNA@x", "anna"),
    ],
)
def test_the_most_specific_entry_wins_in_whatever_order_they_came(
    address: str, expected: str
) -> None:
    patterns = (
        *("*", "10*", "100?", "1001", "????", "1001@pbx.example", "*@pbx.example"),
        *("+49 30 12*", "Anna"),
    )

    assert expected == matched(address, *patterns)


@pytest.mark.parametrize("address", ["1", "sip:pbx.example", "", "x" * 600])
def test_what_nothing_fits_is_nobody(address: str) -> None:
    assert matched(address, "1001", "10??", "*@other") is None


def test_a_literal_character_of_a_pattern_is_no_expression() -> None:
    assert matched("axb", "a.b?") is None
    assert matched("a.b1", "a.b?") == "a.b?"


@pytest.mark.parametrize(
    "pattern", ["", " ", "a b", "a@b@c", 'x"', "x" * 200, "*1*2*3*", "a\0b"]
)
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_extension(pattern, agent="anna")


def test_an_entry_says_something() -> None:
    with pytest.raises(InvalidInputError, match="agent, a workgroup"):
        checked_extension("1001")


def test_a_hostile_address_costs_no_time_worth_mentioning() -> None:
    worst = table(*(f"*a*a{number}*" for number in range(200)))
    began = time.process_time()

    assert worst.match("a" * 512) is None
    assert time.process_time() - began < 5


def test_the_time_of_a_match_does_not_multiply_with_the_stars() -> None:
    worst = table(*(f"*1*1*{number:03}x" for number in range(200)))
    began = time.process_time()

    assert worst.match("1" * 512) is None
    assert time.process_time() - began < 5


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("*a*b*c", "abc xaxbxc aabbcc abcabc", "acb abcd bca"),
        ("a*ab", "aab aaab abab", "ab aa"),
        ("*ab?", "abc aab1 ababc", "ab abcd"),
        ("1*?*2", "1x2 1x2x2", "12"),
    ],
)
def test_a_star_stands_for_any_text_wherever_it_ends(
    pattern: str, fitting: str, others: str
) -> None:
    assert all(matched(one, pattern) for one in fitting.split())
    assert not any(matched(one, pattern) for one in others.split())


def test_entries_without_a_wildcard_are_looked_up_and_not_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def compiled(pattern: str) -> None:
        raise AssertionError(pattern)  # 50,000 of them would take seconds

    monkeypatch.setattr(extensions, "_compiled", compiled)

    assert "1001" == matched("sip:1001@x", "1001", "1002@y")
