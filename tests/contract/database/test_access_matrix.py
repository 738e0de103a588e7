"""Roles, parts, workgroups and states through the real tables, on both databases."""

from collections.abc import Callable
from itertools import product

from sqlalchemy import Engine, update

from vault.access.grants import Grants
from vault.access.people import People
from vault.access.permissions import Role
from vault.access.policy import scope_of
from vault.access.sessions import Sessions
from vault.catalog.recordings import Recordings
from vault.catalog.tables import RECORDING
from vault.catalog.values import OpenRecording
from vault.core.clock import Clock
from vault.core.errors import (
    GoneError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
    VaultError,
)
from vault.core.flow import MediaPart, RecordingState
from vault.database.engine import transaction

S = RecordingState
ANSWER: dict[RecordingState, type[VaultError] | None] = {
    S.RECORDING: NotReadyError,
    S.CAPTURED: NotReadyError,
    S.RENDERING: NotReadyError,
    S.READY: None,
    S.PARTIAL: None,
    S.FAILED: NoMediaError,
    S.EXPIRED: GoneError,
    S.SHREDDED: GoneError,
}
HEARS: dict[Role, frozenset[MediaPart]] = {
    Role.SUPERVISOR: frozenset(MediaPart),
    Role.QUALITY: frozenset(MediaPart) - {MediaPart.CAPTURE},
}


def test_a_row_read_through_a_scope_is_granted_or_refused_as_the_design_says(
    catalog_engine: Engine,
    recordings: Recordings,
    new_order: Callable[..., OpenRecording],
    clock: Clock,
) -> None:
    people = People(catalog_engine)
    sessions = Sessions(catalog_engine, clock=clock)
    grants = Grants(catalog_engine, clock=clock)
    signed_in = {
        role: sessions.open(people.add(str(role), [role], ["own"], "h").person.id)
        for role in Role
    }
    people.add("elsewhere", [Role.SUPERVISOR], ["other"], "h")
    groups = {name: one for one in people.list() for name in [one.name]}
    (own,) = groups["agent"].workgroups
    (other,) = groups["elsewhere"].workgroups
    rows = {}
    for group, state in product((own, other), S):
        order = new_order(workgroup=group)
        recordings.open(order)
        rows[group, state] = order.id
        with transaction(catalog_engine) as connection:
            connection.execute(
                update(RECORDING)
                .where(RECORDING.c.id == order.id)
                .values(state=str(state))
            )

    unexpected = []
    for (role, opened), part, (group, state) in product(
        signed_in.items(), MediaPart, rows
    ):
        session = sessions.lookup(opened.secret)
        listens = part in HEARS.get(role, ()) and group == own
        expected = ANSWER[state] if listens else NotFoundError
        actual: type[VaultError] | None = None
        try:
            row = recordings.get(scope_of(session.person), rows[group, state])
            grants.open(session, part, row)
        except VaultError as error:
            actual = type(error)
        if expected is not actual:
            unexpected.append((role, part, group, state, actual))

    assert [] == unexpected
    assert {role: len(S) if role in HEARS else 0 for role in Role} == {
        role: recordings.count(scope_of(opened.session.person))
        for role, opened in signed_in.items()
    }
