from typing import Protocol

import pytest
from sqlalchemy import Engine, select, update

from vault.access.people import People
from vault.access.permissions import Role
from vault.access.policy import Person, SessionKind
from vault.access.sessions import MOST_OPEN, SessionConfig, Sessions
from vault.access.tables import PERSON, SESSION, TOKEN
from vault.access.tokens import MAX_TTL_S, MOST, Tokens
from vault.core.errors import (
    ConflictError,
    InvalidInputError,
    NotAuthenticatedError,
    NotFoundError,
)
from vault.core.ids import UserId
from vault.database.engine import reading, transaction

HOSTILE = ["", "cvs_", "x" * 100_000, "a\0b", "\ud800", "é"]


class Clock(Protocol):
    now_ns: int

    def __call__(self) -> int: ...

    def advance(self, seconds: float) -> None: ...


@pytest.fixture
def alice(catalog_engine: Engine) -> Person:
    return People(catalog_engine).add("alice", [Role.SUPERVISOR], ["A"], "h").person


@pytest.fixture
def sessions(catalog_engine: Engine, clock: Clock) -> Sessions:
    return Sessions(
        catalog_engine, SessionConfig(idle_s=900, absolute_s=3600), clock=clock
    )


@pytest.fixture
def tokens(catalog_engine: Engine, clock: Clock) -> Tokens:
    return Tokens(catalog_engine, clock=clock)


class TestSessions:
    def test_the_secret_opens_the_session_and_nothing_else_does(
        self, sessions: Sessions, alice: Person
    ) -> None:
        opened = sessions.open(alice.id, kind=SessionKind.BEARER, origin="192.0.2.1")

        assert opened.session == sessions.lookup(opened.secret)
        assert alice == opened.session.person
        for wrong in (opened.session.id, opened.secret[:-1], opened.secret + "A"):
            with pytest.raises(NotAuthenticatedError):
                sessions.lookup(wrong)

    @pytest.mark.parametrize("secret", HOSTILE)
    def test_hostile_secrets_open_nothing(
        self, sessions: Sessions, secret: str
    ) -> None:
        with pytest.raises(NotAuthenticatedError):
            sessions.lookup(secret)

    def test_the_database_does_not_hold_the_secret(
        self, sessions: Sessions, catalog_engine: Engine, alice: Person
    ) -> None:
        opened = sessions.open(alice.id)
        with reading(catalog_engine) as connection:
            row = connection.execute(select(SESSION)).one()

        kept = repr(tuple(row))
        assert opened.secret not in kept
        assert opened.session.csrf not in kept
        assert opened.secret not in repr(opened)
        assert opened.session.csrf not in repr(opened)

    def test_every_sign_in_has_its_own_secret_id_and_csrf_token(
        self, sessions: Sessions, alice: Person
    ) -> None:
        first, second = sessions.open(alice.id), sessions.open(alice.id)

        assert first.secret != second.secret
        assert first.session.id != second.session.id
        assert first.session.csrf != second.session.csrf

    def test_an_idle_session_is_over_and_a_used_one_is_not(
        self, sessions: Sessions, alice: Person, clock: Clock
    ) -> None:
        secret = sessions.open(alice.id).secret
        for _ in range(3):
            clock.advance(800)
            sessions.lookup(secret)
        clock.advance(900)

        with pytest.raises(NotAuthenticatedError):
            sessions.lookup(secret)

    def test_no_use_carries_a_session_past_its_absolute_end(
        self, sessions: Sessions, alice: Person, clock: Clock
    ) -> None:
        secret = sessions.open(alice.id).secret
        for _ in range(4):
            clock.advance(880)
            sessions.lookup(secret)
        clock.advance(80)

        with pytest.raises(NotAuthenticatedError):
            sessions.lookup(secret)

    def test_an_ended_session_is_over_and_cannot_be_ended_twice(
        self, sessions: Sessions, alice: Person
    ) -> None:
        opened = sessions.open(alice.id)

        assert sessions.end(opened.session.id)
        assert not sessions.end(opened.session.id)
        with pytest.raises(NotAuthenticatedError):
            sessions.lookup(opened.secret)

    def test_nobody_ends_a_session_of_somebody_else_by_its_id(
        self, sessions: Sessions, alice: Person
    ) -> None:
        opened = sessions.open(alice.id)

        assert not sessions.end(opened.session.id, user_id=UserId("other"))
        assert alice == sessions.lookup(opened.secret).person

    @pytest.mark.parametrize("session_id", HOSTILE)
    def test_ending_a_hostile_id_ends_nothing(
        self, sessions: Sessions, session_id: str
    ) -> None:
        assert not sessions.end(session_id)

    def test_rights_taken_away_are_gone_with_the_next_request(
        self, sessions: Sessions, catalog_engine: Engine, alice: Person
    ) -> None:
        opened = sessions.open(alice.id)
        People(catalog_engine).change(alice.id, roles=[], workgroups=[])

        assert (frozenset(), frozenset()) == (
            sessions.lookup(opened.secret).roles,
            sessions.lookup(opened.secret).workgroups,
        )

    def test_a_disabled_person_is_refused_even_if_the_session_row_survived(
        self, sessions: Sessions, catalog_engine: Engine, alice: Person
    ) -> None:
        opened = sessions.open(alice.id)
        with transaction(catalog_engine) as connection:
            connection.execute(update(PERSON).values(disabled=True))

        with pytest.raises(NotAuthenticatedError):
            sessions.lookup(opened.secret)
        with pytest.raises(NotAuthenticatedError):
            sessions.open(alice.id)

    def test_the_list_shows_living_sessions_newest_first_and_which_are_locked(
        self, sessions: Sessions, alice: Person, clock: Clock
    ) -> None:
        sessions.open(alice.id, origin="192.0.2.1")
        clock.advance(2700)
        second = sessions.open(alice.id, origin="192.0.2.2").session
        clock.advance(900)
        third = sessions.open(alice.id, origin="192.0.2.3").session

        assert [(third.id, False), (second.id, True)] == [
            (one.id, one.is_locked) for one in sessions.list()
        ]
        assert [] == list(sessions.list(UserId("other")))

    def test_a_person_has_so_many_and_what_came_in_by_half_gives_way_first(
        self, sessions: Sessions, alice: Person, clock: Clock
    ) -> None:
        oldest = sessions.open(alice.id)
        for _ in range(MOST_OPEN + 3):
            sessions.open(alice.id, is_restricted=True)
        clock.advance(1)
        whole = [sessions.open(alice.id).session.id for _ in range(MOST_OPEN - 1)]
        kept = {one.id for one in sessions.list(alice.id)}
        newest = sessions.open(alice.id).session.id
        left = {one.id for one in sessions.list(alice.id)}

        assert {*whole, oldest.session.id} == kept
        assert {*whole, newest} == left


class TestTokens:
    def test_a_person_has_so_many_and_those_that_ended_do_not_count(
        self, tokens: Tokens, alice: Person, clock: Clock
    ) -> None:
        for _ in range(MOST):
            tokens.add(alice.id, "report", ttl_s=60)

        with pytest.raises(ConflictError, match="at most"):
            tokens.add(alice.id, "one more")
        clock.advance(60)
        tokens.add(alice.id, "one more")
        assert len(tokens.list()) == 1

    def test_none_is_made_that_may_use_nothing(
        self, tokens: Tokens, alice: Person
    ) -> None:
        with pytest.raises(InvalidInputError):
            tokens.add(alice.id, "report", permissions=())

    def test_a_token_stands_for_its_owner(
        self, tokens: Tokens, alice: Person, clock: Clock
    ) -> None:
        added = tokens.add(alice.id, "backup script", ttl_s=60)
        session = tokens.lookup(added.secret)

        assert (alice, SessionKind.TOKEN, "", added.listed.id) == (
            session.person,
            session.kind,
            session.csrf,
            session.id,
        )
        assert (clock.now_ns,) == tuple(one.used_ns for one in tokens.list())

    def test_an_expired_token_is_refused(
        self, tokens: Tokens, alice: Person, clock: Clock
    ) -> None:
        added = tokens.add(alice.id, "n", ttl_s=60)
        clock.advance(60)

        with pytest.raises(NotAuthenticatedError):
            tokens.lookup(added.secret)

    def test_a_revoked_token_is_refused(self, tokens: Tokens, alice: Person) -> None:
        added = tokens.add(alice.id, "n")

        assert not tokens.revoke(added.listed.id, user_id=UserId("other"))
        assert tokens.revoke(added.listed.id, user_id=alice.id)
        with pytest.raises(NotAuthenticatedError):
            tokens.lookup(added.secret)

    def test_the_database_does_not_hold_the_secret(
        self, tokens: Tokens, catalog_engine: Engine, alice: Person
    ) -> None:
        added = tokens.add(alice.id, "n")
        with reading(catalog_engine) as connection:
            row = connection.execute(select(TOKEN)).one()

        assert added.secret.startswith("cvp_")
        assert added.secret not in repr(tuple(row))
        assert added.secret not in repr(added)

    @pytest.mark.parametrize("ttl_s", [0, -1, MAX_TTL_S + 1, float("nan")])
    def test_a_token_always_has_an_end_within_a_year(
        self, tokens: Tokens, alice: Person, ttl_s: float
    ) -> None:
        with pytest.raises(InvalidInputError):
            tokens.add(alice.id, "n", ttl_s=ttl_s)

    def test_a_disabled_person_gets_none(
        self, tokens: Tokens, catalog_engine: Engine, alice: Person
    ) -> None:
        People(catalog_engine).disable(alice.id)

        with pytest.raises(ConflictError):
            tokens.add(alice.id, "n")

    def test_a_disabled_persons_token_is_refused_even_if_its_row_survived(
        self, tokens: Tokens, catalog_engine: Engine, alice: Person
    ) -> None:
        added = tokens.add(alice.id, "n")
        with transaction(catalog_engine) as connection:
            connection.execute(update(PERSON).values(disabled=True))

        with pytest.raises(NotAuthenticatedError):
            tokens.lookup(added.secret)

    def test_nobody_gets_none(self, tokens: Tokens) -> None:
        with pytest.raises(NotFoundError):
            tokens.add(UserId("nobody"), "n")

    @pytest.mark.parametrize("secret", HOSTILE)
    def test_hostile_text_is_no_token(self, tokens: Tokens, secret: str) -> None:
        assert not tokens.revoke(secret)
        with pytest.raises(NotAuthenticatedError):
            tokens.lookup(secret)
