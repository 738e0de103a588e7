"""Codes in halves, as people read them off two pages and type them."""

from collections.abc import Callable
from typing import Protocol

import pytest
from sqlalchemy import Engine

from vault.access.activations import Activations, begin, half_digest, whole_code
from vault.access.people import People
from vault.core.errors import NotAuthenticatedError
from vault.core.ids import UserId
from vault.database.engine import transaction

FIRST = "ABCDEFGHIJKLMNOPQRSTUVWX"


class Clock(Protocol):
    now_ns: int

    def __call__(self) -> int: ...

    def advance(self, seconds: float) -> None: ...


@pytest.fixture
def nora(catalog_engine: Engine) -> UserId:
    return People(catalog_engine).add("nora", (), (), "h").person.id


@pytest.fixture
def second(catalog_engine: Engine, nora: UserId, clock: Clock) -> str:
    """The half that is made when the code begins to count."""
    with transaction(catalog_engine) as connection:
        made = begin(connection, nora, half_digest(FIRST), now_ns=clock.now_ns)
    return made.second


@pytest.fixture
def activations(catalog_engine: Engine, clock: Clock) -> Activations:
    return Activations(catalog_engine, clock=clock)


@pytest.mark.parametrize(
    "typed",
    [
        whole_code,
        lambda first, second: first + second,
        lambda first, second: f" {first}  {second}\n",
        lambda first, second: f"{first}\u2013{second}",
        lambda first, second: f"{first}-\u2026 \u2026-{second}",
        lambda first, second: whole_code(first, second).lower(),
        lambda first, second: " ".join(whole_code(first, second)),
    ],
    ids=[
        "as-it-is-shown",
        "no-dash",
        "blanks",
        "another-dash",
        "as-two-pages-show-it",
        "lower-case",
        "letter-by-letter",
    ],
)
def test_letters_and_digits_of_a_code_count_and_nothing_else(
    activations: Activations,
    nora: UserId,
    second: str,
    typed: Callable[[str, str], str],
) -> None:
    code = typed(FIRST, second)

    assert nora == activations.check("nora", code)
    activations.spend(nora, code)
    with pytest.raises(NotAuthenticatedError):
        activations.check("nora", code)


@pytest.mark.parametrize(
    "typed",
    [
        lambda first, _: first,
        lambda _, second: second,
        lambda first, second: whole_code(second, first),
        lambda first, second: whole_code(first, second)[:-1],
        lambda first, second: whole_code(first, second) + "A",
        lambda first, _: whole_code(first, first),
        lambda _first, _second: "",
    ],
    ids=["first", "second", "other-way-round", "short", "long", "twice", "nothing"],
)
def test_half_a_code_and_less_or_more_than_one_is_wrong(
    activations: Activations,
    nora: UserId,
    second: str,
    typed: Callable[[str, str], str],
) -> None:
    with pytest.raises(NotAuthenticatedError):
        activations.check("nora", typed(FIRST, second))
    with pytest.raises(NotAuthenticatedError):
        activations.spend(nora, typed(FIRST, second))


def test_a_code_ends_with_its_day(
    activations: Activations, clock: Clock, nora: UserId, second: str
) -> None:
    code = whole_code(FIRST, second)

    clock.advance(24 * 3600 - 1)
    assert nora == activations.check("nora", code)
    clock.advance(1)
    with pytest.raises(NotAuthenticatedError):
        activations.check("nora", code)
