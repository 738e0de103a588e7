"""Changes in words: names for ids, before and after, and nothing for programs alone."""

import re
from typing import Any

import pytest

from tests.simulators.web_vault import WebVault
from vault.access.changes import Change
from vault.access.classes import Demands, RecordingClass, put_class
from vault.access.people_changes import (
    AddPerson,
    GiveCode,
    ReopenPerson,
    SetPerson,
    ShutPerson,
)
from vault.access.permissions import Permission, Role, ScopeKind
from vault.access.policy_changes import (
    AddWorkgroup,
    GiveRight,
    PutClass,
    RemoveClass,
    RevokeRight,
    SetWorkgroup,
)
from vault.access.rights import HolderKind, NewRight
from vault.core.flow import Actor, ActorKind
from vault.core.ids import UserId, WorkgroupId, new_recording_id
from vault.database.engine import transaction
from vault.web.administration import CHANGES
from vault.web.change_words import ChangeWords
from vault.web.classifying import ClassifyRecording

FOR_PROGRAMS = re.compile(r'[0-9a-f]{8}-[0-9a-f]{4}|[0-9a-f]{16}|[{}"\[\]]')


@pytest.fixture
def changes(own_vault: WebVault) -> dict[str, Change[Any]]:
    """One of each kind, by kind."""
    ada = UserId(own_vault.people.by_name("ada").id)
    sales = WorkgroupId(own_vault.workgroups.by_name("sales").id)
    board = RecordingClass(name="board", demands=Demands(reason=True, approval=True))
    with transaction(own_vault.catalog) as connection:
        put_class(connection, board)
    new = NewRight(
        holder_kind=HolderKind.USER,
        holder=ada,
        permission=Permission.RECORDING_MEDIA_PLAY,
        scope_kind=ScopeKind.WORKGROUP,
        scope_value=sales,
    )
    rights = own_vault.services().duties.rights
    given = rights.add(new, granted_by=Actor(kind=ActorKind.OPERATOR, id="0"))
    looser = RecordingClass(name="board", demands=Demands(reason=True))
    made: list[Change[Any]] = [
        GiveRight(new=new),
        RevokeRight(right_id=given.id),
        PutClass(new=looser),
        RemoveClass(name="board"),
        AddWorkgroup(name="north", parent_id=sales),
        SetWorkgroup(workgroup_id=sales, name="trade", class_name="board"),
        ClassifyRecording(recording_id=new_recording_id(), class_name=None),
        AddPerson(name="zoe", roles=frozenset({Role.AGENT}), workgroups=("sales",)),
        SetPerson(user_id=ada, roles=frozenset(), workgroups=("support", "sales")),
        ShutPerson(user_id=ada),
        ReopenPerson(user_id=ada),
        GiveCode(user_id=ada, first_sha256="ab" * 32),
    ]
    return {one.kind: one for one in made}


def test_every_change_that_may_wait_has_words_for_people(
    own_vault: WebVault, changes: dict[str, Change[Any]]
) -> None:
    words = ChangeWords(own_vault.services())
    spelled = {
        kind: [one.members() for one in words.lines(change)]
        for kind, change in changes.items()
    }

    assert {one.kind for one in CHANGES} == set(spelled)
    assert all(spelled.values())
    for lines in spelled.values():
        for line in lines:
            assert not any(map(FOR_PROGRAMS.search, line.values()))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("right.give", ("to", "", "user ada")),
        ("right.give", ("over", "", "workgroup sales")),
        ("right.revoke", ("may", "hear recordings", "none")),
        ("class.put", ("asks for", "a reason and a second person", "a reason")),
        ("workgroup.add", ("below", "", "sales")),
        ("workgroup.set", ("name", "sales", "trade")),
        ("workgroup.set", ("class", "none", "board")),
        ("person.set", ("roles", "supervisor", "none")),
        ("person.set", ("workgroups", "sales", "sales and support")),
        ("person.shut", ("account", "enabled", "disabled")),
    ],
)
def test_what_is_so_now_stands_before_what_would_be(
    own_vault: WebVault,
    changes: dict[str, Change[Any]],
    kind: str,
    expected: tuple[str, str, str],
) -> None:
    lines = ChangeWords(own_vault.services()).lines(changes[kind])

    assert expected in [(one.what, one.before, one.after) for one in lines]


def test_what_is_gone_meanwhile_is_said(
    own_vault: WebVault, changes: dict[str, Change[Any]]
) -> None:
    words = ChangeWords(own_vault.services())
    nobody = UserId("00000000-0000-4000-8000-000000000000")
    (person,) = words.lines(SetPerson(user_id=nobody, roles=frozenset()))
    (right,) = words.lines(RevokeRight(right_id="nothing"))

    assert changes
    assert ["gone meanwhile"] * 2 == [person.after, right.after]
