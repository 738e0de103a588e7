from dataclasses import replace
from typing import Any, Protocol

import pytest
from sqlalchemy import Connection, Engine, insert, update

from vault.access.people import People
from vault.access.people_reading import read_person
from vault.access.permissions import OVER_RECORDINGS, Permission, Role, ScopeKind
from vault.access.policy import Person, scope_of
from vault.access.rights import HolderKind, NewRight, Right, Rights
from vault.access.tables import GRANTED_RIGHT, RECORDING_CLASS, WORKGROUP
from vault.access.workgroups import Workgroups
from vault.core.errors import InvalidInputError, NotFoundError
from vault.core.flow import Actor, ActorKind, VisibilityScope
from vault.core.ids import WorkgroupId
from vault.database.engine import reading, transaction

OPERATOR = Actor(kind=ActorKind.OPERATOR, id="1000")
PLAY = Permission.RECORDING_MEDIA_PLAY
READ = Permission.RECORDING_METADATA_READ


class Clock(Protocol):
    now_ns: int

    def __call__(self) -> int: ...

    def advance(self, seconds: float) -> None: ...


@pytest.fixture
def rights(catalog_engine: Engine, clock: Clock) -> Rights:
    return Rights(catalog_engine, clock=clock)


@pytest.fixture
def groups(catalog_engine: Engine) -> dict[str, WorkgroupId]:
    """Return a company: board apart, support above two desks; board is secret."""
    made = Workgroups(catalog_engine)
    ids = {name: made.add(name)[0].id for name in ("board", "support", "day", "night")}
    with transaction(catalog_engine) as connection:
        connection.execute(
            insert(RECORDING_CLASS).values(
                name="secret", needs_reason=True, needs_approval=False
            )
        )
        for name in ("day", "night"):
            _put(connection, ids[name], parent_id=ids["support"])
        _put(connection, ids["board"], class_name="secret")
    return ids


def _put(connection: Connection, group: WorkgroupId, **values: str) -> None:
    connection.execute(
        update(WORKGROUP).where(WORKGROUP.c.id == group).values(**values)
    )


@pytest.fixture
def ada(catalog_engine: Engine, groups: dict[str, WorkgroupId]) -> Person:
    people = People(catalog_engine)
    return people.add("ada", [Role.AGENT], ["support"], "h").person


class Company:
    """Asks what somebody holds at a moment."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self.clock = clock

    def scope(
        self,
        person: Person,
        permission: Permission = PLAY,
        *,
        now_ns: int | None = None,
    ) -> VisibilityScope:
        at = self.clock.now_ns if now_ns is None else now_ns
        with reading(self.engine) as connection:
            return scope_of(read_person(connection, person.id, now_ns=at), permission)


@pytest.fixture
def company(catalog_engine: Engine, clock: Clock) -> Company:
    return Company(catalog_engine, clock)


def to(person: Person, **members: Any) -> NewRight:
    plain = NewRight(
        holder_kind=HolderKind.USER,
        holder=person.id,
        permission=PLAY,
        scope_kind=ScopeKind.OWN,
    )
    return replace(plain, **members)


class TestHolders:
    def test_a_person_a_workgroup_or_a_role_holds_it(
        self,
        rights: Rights,
        company: Company,
        catalog_engine: Engine,
        ada: Person,
        groups: dict[str, WorkgroupId],
    ) -> None:
        bob = People(catalog_engine).add("bob", [Role.OFFICER], ["board"], "h").person
        for kind, holder in (
            (HolderKind.USER, str(ada.id)),
            (HolderKind.WORKGROUP, str(groups["support"])),
            (HolderKind.ROLE, "agent"),
        ):
            given = rights.add(
                to(ada, holder_kind=kind, holder=holder), granted_by=OPERATOR
            )

            assert (True, False) == (
                company.scope(ada).own,
                company.scope(bob).own,
            )
            rights.revoke(given.id)
            assert company.scope(ada).is_empty

    def test_a_right_of_a_workgroup_is_not_inherited_by_those_below(
        self,
        rights: Rights,
        company: Company,
        catalog_engine: Engine,
        ada: Person,
        groups: dict[str, WorkgroupId],
    ) -> None:
        """Its members hold it; who reaches which calls is the scope's business."""
        dora = People(catalog_engine).add("dora", [Role.AGENT], ["day"], "h").person
        rights.add(
            to(ada, holder_kind=HolderKind.WORKGROUP, holder=groups["support"]),
            granted_by=OPERATOR,
        )

        assert (False, True) == (
            company.scope(ada).is_empty,
            company.scope(dora).is_empty,
        )

    def test_a_disabled_person_holds_nothing(
        self, rights: Rights, company: Company, catalog_engine: Engine, ada: Person
    ) -> None:
        rights.add(to(ada), granted_by=OPERATOR)
        People(catalog_engine).disable(ada.id)

        assert company.scope(ada).is_empty

    @pytest.mark.parametrize("kind", HolderKind)
    @pytest.mark.parametrize("holder", ["", "nobody", "a\0b", "\ud800"])
    def test_a_holder_that_is_not_there_is_not_found(
        self, rights: Rights, ada: Person, kind: HolderKind, holder: str
    ) -> None:
        with pytest.raises(NotFoundError):
            rights.add(to(ada, holder_kind=kind, holder=holder), granted_by=OPERATOR)


class TestScopes:
    def test_a_named_workgroup_and_all_below_it(
        self,
        rights: Rights,
        company: Company,
        ada: Person,
        groups: dict[str, WorkgroupId],
    ) -> None:
        rights.add(
            to(
                ada,
                scope_kind=ScopeKind.WORKGROUP,
                scope_value=groups["support"],
            ),
            granted_by=OPERATOR,
        )

        assert {groups[one] for one in ("support", "day", "night")} == set(
            company.scope(ada).workgroups
        )

    def test_no_name_means_the_persons_own(
        self,
        rights: Rights,
        company: Company,
        catalog_engine: Engine,
        ada: Person,
        groups: dict[str, WorkgroupId],
    ) -> None:
        dora = People(catalog_engine).add("dora", [Role.AGENT], ["day"], "h").person
        rights.add(
            to(
                ada,
                holder_kind=HolderKind.ROLE,
                holder="agent",
                scope_kind=ScopeKind.WORKGROUP,
            ),
            granted_by=OPERATOR,
        )

        assert {groups["day"]} == set(company.scope(dora).workgroups)
        assert {groups[one] for one in ("support", "day", "night")} == set(
            company.scope(ada).workgroups
        )

    def test_a_class_is_its_recordings_and_its_workgroups(
        self,
        rights: Rights,
        company: Company,
        ada: Person,
        groups: dict[str, WorkgroupId],
    ) -> None:
        rights.add(
            to(ada, scope_kind=ScopeKind.CLASS, scope_value="secret"),
            granted_by=OPERATOR,
        )
        scope = company.scope(ada)

        assert (frozenset({"secret"}), frozenset({groups["board"]}), frozenset()) == (
            scope.classes,
            scope.class_workgroups,
            scope.workgroups,
        )

    def test_all_is_everything(
        self, rights: Rights, company: Company, ada: Person
    ) -> None:
        rights.add(to(ada, scope_kind=ScopeKind.ALL), granted_by=OPERATOR)

        assert company.scope(ada).everything
        assert company.scope(ada, READ).is_empty

    @pytest.mark.parametrize(
        "permission", sorted(set(Permission) - OVER_RECORDINGS), ids=str
    )
    def test_what_is_not_over_recordings_knows_only_all(
        self, rights: Rights, ada: Person, permission: Permission
    ) -> None:
        with pytest.raises(InvalidInputError):
            rights.add(to(ada, permission=permission), granted_by=OPERATOR)

    @pytest.mark.parametrize("kind", [ScopeKind.OWN, ScopeKind.ALL])
    def test_a_value_where_none_belongs_is_refused(
        self, rights: Rights, ada: Person, kind: ScopeKind
    ) -> None:
        with pytest.raises(InvalidInputError):
            rights.add(to(ada, scope_kind=kind, scope_value="x"), granted_by=OPERATOR)

    @pytest.mark.parametrize("kind", [ScopeKind.WORKGROUP, ScopeKind.CLASS])
    @pytest.mark.parametrize("value", ["nothing", "a\0b", "\ud800"])
    def test_a_scope_that_is_not_there_is_not_found(
        self, rights: Rights, ada: Person, kind: ScopeKind, value: str
    ) -> None:
        with pytest.raises(NotFoundError):
            rights.add(to(ada, scope_kind=kind, scope_value=value), granted_by=OPERATOR)

    def test_a_class_needs_its_name(self, rights: Rights, ada: Person) -> None:
        with pytest.raises(NotFoundError):
            rights.add(to(ada, scope_kind=ScopeKind.CLASS), granted_by=OPERATOR)


class TestValidity:
    def test_it_counts_from_its_first_nanosecond_to_before_its_last(
        self, rights: Rights, company: Company, clock: Clock, ada: Person
    ) -> None:
        start = clock.now_ns + 100
        rights.add(
            to(ada, valid_from_ns=start, valid_until_ns=start + 2), granted_by=OPERATOR
        )

        assert [True, False, False, True] == [
            company.scope(ada, now_ns=start + n).is_empty for n in (-1, 0, 1, 2)
        ]

    def test_without_a_beginning_it_counts_from_now(
        self, rights: Rights, company: Company, clock: Clock, ada: Person
    ) -> None:
        given = rights.add(to(ada), granted_by=OPERATOR)

        assert clock.now_ns == given.given.valid_from_ns
        assert not company.scope(ada).is_empty
        assert company.scope(ada, now_ns=clock.now_ns - 1).is_empty

    @pytest.mark.parametrize("length", [0, -1])
    def test_an_end_that_is_not_after_the_beginning_is_refused(
        self, rights: Rights, clock: Clock, ada: Person, length: int
    ) -> None:
        with pytest.raises(InvalidInputError):
            rights.add(
                to(ada, valid_until_ns=clock.now_ns + length), granted_by=OPERATOR
            )

    def test_what_has_ended_is_not_listed(
        self, rights: Rights, clock: Clock, ada: Person
    ) -> None:
        kept = rights.add(to(ada), granted_by=OPERATOR)
        rights.add(to(ada, valid_until_ns=clock.now_ns + 1), granted_by=OPERATOR)

        assert len(rights.list()) == 2
        clock.advance(1)
        assert (kept,) == rights.list()


class TestRevoke:
    def test_it_says_what_it_was(
        self, rights: Rights, company: Company, ada: Person
    ) -> None:
        given = rights.add(to(ada), granted_by=OPERATOR)

        assert (given, "os:1000") == (rights.revoke(given.id), given.granted_by)
        assert () == rights.list()

    @pytest.mark.parametrize("right_id", ["", "nothing", "a\0b", "\ud800"])
    def test_what_is_not_there_is_not_found(
        self, rights: Rights, right_id: str
    ) -> None:
        with pytest.raises(NotFoundError):
            rights.revoke(right_id)


@pytest.mark.parametrize(
    "column", ["permission", "holder"], ids=["permission", "holder"]
)
def test_a_row_of_a_version_that_knew_more_gives_nothing(
    rights: Rights,
    company: Company,
    catalog_engine: Engine,
    ada: Person,
    column: str,
) -> None:
    rights.add(to(ada, scope_kind=ScopeKind.ALL), granted_by=OPERATOR)
    with transaction(catalog_engine) as connection:
        connection.execute(
            update(GRANTED_RIGHT).values({column: "recording:media:rewrite"})
        )

    assert all(company.scope(ada, one).is_empty for one in Permission)
    assert not any(one.holder == ada.id for one in _given(rights))


def _given(rights: Rights) -> list[NewRight]:
    return [one.given for one in rights.list()]


def test_a_loop_of_workgroups_ends_the_walk_and_not_the_process(
    rights: Rights,
    company: Company,
    catalog_engine: Engine,
    ada: Person,
    groups: dict[str, WorkgroupId],
) -> None:
    with transaction(catalog_engine) as connection:
        _put(connection, groups["support"], parent_id=groups["night"])
    rights.add(to(ada, scope_kind=ScopeKind.WORKGROUP), granted_by=OPERATOR)

    assert {groups[one] for one in ("support", "day", "night")} == set(
        company.scope(ada).workgroups
    )


def test_a_right_is_what_was_given(rights: Rights, clock: Clock, ada: Person) -> None:
    new = to(ada, permission=READ, scope_kind=ScopeKind.ALL, is_emergency=True)
    given: Right = rights.add(new, granted_by=OPERATOR)

    assert replace(new, valid_from_ns=clock.now_ns) == given.given
    assert clock.now_ns == given.created_ns
