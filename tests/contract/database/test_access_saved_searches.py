import pytest
from sqlalchemy import Engine

from vault.access.people import People
from vault.access.saved_searches import MOST, SavedSearches
from vault.audit.language import MAX_TEXT
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.ids import UserId


@pytest.fixture
def searches(catalog_engine: Engine) -> SavedSearches:
    return SavedSearches(catalog_engine)


@pytest.fixture
def olga(catalog_engine: Engine) -> UserId:
    return People(catalog_engine).add("olga", [], [], "h").person.id


@pytest.fixture
def vera(catalog_engine: Engine) -> UserId:
    return People(catalog_engine).add("vera", [], [], "h").person.id


def test_everybody_has_their_own(
    searches: SavedSearches, olga: UserId, vera: UserId
) -> None:
    second = searches.add(olga, "refused", "result:refused")
    first = searches.add(olga, " mine ", "-actor:user:u1")
    others = searches.add(vera, "refused", "")
    with pytest.raises(NotFoundError):
        searches.remove(vera, second.id)
    searches.remove(olga, first.id)

    assert "mine" == first.name
    assert [second] == searches.of(olga)
    assert [others] == searches.of(vera)


def test_a_name_is_taken_once(searches: SavedSearches, olga: UserId) -> None:
    searches.add(olga, "refused", "result:refused")
    with pytest.raises(ConflictError):
        searches.add(olga, "refused", "result:failed")


def test_fifty_are_kept(searches: SavedSearches, olga: UserId) -> None:
    for number in range(MOST):
        searches.add(olga, f"search {number:02}", "")
    with pytest.raises(ConflictError):
        searches.add(olga, "one more", "")

    assert MOST == len(searches.of(olga))


@pytest.mark.parametrize(
    ("name", "query"), [("", "x"), ("n" * 65, "x"), ("n", "x" * (MAX_TEXT + 1))]
)
def test_what_is_too_long_or_has_no_name_is_refused(
    searches: SavedSearches, olga: UserId, name: str, query: str
) -> None:
    with pytest.raises(InvalidInputError):
        searches.add(olga, name, query)
