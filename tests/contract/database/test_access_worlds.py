"""H4: whatever the company looks like, lists, counts, searches and single reads show
what the reader may know of and nothing else.

Who may know of what is computed here from docs/reference/permissions.md, over plain
values; the product answers from tables that hold the same company.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, Table, delete, insert

from vault.access.people import People
from vault.access.permissions import Permission
from vault.access.policy import scope_of
from vault.access.tables import (
    GRANTED_RIGHT,
    PERSON,
    PERSON_ROLE,
    PERSON_WORKGROUP,
    RECORDING_CLASS,
    WORKGROUP,
)
from vault.catalog.recordings import Recordings
from vault.catalog.tables import INDEX_TOKEN, RECORDING
from vault.core.clock import system_clock_ns
from vault.core.errors import NotFoundError
from vault.core.flow import RecordingState, VisibilityScope
from vault.core.ids import RecordingId, UserId, WorkgroupId
from vault.database.engine import transaction
from vault.trust.interfaces import IndexToken

READ, PLAY = "recording:metadata:read", "recording:media:play"
HEARERS = ("supervisor", "quality")
ROLES = ("agent", "supervisor", "quality", "officer", "administrator", "custodian")
GROUPS, PEOPLE = 5, 3
HOUR_NS = 3600 * 10**9
TOKEN = b"t" * 32
TABLES: tuple[Table, ...] = (
    INDEX_TOKEN,
    GRANTED_RIGHT,
    PERSON_ROLE,
    PERSON_WORKGROUP,
    RECORDING,
    PERSON,
    WORKGROUP,
    RECORDING_CLASS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    parent: int | None
    secret: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Somebody:
    roles: frozenset[str]
    groups: frozenset[int]
    disabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    holder: tuple[str, int | str]
    permission: str
    scope: tuple[str, int | str]
    hours: tuple[int, int | None]
    "From now: when it begins and when it ends."


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    group: int | None
    agent: int | None
    secret: bool
    state: RecordingState


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    groups: tuple[Group, ...]
    people: tuple[Somebody, ...]
    rights: tuple[Right, ...]
    calls: tuple[Call, ...]

    def family(self, groups: frozenset[int]) -> frozenset[int]:
        """Return *groups* and all below them."""
        found = set(groups)
        for number, group in enumerate(self.groups):  # parents come first
            if group.parent in found:
                found.add(number)
        return frozenset(found)

    def may(self, person: int, permission: str, call: Call) -> bool:
        """Whether somebody has a right over a call, by the documents."""
        who = self.people[person]
        if who.disabled or call.group is None:
            return False
        if who.roles.intersection(HEARERS) and call.group in self.family(who.groups):
            return True
        return any(
            right.permission == permission
            and right.hours[0] <= 0
            and (right.hours[1] is None or right.hours[1] > 0)
            and self._holds(person, right)
            and self._reaches(person, right, call)
            for right in self.rights
        )

    def _holds(self, person: int, right: Right) -> bool:
        kind, who = right.holder
        somebody = self.people[person]
        return who in {
            "user": {person},
            "workgroup": somebody.groups,
            "role": somebody.roles,
        }.get(kind, set())

    def _reaches(self, person: int, right: Right, call: Call) -> bool:
        kind, what = right.scope
        if kind == "own":
            return call.agent == person
        if kind == "workgroup":
            named = self.people[person].groups if what == "" else frozenset({int(what)})
            return call.group in self.family(named)
        if kind == "class":
            assert call.group is not None
            return call.secret or self.groups[call.group].secret
        return True


def parents(number: int) -> st.SearchStrategy[int | None]:
    """Return a parent among those before; long families are likely."""
    above = [number - 1] * 3 if number else []
    return st.sampled_from([*above, *range(number), None])


groups = st.tuples(
    *(
        st.builds(Group, parent=parents(number), secret=st.booleans())
        for number in range(GROUPS)
    )
)
some_groups = st.frozensets(st.integers(0, GROUPS - 1), max_size=2)
somebody = st.builds(
    Somebody,
    roles=st.frozensets(st.sampled_from([*ROLES, *HEARERS]), max_size=2),
    groups=some_groups,
    disabled=st.sampled_from([False, False, False, True]),
)
rights = st.builds(
    Right,
    holder=st.one_of(
        st.tuples(st.just("user"), st.integers(0, PEOPLE - 1)),
        st.tuples(st.just("workgroup"), st.integers(0, GROUPS - 1)),
        st.tuples(st.just("role"), st.sampled_from(ROLES)),
    ),
    permission=st.sampled_from([READ, PLAY]),
    scope=st.one_of(
        st.just(("own", "")),
        st.just(("workgroup", "")),
        st.tuples(st.just("workgroup"), st.integers(0, GROUPS - 1)),
        st.just(("class", "secret")),
        st.just(("all", "")),
    ),
    hours=st.sampled_from([(-2, None), (-2, 1), (-2, -1), (1, None), (1, 2)]),
)
calls = st.builds(
    Call,
    group=st.sampled_from([None, *range(GROUPS)]),
    agent=st.sampled_from([None, *range(PEOPLE)]),
    secret=st.booleans(),
    state=st.sampled_from(RecordingState),
)
companies = st.builds(
    Company,
    groups=groups,
    people=st.tuples(*[somebody] * PEOPLE),
    rights=st.lists(rights, max_size=4).map(tuple),
    calls=st.lists(calls, max_size=12).map(tuple),
)


def user(number: int) -> UserId:
    return UserId(f"person-{number}")


def group(number: int) -> WorkgroupId:
    return WorkgroupId(f"group-{number}")


def rows_of(company: Company, now_ns: int) -> dict[Table, list[dict[str, Any]]]:
    """Return the tables that hold *company*."""
    return {
        RECORDING_CLASS: [
            {"name": "secret", "needs_reason": False, "needs_approval": False}
        ],
        WORKGROUP: [
            {
                "id": group(number),
                "name": group(number),
                "name_key": group(number),
                "parent_id": None if one.parent is None else group(one.parent),
                "class_name": "secret" if one.secret else "",
            }
            for number, one in enumerate(company.groups)
        ],
        PERSON: [
            {
                "id": user(number),
                "name": user(number),
                "name_key": user(number),
                "password_hash": "h",
                "disabled": one.disabled,
            }
            for number, one in enumerate(company.people)
        ],
        PERSON_ROLE: [
            {"user_id": user(number), "role": role}
            for number, one in enumerate(company.people)
            for role in one.roles
        ],
        PERSON_WORKGROUP: [
            {"user_id": user(number), "workgroup_id": group(each)}
            for number, one in enumerate(company.people)
            for each in one.groups
        ],
        GRANTED_RIGHT: [
            {
                "id": f"right-{number}",
                "holder_kind": one.holder[0],
                "holder": _name(*one.holder),
                "permission": one.permission,
                "scope_kind": one.scope[0],
                "scope_value": _name(*one.scope),
                "valid_from_ns": now_ns + one.hours[0] * HOUR_NS,
                "valid_until_ns": None
                if one.hours[1] is None
                else now_ns + one.hours[1] * HOUR_NS,
                "created_ns": now_ns,
                "granted_by": "process:test",
            }
            for number, one in enumerate(company.rights)
        ],
        RECORDING: [
            {
                "id": f"call-{number}",
                "state": str(one.state),
                "workgroup_id": None if one.group is None else group(one.group),
                "agent_id": None if one.agent is None else user(one.agent),
                "class_name": "secret" if one.secret else None,
                "day": date(2026, 11, 1 + number),
            }
            for number, one in enumerate(company.calls)
        ],
        INDEX_TOKEN: [
            {
                "recording_id": f"call-{number}",
                "field": "caller",
                "month": "2026-11",
                "token": TOKEN,
            }
            for number, one in enumerate(company.calls)
        ],
    }


def _name(kind: str, value: int | str) -> str:
    if isinstance(value, str):
        return value
    return user(value) if kind == "user" else group(value)


def fill(engine: Engine, company: Company) -> None:
    with transaction(engine) as connection:
        for table in TABLES:
            connection.execute(delete(table))
        for table, rows in rows_of(company, system_clock_ns()).items():
            if rows:
                connection.execute(insert(table), rows)


def listed(
    recordings: Recordings, scope: VisibilityScope, **criteria: Any
) -> list[str]:
    """Return what a reader finds who turns every page."""
    found: list[str] = []
    cursor = None
    while True:
        page = recordings.find(scope, cursor=cursor, limit=4, **criteria)
        found += [str(row.id) for row in page.rows]
        cursor = page.next
        if cursor is None:
            return found


def readable(recordings: Recordings, scope: VisibilityScope, one: str) -> bool:
    try:
        recordings.get(scope, RecordingId(one))
    except NotFoundError:
        return False
    return True


def test_h4_lists_counts_searches_and_reads_show_what_the_reader_may_know_of(
    catalog_engine: Engine,
) -> None:
    recordings, people = Recordings(catalog_engine), People(catalog_engine)
    tokens = [[IndexToken(field="caller", month="2026-11", token=TOKEN)]]

    @settings(
        max_examples=60,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
    )
    @given(company=companies)
    def holds(company: Company) -> None:
        fill(catalog_engine, company)
        names = [f"call-{number}" for number in range(len(company.calls))]
        for number in range(PEOPLE):
            person = people.by_id(user(number))
            for permission in (READ, PLAY):
                scope = scope_of(person, Permission(permission))
                allowed = {
                    name: call
                    for name, call in zip(names, company.calls, strict=True)
                    if company.may(number, permission, call)
                }

                assert sorted(allowed) == sorted(listed(recordings, scope))
                assert len(allowed) == recordings.count(scope)
                assert sorted(allowed) == sorted(
                    listed(recordings, scope, tokens=tokens)
                )
                assert sorted(allowed) == [
                    one for one in sorted(names) if readable(recordings, scope, one)
                ]
                for state in {call.state for call in company.calls}:
                    assert [] == sorted(
                        set(listed(recordings, scope, state=state))
                        ^ {one for one, call in allowed.items() if call.state is state}
                    )
                for each in {call.group for call in company.calls} - {None}:
                    assert [] == sorted(
                        set(listed(recordings, scope, workgroup_id=group(each or 0)))
                        ^ {one for one, call in allowed.items() if call.group == each}
                    )
                    assert recordings.count(
                        scope, workgroup_id=group(each or 0)
                    ) == sum(call.group == each for call in allowed.values())

    holds()
