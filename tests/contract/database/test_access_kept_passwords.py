import pytest
from sqlalchemy import Engine

from vault.access.kept_passwords import KeptPasswords
from vault.access.people import People
from vault.access.permissions import Role
from vault.access.policy import Person
from vault.access.sessions import Sessions
from vault.core.clock import Clock
from vault.core.errors import ConflictError, NotFoundError
from vault.core.ids import UserId


@pytest.fixture
def alice(catalog_engine: Engine) -> Person:
    return People(catalog_engine).add("alice", [Role.OFFICER], [], "hash-0").person


@pytest.fixture
def kept(catalog_engine: Engine, clock: Clock) -> KeptPasswords:
    return KeptPasswords(catalog_engine, clock=clock)


def test_the_newest_few_are_remembered_and_no_more(
    kept: KeptPasswords, alice: Person
) -> None:
    for number in range(1, 8):
        kept.keep(alice.id, f"hash-{number}", history=4)

    assert ("hash-7", "hash-6", "hash-5", "hash-4", "hash-3") == kept.hashes(
        alice.id, history=4
    )
    assert ("hash-7", "hash-6") == kept.hashes(alice.id, history=1)
    kept.keep(alice.id, "hash-8", history=0)
    assert ("hash-8",) == kept.hashes(alice.id, history=4)


def test_a_new_password_ends_the_sessions_of_the_old_one(
    kept: KeptPasswords, catalog_engine: Engine, alice: Person, clock: Clock
) -> None:
    sessions = Sessions(catalog_engine, clock=clock)
    for _ in range(3):
        mine = sessions.open(alice.id).session

    assert 2 == kept.keep(alice.id, "hash-1", history=4, keep_session=mine.id)
    assert [mine.id] == [one.id for one in sessions.list(alice.id)]
    assert 1 == kept.keep(alice.id, "hash-2", history=4)


def test_what_must_change_must_until_it_has(
    kept: KeptPasswords, catalog_engine: Engine, alice: Person
) -> None:
    people = People(catalog_engine)
    kept.keep(alice.id, "hash-1", history=4, must_change=True)

    assert people.by_id(alice.id).must_change_password
    kept.keep(alice.id, "hash-2", history=4)
    assert not people.by_id(alice.id).must_change_password


def test_the_password_of_another_source_is_not_here(
    kept: KeptPasswords, catalog_engine: Engine
) -> None:
    ann = People(catalog_engine).add("ann", [], [], "", source="ldap").person

    with pytest.raises(ConflictError):
        kept.hashes(ann.id, history=4)
    with pytest.raises(NotFoundError):
        kept.hashes(UserId("nobody"), history=4)
    with pytest.raises(NotFoundError):
        kept.keep(UserId("nobody"), "hash", history=4)


def test_an_id_of_a_source_is_one_persons(catalog_engine: Engine) -> None:
    people = People(catalog_engine)
    people.add("ann", [], [], "", source="ldap", external_id="4711")

    with pytest.raises(ConflictError):
        people.add("bea", [], [], "", source="ldap", external_id="4711")
    people.add("bea", [], [], "", source="plugin:x", external_id="4711")


def test_whose_password_is_missing_is_known_and_other_sources_keep_their_own(
    kept: KeptPasswords, catalog_engine: Engine, alice: Person
) -> None:
    people = People(catalog_engine)
    new = people.add("nora", [], [], "").person
    people.add("lena", [], [], "", source="ldap", external_id="1")

    assert {new.id} == kept.missing()
    kept.keep(new.id, "hash-1", history=4)
    assert frozenset() == kept.missing()
