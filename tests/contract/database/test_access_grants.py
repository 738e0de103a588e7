from dataclasses import dataclass, replace
from typing import Protocol

import pytest
from sqlalchemy import Engine, select, update

from vault.access.grants import Grants
from vault.access.people import People
from vault.access.permissions import Role
from vault.access.policy import Person, Session
from vault.access.sessions import SessionConfig, Sessions
from vault.access.tables import MEDIA_GRANT, PERSON
from vault.access.tokens import Tokens
from vault.core.errors import NotFoundError, NotReadyError
from vault.core.flow import MediaPart, RecordingState
from vault.core.ids import (
    GrantId,
    RecordingId,
    UserId,
    WorkgroupId,
    new_recording_id,
)
from vault.database.engine import reading, transaction


class Clock(Protocol):
    now_ns: int

    def __call__(self) -> int: ...

    def advance(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    id: RecordingId
    workgroup_id: WorkgroupId | None
    state: RecordingState = RecordingState.READY
    agent_id: UserId | None = None
    class_name: str | None = None


@pytest.fixture
def alice(catalog_engine: Engine) -> Person:
    return People(catalog_engine).add("alice", [Role.SUPERVISOR], ["A"], "h").person


@pytest.fixture
def sessions(catalog_engine: Engine, clock: Clock) -> Sessions:
    return Sessions(
        catalog_engine, SessionConfig(idle_s=9_000, absolute_s=1_000), clock=clock
    )


@pytest.fixture
def session(sessions: Sessions, alice: Person) -> Session:
    return sessions.open(alice.id).session


@pytest.fixture
def grants(catalog_engine: Engine, clock: Clock) -> Grants:
    return Grants(catalog_engine, clock=clock)


@pytest.fixture
def recording(alice: Person) -> Recording:
    (workgroup,) = alice.workgroups
    return Recording(id=new_recording_id(), workgroup_id=workgroup)


def test_a_grant_is_found_by_session_recording_and_part(
    grants: Grants, session: Session, recording: Recording
) -> None:
    grant = grants.open(
        session, MediaPart.AUDIO, recording, origin="192.0.2.1", reason="complaint"
    )
    found = grants.live(session, MediaPart.AUDIO, recording)

    assert found is not None
    assert (grant.id, grant.caller, grant.right, "") == (
        found.id,
        found.caller,
        found.right,
        found.reason,
    )
    assert grant.reason == "complaint"
    assert grants.live(replace(session, id="other"), MediaPart.AUDIO, recording) is None
    assert (
        grants.live(session, MediaPart.AUDIO, replace(recording, id=new_recording_id()))
        is None
    )
    assert grants.live(session, MediaPart.CAPTURE, recording) is None


def test_a_grant_ends_five_minutes_after_its_last_use(
    grants: Grants, session: Session, recording: Recording, clock: Clock
) -> None:
    grants.open(session, MediaPart.AUDIO, recording)
    for _ in range(2):
        clock.advance(299)
        assert grants.live(session, MediaPart.AUDIO, recording) is not None
    clock.advance(300)

    assert grants.live(session, MediaPart.AUDIO, recording) is None


def test_no_use_carries_a_grant_past_its_session(
    grants: Grants, session: Session, recording: Recording, clock: Clock
) -> None:
    grants.open(session, MediaPart.AUDIO, recording)
    for _ in range(4):
        clock.advance(240)
        found = grants.live(session, MediaPart.AUDIO, recording)
        assert found is not None
        assert found.expires_ns <= session.expires_ns
    clock.advance(40)

    assert grants.live(session, MediaPart.AUDIO, recording) is None


def test_a_grant_ends_with_its_session(
    grants: Grants, sessions: Sessions, session: Session, recording: Recording
) -> None:
    grants.open(session, MediaPart.AUDIO, recording)
    sessions.end(session.id)

    assert grants.live(session, MediaPart.AUDIO, recording) is None


def test_a_grant_ends_with_its_token(
    grants: Grants,
    catalog_engine: Engine,
    clock: Clock,
    alice: Person,
    recording: Recording,
) -> None:
    tokens = Tokens(catalog_engine, clock=clock)
    added = tokens.add(alice.id, "n")
    session = tokens.lookup(added.secret)
    grants.open(session, MediaPart.AUDIO, recording)

    assert grants.live(session, MediaPart.AUDIO, recording) is not None
    tokens.revoke(added.listed.id)
    assert grants.live(session, MediaPart.AUDIO, recording) is None


def test_a_grant_ends_with_the_account(
    grants: Grants, catalog_engine: Engine, session: Session, recording: Recording
) -> None:
    grants.open(session, MediaPart.AUDIO, recording)
    People(catalog_engine).disable(session.user_id)

    with reading(catalog_engine) as connection:
        assert [] == connection.execute(select(MEDIA_GRANT)).all()


def test_a_grant_of_a_disabled_person_is_dead_even_if_its_row_survived(
    grants: Grants, catalog_engine: Engine, session: Session, recording: Recording
) -> None:
    grants.open(session, MediaPart.AUDIO, recording)
    with transaction(catalog_engine) as connection:
        connection.execute(update(PERSON).values(disabled=True))

    assert grants.live(session, MediaPart.AUDIO, recording) is None


def test_opening_again_replaces_the_grant(
    grants: Grants, catalog_engine: Engine, session: Session, recording: Recording
) -> None:
    grants.open(session, MediaPart.AUDIO, recording)
    second = grants.open(session, MediaPart.AUDIO, recording)
    with reading(catalog_engine) as connection:
        kept = connection.execute(select(MEDIA_GRANT.c.id)).scalars().all()

    assert [second.id] == kept


def test_an_ended_grant_is_over(
    grants: Grants, session: Session, recording: Recording
) -> None:
    grant = grants.open(session, MediaPart.AUDIO, recording)
    grants.end(grant.id)
    grants.end(GrantId("missing"))

    assert grants.live(session, MediaPart.AUDIO, recording) is None


def test_what_the_policy_refuses_is_not_kept(
    grants: Grants, catalog_engine: Engine, session: Session, recording: Recording
) -> None:
    with pytest.raises(NotFoundError):
        grants.open(
            session,
            MediaPart.AUDIO,
            Recording(id=recording.id, workgroup_id=WorkgroupId("other")),
        )
    with pytest.raises(NotReadyError):
        grants.open(
            session,
            MediaPart.AUDIO,
            Recording(
                id=recording.id,
                workgroup_id=recording.workgroup_id,
                state=RecordingState.CAPTURED,
            ),
        )

    with reading(catalog_engine) as connection:
        assert [] == connection.execute(select(MEDIA_GRANT)).all()


def test_the_typed_reason_is_not_in_the_database(
    grants: Grants, catalog_engine: Engine, session: Session, recording: Recording
) -> None:
    grants.open(session, MediaPart.AUDIO, recording, reason="about Mrs Example")
    with reading(catalog_engine) as connection:
        rows = [tuple(row) for row in connection.execute(select(MEDIA_GRANT))]

    assert "Example" not in repr(rows)
