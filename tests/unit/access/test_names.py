import pytest

from vault.access.names import checked_name, checked_title, is_storable, name_key
from vault.core.errors import InvalidInputError


@pytest.mark.parametrize("name", ["alice", "a.b-c_d@example.org", "Müller", "李", "7"])
def test_sane_names_are_kept_as_they_are(name: str) -> None:
    assert name == checked_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        " alice",
        "alice ",
        "a b",
        "a/b",
        "a\tb",
        "a\0b",
        "a\u200bb",
        "a\u202eb",
        "\ud800",
        "<script>",
        "a" * 65,
        "\u0661",
    ],
)
def test_everything_else_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_name(name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("alice", "ALICE"),
        ("alice", "\uff41\uff4c\uff49\uff43\uff45"),
        ("strasse", "Stra\xdfe"),
        ("sam", "\u017fam"),
        ("kim", "\u212aim"),
        ("\xe9", "e\u0301"),
    ],
)
def test_names_that_read_alike_share_a_key(one: str, other: str) -> None:
    assert name_key(one) == name_key(other)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_text_that_no_database_holds_has_nobodys_key(text: str) -> None:
    assert not is_storable(text)
    assert name_key(text) == ""


def test_titles_may_hold_blanks_and_lose_the_outer_ones() -> None:
    assert checked_title("  Sales \t EMEA ") == "Sales EMEA"


@pytest.mark.parametrize("title", ["", "   ", "a\0b", "a\x1b[2J", "a" * 65, "\u202ea"])
def test_unprintable_titles_are_refused(title: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_title(title)
