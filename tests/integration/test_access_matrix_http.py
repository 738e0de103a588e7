"""H3: every route, everybody and everything, against rules written by hand.

The routes come from the application, with every method; what each of them has to
answer stands in `RULES`, and who may what in `tests.simulators.access_world`.  A
route without a rule fails, and so does a rule without a route.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from logging import CRITICAL
from types import MappingProxyType
from typing import cast

import pytest
import structlog
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from tests.simulators.access_asking import Answer, Asking
from tests.simulators.access_rules import (
    CONFIG,
    Rule,
    api_routes,
    expected,
    is_page,
    matches,
    routes,
)
from tests.simulators.access_table import RULES
from tests.simulators.access_world import KINDS, AccessWorld, Place, Thing
from tests.simulators.web_vault import running
from vault.forks.app import create_forks_app
from vault.forks.interfaces import DeviceDirectory, SessionDesk

# Groups begin before single tests: what takes longest must not begin last.
pytestmark = pytest.mark.xdist_group("long")

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
CELLS_AT_LEAST = 3000


def test_h3_every_route_has_a_rule_and_every_rule_a_route() -> None:
    assert sorted(RULES) == sorted(routes())


@pytest.fixture(scope="module", autouse=True)
def _quiet(_logs_as_they_come: None) -> None:
    """A line of log for each of thousands of cells would cost more than the cells."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(CRITICAL))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AccessWorld]:
    with running(tmp_path_factory.mktemp("matrix"), CONFIG) as vault:
        yield AccessWorld(vault)


ROLES = {role for kind in KINDS.values() for role in kind.roles}
THOROUGH = {*ROLES, "two roles", "nobody", "disabled"}
"""Who asks in every way and of every state; the others, who differ in what they reach
or in how they came, ask in the first way of each route of the API."""
DIFFER_BEYOND_RECORDINGS = {
    *THOROUGH,
    *(name for name, kind in KINDS.items() if kind.session or not kind.is_in),
}


def things_for(
    world: AccessWorld, asker: str, *, in_every_state: bool
) -> Iterator[tuple[Thing, str]]:
    """Return recordings to ask for; of other people's own calls one is enough."""
    for thing, recording_id in world.things.items():
        if thing.place is Place.OWN and thing.owner not in {asker, "agent"}:
            continue
        if thing.state == "ready" or (in_every_state and asker in THOROUGH):
            yield thing, recording_id


@pytest.fixture(scope="module")
def asking(world: AccessWorld) -> Iterator[Asking]:
    with asyncio.Runner() as runner:
        yield Asking(world, runner)


class Tally:
    """Counts cells, and keeps what was not as expected."""

    def __init__(self) -> None:
        self.cells: Counter[str] = Counter()
        self.wrong: list[str] = []

    def look(
        self, kind: str, where: str, wanted: str, actual: str, *, fine: bool
    ) -> None:
        """Note one cell."""
        self.cells[kind] += 1
        self.cells["allowed" if actual[0] == "2" else "refused"] += 1
        if not fine:
            self.wrong.append(f"{where}: {wanted} wanted, {actual} given")

    def told(self) -> str:
        """Return the counts in a line."""
        counts = (f"{count} {name}" for name, count in sorted(self.cells.items()))
        return f"{self.total} cells: " + ", ".join(counts)

    @property
    def total(self) -> int:
        """How many cells there were."""
        return self.cells["allowed"] + self.cells["refused"]


@pytest.mark.timeout(900)
def test_h3_every_route_answers_everybody_about_everything_as_the_rules_say(
    world: AccessWorld, asking: Asking, capsys: pytest.CaptureFixture[str]
) -> None:
    tally = Tally()
    for name, rules in RULES.items():
        for rule in rules:
            for asker in KINDS:
                if rule.over:
                    # One way through a route meets every state of a recording.
                    first = rule is rules[0] and not is_page(name)
                    if not first and asker not in THOROUGH:
                        continue
                    way = (name, rule, asker)
                    _ask_of_things(world, asking, tally, way, in_every_state=first)
                    continue
                if asker not in DIFFER_BEYOND_RECORDINGS:
                    continue
                filled = rule.fill(world, asker) if rule.fill else {}
                world.forget_guesses()
                wanted = expected(name, rule, asker, None)
                actual = asking(name, rule, asker, filled).status
                fine = matches(wanted, actual)
                tally.look(
                    "of collections", f"{name} as {asker}", wanted, actual, fine=fine
                )
    _ask_with_every_method(asking, tally)
    with capsys.disabled():
        print(f"\naccess matrix: {tally.told()}")  # noqa: T201 - the count is the point

    assert [] == tally.wrong, "\n" + "\n".join(tally.wrong[:200])
    assert set() == asking.undescribed
    assert tally.total >= CELLS_AT_LEAST


def test_h3_no_cookie_changes_anything_without_its_session_s_token(
    world: AccessWorld, asking: Asking
) -> None:
    unsafe = {
        name: rule
        for name, rules in RULES.items()
        for rule in rules
        if not name.startswith(("GET ", "HEAD ")) and not rule.anyone
    }
    filled = {"recording_id": world.things[Thing(place=Place.GROUP)]}
    answers = {
        (name, asker): asking(
            name,
            rule,
            asker,
            filled | dict(rule.fill(world, asker) if rule.fill else {}),
            riding=True,
        ).status
        for name, rule in unsafe.items()
        for asker in ("supervisor", "officer", "administrator", "locked")
    }

    assert {} == {
        where: status for where, status in answers.items() if status[:3] != "403"
    }


FORBIDDEN = MappingProxyType(
    {
        "role": "administrator",
        "roles": ["administrator"],
        "team_id": 1,
        "workgroup_id": "sales",
        "retention": "never",
        "hold": True,
        "held": True,
        "owner": "agent",
        "owner_id": 1,
        "user_id": 1,
        "id": "3f0c1a52-9d3e-4c5b-8a57-0f6f2f6f2f6f",
        "created_at": "2026-11-23T00:00:00Z",
        "expires": "2036-11-23T00:00:00Z",
        "is_admin": True,
        "disabled": False,
        "__proto__": {"is_admin": True},
    }
)


def shapes() -> dict[str, type[BaseModel]]:
    """Return the model of every body that either API reads."""
    forks = create_forks_app(cast("SessionDesk", None), cast("DeviceDirectory", None))
    found: dict[str, type[BaseModel]] = {}
    for route in (*api_routes(), *forks.routes):
        if not isinstance(route, APIRoute):
            continue
        for one in route.dependant.dependencies:
            shape = getattr(one.call, "shape", None)
            if shape is not None:
                found[f"{min(route.methods)} {route.path}"] = shape
    return found


def refused_members(shape: type[BaseModel], names: Iterable[str]) -> set[str]:
    """Return which of *names* the model itself refuses as unknown."""
    refused = set()
    for name in names:
        try:
            shape.model_validate({name: FORBIDDEN.get(name)})
        except ValidationError as error:
            kinds = {(one["loc"], one["type"]) for one in error.errors()}
            if ((name,), "extra_forbidden") in kinds:
                refused.add(name)
    return refused


def test_h5_no_model_of_a_body_takes_a_member_that_it_does_not_name() -> None:
    bodies = shapes()
    unknown = {name: set(FORBIDDEN) - set(bodies[name].model_fields) for name in bodies}

    assert len(bodies) >= 8
    assert unknown == {
        name: refused_members(shape, unknown[name]) for name, shape in bodies.items()
    }


def test_h5_a_body_with_one_member_more_is_refused_whoever_sends_it(
    world: AccessWorld, asking: Asking
) -> None:
    taken = {
        (name, member): asking(
            name, replace(rule, body=dict(rule.body) | {member: value}), asker, {}
        ).status
        for name, shape in shapes().items()
        for rule in RULES.get(name, [])[:1]
        if rule.body is not None and "{" not in name
        for asker in KINDS
        if rule.anyone or (KINDS[asker].is_in and not KINDS[asker].session)
        for member, value in FORBIDDEN.items()
        if member not in shape.model_fields
        and (not rule.right or rule.right in KINDS[asker].rights)
        and asker in {"supervisor", "administrator", "officer"}
    }

    assert {} == {
        where: status
        for where, status in taken.items()
        if status != "422 invalid-input"
    }
    assert len(taken) >= 100


def _ask_of_things(
    world: AccessWorld,
    asking: Asking,
    tally: Tally,
    way: tuple[str, Rule, str],
    *,
    in_every_state: bool,
) -> None:
    name, rule, asker = way
    missing: Answer | None = None
    refused = []
    for thing, recording_id in things_for(world, asker, in_every_state=in_every_state):
        wanted = expected(name, rule, asker, thing)
        answer = asking(name, rule, asker, {"recording_id": recording_id})
        where = f"{name} {dict(rule.path)} {rule.body or ''} as {asker} of {thing}"
        fine = matches(wanted, answer.status)
        tally.look("of recordings", where, wanted, answer.status, fine=fine)
        if rule.changes and answer.status[0] == "2":
            world.put_right(thing)
        if thing.place is Place.MISSING:
            missing = answer
        if not (KINDS[asker].is_in and thing.is_seen_by(asker, rule.over)):
            refused.append((where, answer))
    # Forbidden is missing, to the last header and octet.
    tally.wrong += [
        f"{where}: told apart from what is missing"
        for where, answer in refused
        if missing is None or answer.print != missing.print
    ]


def _ask_with_every_method(asking: Asking, tally: Tally) -> None:
    """Ask every path with the methods that it does not have."""
    paths: dict[str, set[str]] = {}
    for one in RULES:
        method, _, path = one.partition(" ")
        paths.setdefault(path, set()).add(method)
    shapes = {path: _shape(path) for path in paths}
    for path, known in paths.items():
        # Another template may have the same shape: /extensions/match is also an id.
        alike = set().union(
            *(paths[p] for p in paths if _overlaps(shapes[p], shapes[path]))
        )
        for method in METHODS:
            if method in known | alike:
                continue
            for asker in ("administrator",):
                answer = asking(f"{method} {path}", Rule(), asker, {})
                fine = answer.status.startswith("405")
                tally.look(
                    "of other methods",
                    f"{method} {path} as {asker}",
                    "405",
                    answer.status,
                    fine=fine,
                )


def _shape(path: str) -> list[str]:
    return path.split("/")


def _overlaps(one: list[str], other: list[str]) -> bool:
    return len(one) == len(other) and all(
        a == b or a.startswith("{") or b.startswith("{")
        for a, b in zip(one, other, strict=True)
    )
