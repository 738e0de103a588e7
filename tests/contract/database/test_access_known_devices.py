from typing import Protocol

import pytest
from sqlalchemy import Engine, select

from vault.access.known_devices import MOST_PER_PERSON, TTL_S, KnownDevices
from vault.access.people import People
from vault.access.policy import Person
from vault.access.tables import KNOWN_DEVICE
from vault.access.throttle import Throttle, ThrottleConfig
from vault.core.errors import ThrottledError
from vault.database.engine import reading

HERE = "192.0.2.1"


class Clock(Protocol):
    now_ns: int

    def __call__(self) -> int: ...

    def advance(self, seconds: float) -> None: ...


@pytest.fixture
def alice(catalog_engine: Engine) -> Person:
    return People(catalog_engine).add("alice", [], [], "h").person


@pytest.fixture
def devices(catalog_engine: Engine, clock: Clock) -> KnownDevices:
    return KnownDevices(catalog_engine, clock=clock)


@pytest.fixture
def throttle(catalog_engine: Engine, clock: Clock) -> Throttle:
    return Throttle(
        catalog_engine,
        ThrottleConfig(per_name=10, per_origin=20, window_s=1800),
        clock=clock,
    )


def admitted(
    throttle: Throttle, name: str = "alice", origin: str = HERE, device: str = ""
) -> int:
    """Guess until refused; return how many guesses were looked at."""
    tried = 0
    while tried < 100:
        try:
            throttle.admit(name, origin, known_device=device)
        except ThrottledError:
            return tried
        tried += 1
    return tried


def test_h43_strangers_who_use_up_the_name_do_not_lock_its_owner_out(
    throttle: Throttle, devices: KnownDevices, alice: Person
) -> None:
    secret = devices.remember(alice.id)
    tried = sum(admitted(throttle, origin=f"198.51.100.{n}") for n in range(5))

    assert tried == 10
    throttle.forgive(throttle.admit("ALICE", HERE, known_device=secret))
    with pytest.raises(ThrottledError):
        throttle.admit("alice", HERE)


def test_h43_neighbours_who_use_up_the_address_take_nothing_from_it(
    throttle: Throttle, devices: KnownDevices, alice: Person
) -> None:
    secret = devices.remember(alice.id)
    for number in range(20):
        throttle.admit(f"name{number}", HERE)

    with pytest.raises(ThrottledError):
        throttle.admit("alice", HERE)
    throttle.admit("alice", HERE, known_device=secret)


def test_h43_a_stolen_browser_brings_ten_guesses_and_no_more(
    throttle: Throttle, devices: KnownDevices, alice: Person
) -> None:
    secret = devices.remember(alice.id)

    assert (10, 10) == (admitted(throttle, device=secret), admitted(throttle))


@pytest.mark.parametrize(
    "variant",
    ["alice ", " alice", "al\u00adice", "a\u0301lice", "\u200balice", "ALICE"],
)
def test_h43_what_a_directory_overlooks_brings_no_fresh_budget(
    throttle: Throttle, variant: str
) -> None:
    assert (10, 0) == (admitted(throttle), admitted(throttle, variant, "203.0.113.9"))


def test_h43_a_guesser_with_a_thousand_addresses_has_ten_guesses(
    throttle: Throttle,
) -> None:
    tried = 0
    for number in range(1000):
        try:
            throttle.admit("alice", f"198.51.{number // 250}.{number % 250}")
        except ThrottledError:
            continue
        tried += 1

    assert tried == 10


def test_a_browser_speaks_for_its_own_person_only(
    throttle: Throttle, devices: KnownDevices, catalog_engine: Engine, alice: Person
) -> None:
    People(catalog_engine).add("bob", [], [], "h")
    secret = devices.remember(alice.id)

    assert (10, 0) == (
        admitted(throttle, "bob"),
        admitted(throttle, "bob", "203.0.113.9", secret),
    )


@pytest.mark.parametrize("secret", ["", "cvb_", "x" * 100_000, "a\0b", "\ud800"])
def test_hostile_secrets_are_no_browser(
    throttle: Throttle, devices: KnownDevices, alice: Person, secret: str
) -> None:
    assert 10 == admitted(throttle)
    with pytest.raises(ThrottledError):
        throttle.admit("alice", "203.0.113.9", known_device=secret)
    assert secret != devices.remember(alice.id, secret)


def test_a_disabled_persons_browser_counts_for_nothing(
    throttle: Throttle, devices: KnownDevices, catalog_engine: Engine, alice: Person
) -> None:
    secret = devices.remember(alice.id)
    People(catalog_engine).disable(alice.id)

    assert (10, 0) == (
        admitted(throttle),
        admitted(throttle, "alice", "203.0.113.9", secret),
    )


def test_a_browser_keeps_its_secret_and_lives_a_year_from_the_last_sign_in(
    throttle: Throttle, devices: KnownDevices, alice: Person, clock: Clock
) -> None:
    secret = devices.remember(alice.id)
    clock.advance(TTL_S - 1)

    assert secret == devices.remember(alice.id, secret)
    clock.advance(TTL_S - 1)
    assert secret == devices.remember(alice.id, secret)
    clock.advance(TTL_S)
    assert secret != devices.remember(alice.id, secret)


def test_another_persons_browser_gets_a_secret_of_its_own(
    devices: KnownDevices, catalog_engine: Engine, alice: Person
) -> None:
    bob = People(catalog_engine).add("bob", [], [], "h").person
    secret = devices.remember(alice.id)

    assert secret != devices.remember(bob.id, secret)
    assert secret == devices.remember(alice.id, secret)


def test_a_person_has_twenty_browsers_and_the_oldest_gives_way(
    devices: KnownDevices, catalog_engine: Engine, alice: Person, clock: Clock
) -> None:
    secrets = []
    for _ in range(MOST_PER_PERSON + 1):
        clock.advance(1)
        secrets.append(devices.remember(alice.id))

    assert secrets[1] == devices.remember(alice.id, secrets[1])
    assert secrets[0] != devices.remember(alice.id, secrets[0])
    with reading(catalog_engine) as connection:
        assert MOST_PER_PERSON == len(connection.execute(select(KNOWN_DEVICE)).all())
    assert MOST_PER_PERSON == devices.forget(alice.id)


def test_the_database_does_not_hold_the_secret(
    devices: KnownDevices, catalog_engine: Engine, alice: Person
) -> None:
    secret = devices.remember(alice.id)
    with reading(catalog_engine) as connection:
        row = connection.execute(select(KNOWN_DEVICE)).one()

    assert secret not in repr(tuple(row))
