"""Who is asked, whose account it is, and who is still in: on both databases."""

from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import Engine

from tests.simulators.people_source import PASSWORD, PeopleSource
from vault.access.authenticators import Authenticator, Verified
from vault.access.group_map import GroupMap
from vault.access.local import LocalPeople
from vault.access.passwords import Passwords
from vault.access.people import People
from vault.access.permissions import Role
from vault.access.policy import SessionKind
from vault.access.provisioning import AccountChanged, AccountConfig, Accounts
from vault.access.sessions import Sessions
from vault.access.signin import REFUSED, SignIn, SignInConfig
from vault.access.standing import StandingCheck
from vault.access.throttle import Throttle
from vault.access.tokens import Tokens
from vault.access.workgroups import Workgroups
from vault.core.clock import Clock
from vault.core.errors import (
    AuditUnavailableError,
    NotAuthenticatedError,
    ThrottledError,
    UnavailableError,
)
from vault.core.ids import UserId

LOCAL_PASSWORD = "a password of the vault"
ORIGIN = "192.0.2.1"
MAP = {
    "listeners": "supervisor, workgroup:Claims",
    "admins": "administrator",
    "claims": "workgroup:Claims",
}


class House:
    """A vault with local people and one source of others."""

    def __init__(self, engine: Engine, passwords: Passwords, clock: Clock) -> None:
        self.engine, self.passwords, self.clock = engine, passwords, clock
        self.ldap = PeopleSource()
        self.plugin = PeopleSource("plugin:other")
        self.told: list[AccountChanged] = []
        self.pauses: list[float] = []
        self.people = People(engine, clock=clock)
        self.sessions = Sessions(engine, clock=clock)
        self.tokens = Tokens(engine, clock=clock)
        self.use()

    def use(
        self,
        *order: str,
        groups: dict[str, str] | None = None,
        tell: Callable[[AccountChanged], None] | None = None,
        config: SignInConfig | None = None,
        **settings: float,
    ) -> None:
        """Set the order of sources and what groups mean."""
        by_name: dict[str, Authenticator] = {
            "local": LocalPeople(self.engine, self.passwords),
            "ldap": self.ldap,
            "plugin": self.plugin,
        }
        self.chain = [by_name[one] for one in order or ("local", "ldap", "plugin")]
        self.accounts = Accounts(
            self.engine,
            AccountConfig(
                group_map=GroupMap.parse(MAP if groups is None else groups),
                trust_s=900,
                rechecked=frozenset({"ldap"}),
                **settings,
            ),
            tell=tell or self.told.append,
            clock=self.clock,
        )
        self.sign_in = SignIn(
            self.engine,
            authenticators=self.chain,
            accounts=self.accounts,
            throttle=Throttle(self.engine, clock=self.clock),
            sessions=self.sessions,
            config=config,
            pause=self.pauses.append,
        )
        self.check = StandingCheck(
            self.engine, self.chain, self.accounts, every_s=30, clock=self.clock
        )

    def local(self, name: str, *roles: Role) -> UserId:
        """Add somebody whose password is kept here."""
        hashed = self.passwords.hash(LOCAL_PASSWORD)
        return self.people.add(name, roles, [], hashed).person.id

    def comes_in(self, name: str, password: str = PASSWORD) -> UserId:
        """Sign somebody in; return whose account it is."""
        opened = self.sign_in.password(name, password, ORIGIN)
        return opened.session.user_id

    def refused(self, name: str, password: str) -> type[Exception]:
        """Return how somebody is refused."""
        with pytest.raises((NotAuthenticatedError, UnavailableError)) as caught:
            self.sign_in.password(name, password, ORIGIN)
        if caught.type is NotAuthenticatedError:
            assert REFUSED == str(caught.value)
        return caught.type

    def workgroups(self, user_id: UserId) -> set[str]:
        """Return the names of somebody's workgroups."""
        names = Workgroups(self.engine).names()
        return {names[one] for one in self.people.by_id(user_id).workgroups}


@pytest.fixture
def house(catalog_engine: Engine, passwords: Passwords, clock: Clock) -> House:
    return House(catalog_engine, passwords, clock)


class TestWhoIsAsked:
    def test_a_person_is_checked_by_their_own_source_alone(self, house: House) -> None:
        house.local("sam", Role.SUPERVISOR)
        house.ldap.add("sam", "listeners")
        house.comes_in("sam", LOCAL_PASSWORD)

        assert [] == house.ldap.asked
        assert NotAuthenticatedError is house.refused("sam", PASSWORD)
        assert "sam" not in [name for name, _ in house.ldap.asked]
        assert PASSWORD not in [password for _, password in house.ldap.asked]

    def test_h42_a_wrong_password_never_falls_through(self, house: House) -> None:
        house.ldap.add("ann", "listeners")
        house.plugin.add("ann", "admins")
        house.plugin.people["ann"] = house.plugin.people["ann"]
        house.use("local", "plugin", "ldap")
        house.comes_in("ann")
        house.ldap.asked.clear()

        assert NotAuthenticatedError is house.refused("ann", "something else")
        assert "ann" not in [name for name, _ in house.ldap.asked]

    def test_the_first_time_too_a_wrong_password_stops_at_who_knows_the_name(
        self, house: House
    ) -> None:
        house.ldap.add("ann", "listeners")
        house.plugin.add("ann", "admins")

        assert NotAuthenticatedError is house.refused("ann", "something else")
        assert "ann" not in [name for name, _ in house.plugin.asked]

    def test_a_name_that_nobody_knows_so_far_goes_down_the_order(
        self, house: House
    ) -> None:
        house.plugin.add("pat", "listeners")
        user_id = house.comes_in("pat")

        assert [("pat", PASSWORD)] == house.ldap.asked
        assert "plugin:other" == house.people.by_id(user_id).source

    def test_h42_a_source_that_is_down_is_not_passed_over(self, house: House) -> None:
        house.plugin.add("pat", "listeners")
        house.ldap.is_down = True

        assert UnavailableError is house.refused("pat", PASSWORD)
        assert "pat" not in [name for name, _ in house.plugin.asked]

    def test_h42_while_a_source_is_down_people_of_others_come_in(
        self, house: House
    ) -> None:
        house.local("sam", Role.SUPERVISOR)
        house.plugin.add("pat", "listeners")
        house.comes_in("pat")
        house.ldap.is_down = True

        assert house.comes_in("sam", LOCAL_PASSWORD)
        assert house.comes_in("pat")

    def test_while_a_source_is_down_every_refusal_is_the_same(
        self, house: House
    ) -> None:
        house.local("sam", Role.SUPERVISOR)
        house.ldap.add("ann", "listeners")
        house.comes_in("ann")
        house.ldap.is_down = True

        assert {UnavailableError} == {
            house.refused(name, "wrong")
            for name in ("sam", "ann", "nobody", "*)(uid=*")
        }

    def test_every_refusal_asks_every_source_once_and_shows_the_password_to_one(
        self, house: House
    ) -> None:
        house.local("sam", Role.SUPERVISOR)
        house.people.disable(house.local("gone"))
        house.ldap.add("ann", "listeners")
        house.comes_in("ann")
        for name in ("sam", "gone", "ann"):
            house.ldap.asked.clear()
            house.plugin.asked.clear()
            house.refused(name, "my wrong password")

            asked = [*house.ldap.asked, *house.plugin.asked]
            assert 2 == len(asked)
            shown = [who for who, given in asked if given == "my wrong password"]
            assert ([] if name != "ann" else ["ann"]) == shown

    def test_a_refusal_waits_for_the_next_whole_step(self, house: House) -> None:
        house.use(config=SignInConfig(refusal_step_s=1000.0))
        house.refused("nobody", "wrong")

        assert 1 == len(house.pauses)
        assert 0 < house.pauses[0] <= 1000

    def test_who_answers_to_another_name_than_was_typed_is_refused(
        self, house: House
    ) -> None:
        house.ldap.add("ann", "listeners")
        house.ldap.people["ann@example.org"] = house.ldap.people["ann"]

        assert NotAuthenticatedError is house.refused("ann@example.org", PASSWORD)

    def test_a_source_that_was_taken_out_of_the_order_lets_nobody_in(
        self, house: House
    ) -> None:
        house.ldap.add("ann", "listeners")
        house.comes_in("ann")
        house.use("local", "plugin")

        assert NotAuthenticatedError is house.refused("ann", PASSWORD)

    def test_h43_all_sources_share_one_budget(self, house: House) -> None:
        house.ldap.add("ann", "listeners")
        for spelling in ("ann", "ANN", "\uff41nn", "ann ", "a\u00adnn") * 2:
            house.refused(spelling, "wrong")

        with pytest.raises(ThrottledError):
            house.comes_in("ann")


class TestAccounts:
    def test_groups_make_an_account_with_their_roles(self, house: House) -> None:
        house.ldap.add("ann", "listeners", "some other group")
        user_id = house.comes_in("ann")
        person = house.people.by_id(user_id)

        assert ("ann", "ldap", {Role.SUPERVISOR}) == (
            person.name,
            person.source,
            person.roles,
        )
        assert {"Claims"} == house.workgroups(user_id)
        assert ["", "ann; roles: supervisor; workgroups: Claims"] == [
            *house.told[0].texts().values()
        ]
        assert ["Claims"] == [one.name for one in house.told[0].workgroups_made]

    @pytest.mark.parametrize("groups", [(), ("another",), ("claims",)])
    def test_nobody_comes_in_without_a_role(
        self, house: House, groups: tuple[str, ...]
    ) -> None:
        house.ldap.add("ann", *groups)

        assert NotAuthenticatedError is house.refused("ann", PASSWORD)
        assert () == house.people.list()

    def test_without_a_map_only_people_who_were_added_here_come_in(
        self, house: House
    ) -> None:
        house.use(groups={})
        house.ldap.add("ann", "listeners")
        house.ldap.add("eve", "listeners")
        added = house.people.add("ann", [Role.OFFICER], [], "", source="ldap")

        assert added.person.id == house.comes_in("ann")
        assert {Role.OFFICER} == house.people.by_id(added.person.id).roles
        assert NotAuthenticatedError is house.refused("eve", PASSWORD)

    def test_roles_follow_the_groups_and_are_told_before_and_after(
        self, house: House
    ) -> None:
        house.ldap.add("ann", "listeners")
        user_id = house.comes_in("ann")
        house.ldap.add("ann", "admins", "claims")
        house.comes_in("ann")

        assert {Role.ADMINISTRATOR} == house.people.by_id(user_id).roles
        assert {
            "before": "ann; roles: supervisor; workgroups: Claims",
            "after": "ann; roles: administrator; workgroups: Claims",
        } == house.told[-1].texts()
        house.comes_in("ann")
        assert 2 == len(house.told)

    def test_who_is_renamed_keeps_the_account(self, house: House) -> None:
        house.ldap.add("ann", "listeners")
        user_id = house.comes_in("ann")
        house.ldap.rename("ann", "ann.miller")

        assert user_id == house.comes_in("ann.miller")
        assert "ann.miller" == house.people.by_id(user_id).name

    def test_who_is_given_a_leavers_name_is_somebody_else(self, house: House) -> None:
        house.ldap.add("ann", "listeners", id="first")
        first = house.comes_in("ann")
        house.ldap.add("ann", "admins", id="second")
        second = house.comes_in("ann")

        assert first != second
        assert {Role.ADMINISTRATOR} == house.people.by_id(second).roles
        assert f"ann-{first[:8]}" == house.people.by_id(first).name
        assert {Role.SUPERVISOR} == house.people.by_id(first).roles

    def test_nobody_takes_the_name_of_another_sources_account(
        self, house: House
    ) -> None:
        sam = house.local("sam", Role.SUPERVISOR)
        house.ldap.add("ann", "admins")
        house.comes_in("ann")
        house.ldap.rename("ann", "sam")
        taken = house.ldap.people["sam"]

        with pytest.raises(NotAuthenticatedError):
            house.sign_in.verified(taken, ORIGIN, kind=SessionKind.BROWSER)
        assert "sam" == house.people.by_id(sam).name

    @pytest.mark.parametrize("name", ["", "a b", "x" * 65, "<script>", "a\0b"])
    def test_a_name_that_nobody_can_have_is_refused(
        self, house: House, name: str
    ) -> None:
        odd = Verified(
            source="ldap", external_id="x", name=name, groups=frozenset({"admins"})
        )

        with pytest.raises(NotAuthenticatedError):
            house.sign_in.verified(odd, ORIGIN, kind=SessionKind.BROWSER)

    def test_who_is_disabled_here_stays_out_whatever_the_source_says(
        self, house: House
    ) -> None:
        house.ldap.add("ann", "listeners")
        house.people.disable(house.comes_in("ann"))

        assert NotAuthenticatedError is house.refused("ann", PASSWORD)

    def test_a_change_that_cannot_be_told_does_not_happen(self, house: House) -> None:
        def fail(_: AccountChanged) -> None:
            raise AuditUnavailableError("no trail")

        house.use(tell=fail)
        house.ldap.add("ann", "listeners")
        with pytest.raises(AuditUnavailableError):
            house.comes_in("ann")

        assert () == house.people.list()

    def test_more_groups_than_can_be_true_let_nobody_in(self, house: House) -> None:
        house.ldap.add("ann", "listeners", *(f"group-{one}" for one in range(1000)))

        assert NotAuthenticatedError is house.refused("ann", PASSWORD)

    def test_accounts_that_nobody_used_for_long_are_shut(
        self, house: House, clock: Clock
    ) -> None:
        house.use(max_idle_s=90 * 86_400)
        house.local("sam", Role.SUPERVISOR)
        clock.advance(90 * 86_400 - 1)  # type: ignore[attr-defined]
        house.comes_in("sam", LOCAL_PASSWORD)
        clock.advance(90 * 86_400)  # type: ignore[attr-defined]

        assert NotAuthenticatedError is house.refused("sam", LOCAL_PASSWORD)

    def test_a_password_that_is_too_old_must_change(
        self, house: House, clock: Clock
    ) -> None:
        house.use(max_password_age_s=86_400)
        sam = house.local("sam", Role.SUPERVISOR)
        house.comes_in("sam", LOCAL_PASSWORD)

        assert not house.people.by_id(sam).must_change_password
        clock.advance(86_400)  # type: ignore[attr-defined]
        opened = house.sign_in.password("sam", LOCAL_PASSWORD, ORIGIN)
        assert opened.session.person.must_change_password


class TestStanding:
    def test_who_is_gone_from_the_source_is_out_with_the_next_round(
        self, house: House
    ) -> None:
        house.ldap.add("ann", "listeners")
        house.ldap.add("bea", "listeners")
        opened = house.sign_in.password("ann", PASSWORD, ORIGIN)
        token = house.tokens.add(opened.session.user_id, "script", ttl_s=3600)
        kept = house.sign_in.password("bea", PASSWORD, ORIGIN)
        del house.ldap.people["ann"]

        assert 1 == house.check.round()
        for look_up, secret in (
            (house.sessions.lookup, opened.secret),
            (house.tokens.lookup, token.secret),
        ):
            with pytest.raises(NotAuthenticatedError):
                look_up(secret)
        assert house.sessions.lookup(kept.secret)
        assert (True, 1, 1) == (
            house.told[-1].is_out,
            house.told[-1].sessions_ended,
            house.told[-1].tokens_revoked,
        )
        assert 0 == house.check.round()

    def test_roles_that_were_taken_away_are_gone_with_the_next_round(
        self, house: House
    ) -> None:
        house.ldap.add("ann", "listeners", "admins")
        opened = house.sign_in.password("ann", PASSWORD, ORIGIN)
        house.ldap.add("ann", "admins")
        house.check.round()

        person = house.sessions.lookup(opened.secret).person
        assert ({Role.ADMINISTRATOR}, frozenset()) == (person.roles, person.workgroups)
        house.ldap.add("ann")
        assert 1 == house.check.round()

    def test_h42_the_word_of_a_source_that_is_down_counts_for_a_time(
        self, house: House, clock: Clock
    ) -> None:
        # Whether it is locked by then is another matter.
        look_up = partial(house.sessions.lookup, even_locked=True)
        house.ldap.add("ann", "listeners")
        opened = house.sign_in.password("ann", PASSWORD, ORIGIN)
        token = house.tokens.add(opened.session.user_id, "script", ttl_s=86_400)
        clock.advance(600)  # type: ignore[attr-defined]
        house.check.round()
        house.ldap.is_down = True
        clock.advance(899)  # type: ignore[attr-defined]
        look_up(opened.secret)

        assert 0 == house.check.round()
        clock.advance(1)  # type: ignore[attr-defined]
        for find, secret in (
            (look_up, opened.secret),
            (house.tokens.lookup, token.secret),
        ):
            with pytest.raises(NotAuthenticatedError):
                find(secret)
        house.ldap.is_down = False
        house.check.round()
        assert house.tokens.lookup(token.secret)
        assert look_up(opened.secret)

    def test_people_of_the_vault_are_not_asked_about(self, house: House) -> None:
        house.local("sam", Role.SUPERVISOR)
        opened = house.sign_in.password("sam", LOCAL_PASSWORD, ORIGIN)
        house.ldap.is_down = True

        assert 0 == house.check.round()
        assert house.sessions.lookup(opened.secret)

    def test_who_shows_a_key_of_their_own_is_asked_about_first(
        self, house: House
    ) -> None:
        house.ldap.add("ann", "listeners")
        user_id = house.comes_in("ann")
        methods = ("hwk", "user")
        kind = SessionKind.BROWSER

        assert house.sign_in.known(user_id, methods, ORIGIN, kind=kind)
        del house.ldap.people["ann"]
        with pytest.raises(NotAuthenticatedError):
            house.sign_in.known(user_id, methods, ORIGIN, kind=kind)
        house.ldap.is_down = True
        with pytest.raises(UnavailableError):
            house.sign_in.known(user_id, methods, ORIGIN, kind=kind)


class TestProof:
    def test_only_ones_own_password_proves_it_again(self, house: House) -> None:
        sam = house.people.by_id(house.local("sam", Role.SUPERVISOR))
        house.ldap.add("ann", "listeners")
        ann = house.people.by_id(house.comes_in("ann"))

        assert ("pwd",) == house.sign_in.reprove(sam, LOCAL_PASSWORD, ORIGIN)
        assert ("pwd",) == house.sign_in.reprove(ann, PASSWORD, ORIGIN)
        for person, password in ((sam, PASSWORD), (ann, LOCAL_PASSWORD)):
            with pytest.raises(NotAuthenticatedError):
                house.sign_in.reprove(person, password, ORIGIN)
