import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import pytest
from sqlalchemy import Engine, select

from vault.access.local import LocalPeople
from vault.access.passwords import PasswordConfig, Passwords
from vault.access.people import People
from vault.access.permissions import Role
from vault.access.policy import Person, SessionKind
from vault.access.provisioning import Accounts
from vault.access.sessions import Sessions
from vault.access.signin import REFUSED, SignIn
from vault.access.tables import PERSON, SIGN_IN_ATTEMPT
from vault.access.throttle import Throttle, ThrottleConfig
from vault.core.errors import NotAuthenticatedError, ThrottledError
from vault.database.engine import reading

RIGHT = "correct horse battery"


class Clock(Protocol):
    now_ns: int

    def __call__(self) -> int: ...

    def advance(self, seconds: float) -> None: ...


@pytest.fixture
def alice(catalog_engine: Engine, passwords: Passwords) -> Person:
    return (
        People(catalog_engine)
        .add("alice", [Role.SUPERVISOR], [], passwords.hash(RIGHT))
        .person
    )


@pytest.fixture
def throttle(catalog_engine: Engine, clock: Clock) -> Throttle:
    return Throttle(
        catalog_engine,
        ThrottleConfig(per_name=10, per_origin=20, window_s=1800),
        clock=clock,
    )


@pytest.fixture
def sign_in(
    catalog_engine: Engine,
    passwords: Passwords,
    throttle: Throttle,
    clock: Clock,
    alice: Person,
) -> SignIn:
    return SignIn(
        catalog_engine,
        authenticators=[LocalPeople(catalog_engine, passwords)],
        accounts=Accounts(catalog_engine, tell=lambda _: None, clock=clock),
        throttle=throttle,
        sessions=Sessions(catalog_engine, clock=clock),
    )


def guess(sign_in: SignIn, name: str = "alice", origin: str = "192.0.2.1") -> None:
    with pytest.raises(NotAuthenticatedError):
        sign_in.password(name, "a wrong password", origin)


class TestSignIn:
    @pytest.mark.parametrize(
        "name", ["alice", "ALICE", "\uff41\uff4c\uff49\uff43\uff45"]
    )
    def test_the_right_password_opens_a_session(
        self, sign_in: SignIn, alice: Person, name: str
    ) -> None:
        opened = sign_in.password(name, RIGHT, "192.0.2.1", kind=SessionKind.BEARER)

        assert (alice, SessionKind.BEARER) == (
            opened.session.person,
            opened.session.kind,
        )

    @pytest.mark.parametrize(
        "name", ["alice", "bob", "", "alice ", "a\0b", "\ud800", "x" * 100_000]
    )
    @pytest.mark.parametrize(
        "password", ["wrong password", "", "x" * 100_000, "\0", "\ud800"]
    )
    def test_every_refusal_reads_the_same(
        self, sign_in: SignIn, name: str, password: str
    ) -> None:
        with pytest.raises(NotAuthenticatedError) as caught:
            sign_in.password(name, password, "192.0.2.1")

        assert str(caught.value) == REFUSED

    def test_a_disabled_person_is_refused_with_the_right_password(
        self, sign_in: SignIn, catalog_engine: Engine, alice: Person
    ) -> None:
        People(catalog_engine).disable(alice.id)

        with pytest.raises(NotAuthenticatedError) as caught:
            sign_in.password("alice", RIGHT, "192.0.2.1")
        assert str(caught.value) == REFUSED

    def test_a_cheap_hash_is_replaced_when_the_costs_have_been_raised(
        self, catalog_engine: Engine, alice: Person, throttle: Throttle, clock: Clock
    ) -> None:
        dearer = Passwords(PasswordConfig(memory_kib=16, iterations=2, lanes=1))
        sign_in = SignIn(
            catalog_engine,
            authenticators=[LocalPeople(catalog_engine, dearer)],
            accounts=Accounts(catalog_engine, tell=lambda _: None),
            throttle=throttle,
            sessions=Sessions(catalog_engine, clock=clock),
        )
        sign_in.password("alice", RIGHT, "192.0.2.1")

        with reading(catalog_engine) as connection:
            kept = connection.scalar(select(PERSON.c.password_hash))
        assert kept is not None
        assert "m=16,t=2,p=1" in kept
        sign_in.password("alice", RIGHT, "192.0.2.1")


class TestThrottle:
    def test_after_ten_wrong_guesses_even_the_right_password_is_throttled(
        self, sign_in: SignIn
    ) -> None:
        for _ in range(10):
            guess(sign_in)

        with pytest.raises(ThrottledError) as caught:
            sign_in.password("alice", RIGHT, "198.51.100.7")
        assert 0 < caught.value.retry_after_s <= 1801

    @pytest.mark.parametrize(
        "twin", ["ALICE", "\uff41\uff4c\uff49\uff43\uff45", "aLiCe"]
    )
    def test_another_spelling_brings_no_fresh_budget(
        self, sign_in: SignIn, twin: str
    ) -> None:
        for _ in range(5):
            guess(sign_in)
            guess(sign_in, twin)

        with pytest.raises(ThrottledError):
            sign_in.password(twin, RIGHT, "192.0.2.1")

    def test_a_name_that_does_not_exist_is_throttled_like_one_that_does(
        self, sign_in: SignIn
    ) -> None:
        for _ in range(10):
            guess(sign_in, "nobody")

        with pytest.raises(ThrottledError):
            sign_in.password("nobody", RIGHT, "192.0.2.1")

    def test_one_origin_cannot_try_many_names(self, sign_in: SignIn) -> None:
        for number in range(20):
            guess(sign_in, f"name{number}")

        with pytest.raises(ThrottledError):
            sign_in.password("alice", RIGHT, "192.0.2.1")
        sign_in.password("alice", RIGHT, "192.0.2.2")

    def test_an_ipv6_site_is_one_origin(self, sign_in: SignIn) -> None:
        for number in range(20):
            guess(sign_in, f"name{number}", f"2001:db8::{number:x}")

        with pytest.raises(ThrottledError):
            sign_in.password("alice", RIGHT, "2001:db8::ffff")
        sign_in.password("alice", RIGHT, "2001:db8:0:1::1")

    def test_a_mapped_address_is_its_ipv4_address(self, sign_in: SignIn) -> None:
        for number in range(20):
            guess(sign_in, f"name{number}", "::ffff:192.0.2.1")

        with pytest.raises(ThrottledError):
            sign_in.password("alice", RIGHT, "192.0.2.1")

    def test_the_lock_lifts_by_itself_though_somebody_kept_knocking(
        self, sign_in: SignIn, clock: Clock
    ) -> None:
        for _ in range(10):
            guess(sign_in)
        for _ in range(50):
            clock.advance(30)
            with pytest.raises(ThrottledError):
                sign_in.password("alice", "a wrong password", "192.0.2.1")
        clock.advance(300)

        sign_in.password("alice", RIGHT, "192.0.2.1")

    def test_right_passwords_are_not_counted(self, sign_in: SignIn) -> None:
        for _ in range(15):
            sign_in.password("alice", RIGHT, "192.0.2.1")

    def test_a_hundred_parallel_guesses_are_ten_tries(self, sign_in: SignIn) -> None:
        start = threading.Barrier(10)

        def attempt(_: int) -> int:
            start.wait()
            tried = 0
            for _ in range(10):
                try:
                    sign_in.password("alice", "a wrong password", "192.0.2.1")
                except NotAuthenticatedError:
                    tried += 1
                except ThrottledError:
                    pass
            return tried

        with ThreadPoolExecutor(10) as pool:
            tried = sum(pool.map(attempt, range(10)))

        assert tried == 10

    def test_a_guess_is_counted_before_it_is_looked_at(
        self, throttle: Throttle, sign_in: SignIn
    ) -> None:
        """A request that dies while the hash runs has used up its guess."""
        for _ in range(10):
            throttle.admit("alice", "192.0.2.1")

        with pytest.raises(ThrottledError):
            sign_in.password("alice", RIGHT, "192.0.2.1")

    def test_what_was_typed_as_a_name_is_not_kept(
        self, sign_in: SignIn, catalog_engine: Engine
    ) -> None:
        guess(sign_in, "hunter2-typed-in-the-wrong-box")
        with reading(catalog_engine) as connection:
            kept = repr(
                [tuple(row) for row in connection.execute(select(SIGN_IN_ATTEMPT))]
            )

        assert "hunter2" not in kept
        assert "192.0.2.1" not in kept

    def test_a_full_queue_of_hashes_costs_no_guess(
        self, catalog_engine: Engine, alice: Person, throttle: Throttle, clock: Clock
    ) -> None:
        full = Passwords(
            PasswordConfig(memory_kib=8, iterations=1, lanes=1, concurrent=1, queue=0)
        )
        sign_in = SignIn(
            catalog_engine,
            authenticators=[LocalPeople(catalog_engine, full)],
            accounts=Accounts(catalog_engine, tell=lambda _: None),
            throttle=throttle,
            sessions=Sessions(catalog_engine, clock=clock),
        )
        with full._turn():
            for _ in range(30):
                with pytest.raises(ThrottledError):
                    sign_in.password("alice", RIGHT, "192.0.2.1")

        sign_in.password("alice", RIGHT, "192.0.2.1")
