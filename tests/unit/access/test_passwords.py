import threading

import pytest

from vault.access.passwords import PasswordConfig, Passwords
from vault.core.errors import (
    InvalidInputError,
    NotAuthenticatedError,
    ThrottledError,
)

CHEAP = PasswordConfig(memory_kib=8, iterations=1, lanes=1)


@pytest.fixture(scope="module")
def passwords() -> Passwords:
    return Passwords(CHEAP)


def test_the_defaults_are_those_of_the_design() -> None:
    config = PasswordConfig()

    assert (64 * 1024, 3, 4, 2) == (
        config.memory_kib,
        config.iterations,
        config.lanes,
        config.concurrent,
    )


def test_a_password_verifies_against_its_hash_and_no_other(
    passwords: Passwords,
) -> None:
    stored = passwords.hash("correct horse battery")

    assert stored.startswith("$argon2id$")
    assert passwords.verify(stored, "correct horse battery") is None
    for wrong in ("correct horse batterz", "", "correct horse battery "):
        with pytest.raises(NotAuthenticatedError):
            passwords.verify(stored, wrong)


def test_a_random_password_of_16_characters_is_accepted(passwords: Passwords) -> None:
    assert passwords.hash("Zk3v9QpTn8sXw2Lb")


def test_two_unicode_forms_are_one_password(passwords: Passwords) -> None:
    stored = passwords.hash("caf\xe9 caf\xe9 caf\xe9")

    assert passwords.verify(stored, "cafe\u0301 cafe\u0301 cafe\u0301") is None


@pytest.mark.parametrize(
    "password",
    [
        "",
        "elevenchars",
        "e\u0301" * 11,
        "has a NUL \0 in it",
        "x" * 1025,
        "\xe9" * 513,
        "surrogate \ud800 here",
    ],
)
def test_what_breaks_the_policy_is_refused(passwords: Passwords, password: str) -> None:
    with pytest.raises(InvalidInputError):
        passwords.hash(password)


@pytest.mark.parametrize("password", ["x" * 1024, "\xe9" * 512])
def test_1024_octets_are_allowed(passwords: Passwords, password: str) -> None:
    assert passwords.verify(passwords.hash(password), password) is None


@pytest.mark.parametrize("stored", ["", "plain", "$argon2id$v=19$broken"])
def test_a_hash_that_is_none_verifies_nothing(
    passwords: Passwords, stored: str
) -> None:
    with pytest.raises(NotAuthenticatedError):
        passwords.verify(stored, "correct horse battery")


@pytest.mark.parametrize("password", ["", "x" * 2000, "\0", "\ud800", "a password"])
def test_nobody_is_verified_by_nothing(passwords: Passwords, password: str) -> None:
    with pytest.raises(NotAuthenticatedError):
        passwords.verify(None, password)


def test_raised_costs_ask_for_a_new_hash(passwords: Passwords) -> None:
    stored = passwords.hash("correct horse battery")
    dearer = Passwords(PasswordConfig(memory_kib=16, iterations=1, lanes=1))
    better = dearer.verify(stored, "correct horse battery")

    assert better is not None
    assert dearer.verify(better, "correct horse battery") is None


def test_more_callers_than_the_queue_holds_are_turned_away() -> None:
    crowded = Passwords(
        PasswordConfig(memory_kib=8, iterations=1, lanes=1, concurrent=1, queue=1)
    )
    waits = threading.Event()

    def wait_in_line() -> None:
        waits.set()
        crowded.hash("correct horse battery")

    with crowded._turn():
        second = threading.Thread(target=wait_in_line)
        second.start()
        waits.wait(5)
        # The second caller has, or is about to take, the only place in the line.
        while crowded._places.acquire(blocking=False):
            crowded._places.release()
        with pytest.raises(ThrottledError):
            crowded.hash("correct horse battery")
    second.join(5)

    assert crowded.hash("correct horse battery")
