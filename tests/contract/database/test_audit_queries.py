"""What a database selects by a query is what the query says of every entry."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tests.simulators.postgres import throwaway_postgres
from tests.simulators.trail import START_NS, Trail
from vault.audit.entry import Action, Draft, Result, compose
from vault.audit.language import NoNames, read, written
from vault.audit.query import Terms, TrailQuery
from vault.core.clock import rfc3339
from vault.core.flow import Actor, ActorKind, Caller
from vault.core.ids import new_id
from vault.database.engine import open_engine

PEOPLE = ("u1", "u2")
ACTIONS = (
    Action.RECORDING_PLAYED,
    Action.RECORDING_KEY_RELEASED,
    Action.ACCESS_REFUSED,
    Action.ACCESS_USER_CHANGED,
)
DETAILS: tuple[dict[str, str | int], ...] = (
    {},
    {"user": "u1"},
    {"holder": "user:u2", "scope": "workgroup:w1"},
)


def entries() -> Iterator[bytes]:
    """Give entries of every kind, a quarter of an hour between them."""
    kinds = product(PEOPLE, ACTIONS, (Result.OK, Result.REFUSED), DETAILS)
    for number, (person, action, result, detail) in enumerate(kinds):
        draft = Draft(
            action=action,
            caller=Caller(actor=Actor(kind=ActorKind.USER, id=person)),
            result=result,
            recording=("", "r1", "r2")[number % 3],
            detail=detail,
        )
        time = rfc3339(START_NS + number * 900 * 1_000_000_000)
        yield bytes(compose(draft, id=new_id(), time=time, via="web", text_hmacs={}))


@pytest.fixture(
    scope="module",
    params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)],
)
def trail(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Trail]:
    folder: Path = tmp_path_factory.mktemp("trail")
    if request.param == "sqlite":
        yield from filled(f"sqlite:///{folder}", folder)
    else:
        with throwaway_postgres() as url:
            yield from filled(url, folder)


def filled(url: str, folder: Path) -> Iterator[Trail]:
    engine = open_engine(url, schema="audit", relaxed_for_tests=True)
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA IF EXISTS audit CASCADE"))
    trail = Trail(engine=engine, folder=folder)
    trail.log.append(list(entries()))
    yield trail
    trail.log.close()
    engine.dispose()


OBJECTS = st.sampled_from(
    ["recording:r1", "recording:r2", "user:u1", "user:u2", "workgroup:w1", "grant:g1"]
)
PRINCIPALS = st.sampled_from(["user:u1", "user:u2", "user:u3"])
WANTED_ACTIONS = st.sampled_from(
    [*map(str, ACTIONS), "recording.*", "access.*", "access.user.*", "audit.*"]
)
TIMES = st.sampled_from(
    ["", "2026-11-23", "2026-11-23T08", "2026-11-23T07:46:09", "2026-11-23T12:30:09.1"]
)


def some(values: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(values, max_size=2).map(tuple)


TERMS = st.builds(
    Terms,
    about=some(OBJECTS | PRINCIPALS),
    action=some(WANTED_ACTIONS),
    actor=some(PRINCIPALS),
    object=some(OBJECTS),
    result=some(st.sampled_from(["ok", "refused", "failed"])),
)
FEW = st.one_of(
    st.builds(Terms, about=some(OBJECTS | PRINCIPALS)),
    st.builds(Terms, action=some(WANTED_ACTIONS)),
    st.builds(Terms, object=some(OBJECTS), result=some(st.just("ok"))),
    TERMS,
)
QUERIES = st.builds(TrailQuery, wanted=FEW, unwanted=FEW, since=TIMES, until=TIMES)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(query=QUERIES)
def test_a_database_finds_what_the_query_selects(
    trail: Trail, query: TrailQuery
) -> None:
    everything = trail.reader.page(TrailQuery(), limit=200).items
    expected = [one.index for one in everything if query.selects(one.entry.members)]
    found = trail.reader.page(query, limit=200).items

    in_passing = trail.reader.stream(0, trail.log.size, query=query)

    assert expected == [one.index for one in found]
    assert len(expected) == trail.reader.count(query, size=trail.log.size)
    assert expected[::-1] == [one.index for one in in_passing]


@given(query=QUERIES)
def test_a_query_that_is_written_reads_as_itself(query: TrailQuery) -> None:
    reading = read(written(query), names=NoNames(), now_ns=START_NS)

    assert (query, query) == (reading.query, TrailQuery.parse(query.members()))
