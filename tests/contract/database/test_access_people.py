import pytest
from sqlalchemy import Engine

from vault.access.activations import begin
from vault.access.held_factors import HeldFactors
from vault.access.people import People
from vault.access.permissions import Role
from vault.access.policy import Person
from vault.access.sessions import Sessions
from vault.access.tokens import Tokens
from vault.access.workgroups import DEFAULT_WORKGROUP, Workgroups
from vault.core.clock import Clock
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.ids import UserId
from vault.database.engine import transaction


@pytest.fixture
def people(catalog_engine: Engine) -> People:
    return People(catalog_engine)


@pytest.fixture
def alice(people: People) -> Person:
    return people.add("alice", [Role.SUPERVISOR], ["Sales"], "hash").person


class TestAdd:
    def test_a_missing_workgroup_is_made_and_named(
        self, people: People, catalog_engine: Engine
    ) -> None:
        added = people.add("alice", [Role.SUPERVISOR], ["Sales", "default"], "hash")

        assert ["Sales"] == [group.name for group in added.workgroups_made]
        assert {DEFAULT_WORKGROUP, added.workgroups_made[0].id} == set(
            added.person.workgroups
        )
        assert added.person == people.by_name("alice")
        assert added.person == people.by_id(added.person.id)

    def test_the_same_workgroup_under_two_spellings_is_one(
        self, people: People
    ) -> None:
        added = people.add(
            "alice", [], ["Sales", "SALES ", "\uff53\uff41\uff4c\uff45\uff53"], "hash"
        )

        assert len(added.person.workgroups) == 1

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("Slaes", "no workgroup Slaes: do you mean Sales?"),
            ("Zoo", "no workgroup Zoo$"),
            ("a\0b", "printable"),
            ("x" * 65, "printable"),
        ],
    )
    def test_a_workgroup_that_must_be_there_is_found_in_any_spelling(
        self, catalog_engine: Engine, alice: Person, name: str, said: str
    ) -> None:
        workgroups = Workgroups(catalog_engine)
        workgroups.insist_on(["SALES ", "default"])

        assert alice.workgroups
        with pytest.raises(InvalidInputError, match=said):
            workgroups.insist_on(["sales", name])

    def test_several_roles_are_kept(self, people: People) -> None:
        added = people.add("carl", [Role.OFFICER, Role.SUPERVISOR], [], "hash")

        assert {Role.OFFICER, Role.SUPERVISOR} == set(added.person.roles)

    @pytest.mark.parametrize(
        "twin", ["alice", "ALICE", "\uff41\uff4c\uff49\uff43\uff45", "Alice"]
    )
    def test_a_name_that_reads_like_anothers_is_refused(
        self, people: People, alice: Person, twin: str
    ) -> None:
        with pytest.raises(ConflictError):
            people.add(twin, [], [], "hash")

    @pytest.mark.parametrize("name", ["", "a b", "a\0b", "a" * 65, "a/b", "\ud800"])
    def test_what_is_no_name_is_refused(self, people: People, name: str) -> None:
        with pytest.raises(InvalidInputError):
            people.add(name, [], [], "hash")

    def test_a_refused_account_leaves_no_workgroup_behind(
        self, people: People, catalog_engine: Engine, alice: Person
    ) -> None:
        with pytest.raises(ConflictError):
            people.add("ALICE", [], ["Ghosts"], "hash")

        assert "Ghosts" not in Workgroups(catalog_engine).names().values()


class TestChange:
    def test_before_and_after_are_told(self, people: People, alice: Person) -> None:
        changed = people.change(alice.id, roles=[Role.AGENT], workgroups=[])

        assert alice == changed.before
        assert (frozenset({Role.AGENT}), frozenset()) == (
            changed.after.roles,
            changed.after.workgroups,
        )

    def test_none_leaves_things_as_they_are(
        self, people: People, alice: Person
    ) -> None:
        assert alice == people.change(alice.id).after

    def test_nobody_is_not_found(self, people: People) -> None:
        with pytest.raises(NotFoundError):
            people.change(UserId("nobody"), roles=[])


class TestDisable:
    def test_sessions_and_tokens_end_with_the_account(
        self, people: People, catalog_engine: Engine, alice: Person, clock: Clock
    ) -> None:
        sessions = Sessions(catalog_engine, clock=clock)
        tokens = Tokens(catalog_engine, clock=clock)
        sessions.open(alice.id)
        sessions.open(alice.id)
        tokens.add(alice.id, "script")

        changed = people.disable(alice.id)

        assert (True, 2, 1) == (
            changed.after.disabled,
            changed.sessions_ended,
            changed.tokens_revoked,
        )
        assert ((), ()) == (sessions.list(alice.id), tokens.list(alice.id))


class TestLookUp:
    def test_the_list_is_by_name_and_holds_everybody(self, people: People) -> None:
        for name in ("Zoe", "adam", "Ben"):
            people.add(name, [], [], "hash")
        people.disable(people.by_name("ben").id)

        assert ["adam", "Ben", "Zoe"] == [one.name for one in people.list()]

    @pytest.mark.parametrize("name", ["bob", "", "a\0", "\ud800", "x" * 10_000])
    def test_an_unknown_name_is_not_found(self, people: People, name: str) -> None:
        with pytest.raises(NotFoundError):
            people.by_name(name)

    def test_an_unknown_id_is_not_found(self, people: People) -> None:
        with pytest.raises(NotFoundError):
            people.by_id(UserId("nobody"))


class TestIds:
    @pytest.mark.parametrize("bad", ["\0", "\ud800", ""])
    def test_what_no_database_can_hold_is_nobodys_id(
        self, catalog_engine: Engine, people: People, bad: str
    ) -> None:
        def begun() -> None:
            with transaction(catalog_engine) as connection:
                begin(connection, UserId(bad), b"", now_ns=1)

        for what in (
            begun,
            lambda: people.by_id(UserId(bad)),
            lambda: people.change(UserId(bad), roles=[]),
            lambda: people.disable(UserId(bad)),
            lambda: HeldFactors(catalog_engine).reset(UserId(bad), tell=print),
        ):
            with pytest.raises(NotFoundError):
                what()


class TestWorkgroups:
    def test_a_snapshot_places_a_call_however_it_is_spelled(
        self, people: People, catalog_engine: Engine, alice: Person
    ) -> None:
        snapshot = Workgroups(catalog_engine).snapshot()
        (sales,) = alice.workgroups

        assert sales == snapshot.workgroup("  sales ")
        assert DEFAULT_WORKGROUP == snapshot.workgroup("Default")
        assert alice.id == snapshot.agent("ALICE")
        assert (None, None) == (snapshot.workgroup("other"), snapshot.agent("bob"))
        assert (None, None) == (snapshot.workgroup("\0"), snapshot.agent("\ud800"))

    def test_adding_one_again_returns_the_same(self, catalog_engine: Engine) -> None:
        groups = Workgroups(catalog_engine)
        made, is_new = groups.add("Support")

        assert is_new
        assert (made, False) == groups.add("SUPPORT")
