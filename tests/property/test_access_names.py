from hypothesis import given
from hypothesis import strategies as st

from vault.access.names import checked_name, checked_title, name_key
from vault.core.errors import InvalidInputError

ANYTHING = st.text(st.characters(), max_size=80)


@given(ANYTHING)
def test_a_key_is_its_own_key(text: str) -> None:
    assert name_key(text) == name_key(name_key(text))


@given(ANYTHING)
def test_case_never_makes_a_second_name(text: str) -> None:
    assert name_key(text) == name_key(text.casefold())


@given(ANYTHING)
def test_a_name_that_is_taken_is_taken_as_it_is_kept(text: str) -> None:
    try:
        kept = checked_name(text)
    except InvalidInputError:
        return

    assert kept == checked_name(kept)
    assert name_key(kept) == name_key(text)
    assert 1 <= len(name_key(kept)) <= 192


@given(ANYTHING)
def test_a_title_that_is_taken_is_taken_as_it_is_kept(text: str) -> None:
    try:
        kept = checked_title(text)
    except InvalidInputError:
        return

    assert kept == checked_title(kept)
    assert 1 <= len(name_key(kept)) <= 192
