"""Sessions that stand on a provider's word, on both databases."""

from typing import Protocol

import pytest
from sqlalchemy import Engine, select

from vault.access.authenticators import Verified
from vault.access.group_map import GroupMap
from vault.access.oidc import SOURCE
from vault.access.people import People
from vault.access.permissions import Role
from vault.access.policy import SessionKind
from vault.access.provider_sessions import ProviderSessions
from vault.access.provisioning import AccountConfig, Accounts
from vault.access.sessions import SessionConfig, SessionOpened, Sessions
from vault.access.tables import PASSKEY, SESSION
from vault.core.clock import NS_PER_S
from vault.core.errors import IdentityRefusedError, NotAuthenticatedError
from vault.core.ids import UserId
from vault.database.engine import reading, transaction

ISSUER = "https://login.example"


class Clock(Protocol):
    now_ns: int

    def __call__(self) -> int: ...

    def advance(self, seconds: float) -> None: ...


@pytest.fixture
def sessions(catalog_engine: Engine, clock: Clock) -> Sessions:
    return Sessions(
        catalog_engine, SessionConfig(idle_s=900, absolute_s=12 * 3600), clock=clock
    )


@pytest.fixture
def bound(catalog_engine: Engine, clock: Clock) -> ProviderSessions:
    return ProviderSessions(catalog_engine, clock=clock)


@pytest.fixture
def accounts(catalog_engine: Engine, clock: Clock) -> Accounts:
    groups = GroupMap.parse({"leads": "supervisor", "auditors": "officer"})
    return Accounts(
        catalog_engine,
        AccountConfig(group_map=groups),
        tell=lambda _: None,
        clock=clock,
    )


def verified(subject: str, name: str, *groups: str) -> Verified:
    return Verified(
        source=SOURCE,
        external_id=f"{ISSUER}|{subject}",
        name=name,
        groups=frozenset(groups or {"leads"}),
        methods=("oidc",),
    )


def opened(
    sessions: Sessions, bound: ProviderSessions, user_id: UserId, sid: str = ""
) -> SessionOpened:
    return bound.bind(
        sessions.open(user_id, kind=SessionKind.BROWSER, methods=("oidc",)),
        provider_session=sid,
        authenticated_s=0,
        max_s=3600,
    )


class TestBinding:
    def test_it_ends_when_the_provider_is_to_be_asked_again(
        self,
        sessions: Sessions,
        bound: ProviderSessions,
        accounts: Accounts,
        clock: Clock,
    ) -> None:
        made = opened(sessions, bound, accounts.settle(verified("1", "lena")))

        assert clock.now_ns + 3600 * NS_PER_S == made.session.expires_ns
        assert made.session == sessions.lookup(made.secret)

    def test_it_is_no_better_proved_than_the_provider_tells(
        self,
        sessions: Sessions,
        bound: ProviderSessions,
        accounts: Accounts,
        clock: Clock,
    ) -> None:
        user_id = accounts.settle(verified("1", "lena"))
        now_s = clock.now_ns / NS_PER_S
        told = [
            bound.bind(
                sessions.open(user_id, methods=("oidc",)),
                provider_session="",
                authenticated_s=at_s,
                max_s=3600,
            ).session.authenticated_ns
            for at_s in (0, now_s - 100, now_s + 50)
        ]

        assert [0, clock.now_ns - 100 * NS_PER_S, clock.now_ns] == told

    def test_who_has_a_factor_here_comes_in_by_half_without_it(
        self,
        catalog_engine: Engine,
        sessions: Sessions,
        bound: ProviderSessions,
        accounts: Accounts,
    ) -> None:
        user_id = accounts.settle(verified("1", "lena"))
        with transaction(catalog_engine) as connection:
            connection.execute(
                PASSKEY.insert().values(
                    id="passkey",
                    credential_id=b"c",
                    user_id=user_id,
                    public_key=b"k",
                    sign_count=0,
                    name="key",
                    created_ns=1,
                )
            )

        restricted = [
            bound.bind(
                sessions.open(user_id, methods=methods),
                provider_session="",
                authenticated_s=0,
                max_s=3600,
            ).session.is_restricted
            for methods in (("oidc",), ("oidc", "mfa"))
        ]

        assert [True, False] == restricted

    def test_a_step_up_keeps_what_it_stands_on(
        self, sessions: Sessions, bound: ProviderSessions, accounts: Accounts
    ) -> None:
        made = opened(sessions, bound, accounts.settle(verified("1", "lena")), "s-1")
        renewed = sessions.step_up(made.session.id, methods=("otp",))

        ended = bound.end(external_id="", provider_session="s-1", source=SOURCE)

        assert [renewed.session.id] == [one.id for one in ended]


class TestEnding:
    @pytest.mark.parametrize(
        ("subject", "sid", "expected"),
        [
            ("1", "", {"a", "b"}),
            ("", "s-1", {"a"}),
            ("1", "s-1", {"a"}),
            ("2", "s-1", set()),
            ("", "s-9", set()),
        ],
    )
    def test_ends_what_is_named_and_nothing_else(
        self,
        catalog_engine: Engine,
        sessions: Sessions,
        bound: ProviderSessions,
        accounts: Accounts,
        subject: str,
        sid: str,
        expected: set[str],
    ) -> None:
        lena = accounts.settle(verified("1", "lena"))
        other = accounts.settle(verified("2", "otto"))
        local = People(catalog_engine).add("ada", [Role.OFFICER], [], "h").person.id
        made = {
            "a": opened(sessions, bound, lena, "s-1"),
            "b": opened(sessions, bound, lena, "s-2"),
            "c": opened(sessions, bound, other, "s-3"),
            "d": sessions.open(local),
        }

        ended = bound.end(
            external_id=f"{ISSUER}|{subject}" if subject else "",
            provider_session=sid,
            source=SOURCE,
        )

        with reading(catalog_engine) as connection:
            left = set(connection.scalars(select(SESSION.c.id)))
        gone = {name for name, one in made.items() if one.session.id not in left}
        assert (expected, len(expected)) == (gone, len(ended))

    def test_nobody_is_not_everybody(self, bound: ProviderSessions) -> None:
        with pytest.raises(ValueError, match="whose"):
            bound.end(external_id="", provider_session="", source=SOURCE)

    def test_a_word_counts_once_for_as_long_as_it_could_be_sent(
        self, bound: ProviderSessions, clock: Clock
    ) -> None:
        bound.take_once("j-1")
        bound.take_once("j-2")
        clock.advance(660)

        with pytest.raises(IdentityRefusedError) as refusal:
            bound.take_once("j-1")

        assert "sent-before" == refusal.value.reason


class TestAccounts:
    """A name proves nothing: people may choose it."""

    def test_who_takes_a_name_of_the_same_source_is_refused(
        self, accounts: Accounts
    ) -> None:
        accounts.settle(verified("1", "lena"))

        with pytest.raises(NotAuthenticatedError):
            accounts.settle(verified("2", "LENA"))

    def test_who_is_renamed_to_anothers_name_is_refused(
        self, accounts: Accounts
    ) -> None:
        accounts.settle(verified("1", "lena"))
        accounts.settle(verified("2", "otto"))

        with pytest.raises(NotAuthenticatedError):
            accounts.settle(verified("2", "lena"))

    def test_a_name_that_was_added_beforehand_is_nobodys_without_the_id(
        self, catalog_engine: Engine, accounts: Accounts
    ) -> None:
        people = People(catalog_engine)
        people.add("lena", [Role.OFFICER], [], "", source=SOURCE)

        with pytest.raises(NotAuthenticatedError):
            accounts.settle(verified("1", "lena"))

    def test_who_was_added_by_the_id_comes_in_under_any_name(
        self, catalog_engine: Engine, accounts: Accounts
    ) -> None:
        people = People(catalog_engine)
        added = people.add(
            "lena", [Role.OFFICER], [], "", source=SOURCE, external_id=f"{ISSUER}|1"
        )

        assert added.person.id == accounts.settle(verified("1", "helena"))
        assert "helena" == people.by_id(added.person.id).name
