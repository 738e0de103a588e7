from dataclasses import dataclass, replace
from itertools import chain, combinations, product
from typing import Any

import pytest

from vault.access.permissions import (
    CONTENT,
    OVER_RECORDINGS,
    RIGHT_FOR,
    ROLE_RIGHTS,
    STEP_UP,
    Permission,
    Role,
    ScopeKind,
)
from vault.access.policy import (
    GRANT_TTL_S,
    HeldRight,
    Person,
    Session,
    SessionKind,
    decide,
    require,
    scope_of,
)
from vault.core.errors import (
    AccessDeniedError,
    GoneError,
    NoMediaError,
    NotFoundError,
    NotReadyError,
    VaultError,
)
from vault.core.flow import MediaPart, RecordingState, VisibilityScope
from vault.core.ids import RecordingId, UserId, WorkgroupId, new_recording_id

OWN = WorkgroupId("own")
CHILD = WorkgroupId("child")
OTHER = WorkgroupId("other")
NOW_NS = 1_795_000_000_000_000_000
TTL_NS = GRANT_TTL_S * 1_000_000_000

ROLE_SETS = [
    frozenset(some)
    for some in chain.from_iterable(combinations(Role, n) for n in range(len(Role) + 1))
]
ANSWER: dict[RecordingState, type[VaultError] | None] = {
    RecordingState.RECORDING: NotReadyError,
    RecordingState.CAPTURED: NotReadyError,
    RecordingState.RENDERING: NotReadyError,
    RecordingState.READY: None,
    RecordingState.PARTIAL: None,
    RecordingState.FAILED: NoMediaError,
    RecordingState.EXPIRED: GoneError,
    RecordingState.SHREDDED: GoneError,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    id: RecordingId
    workgroup_id: WorkgroupId | None
    state: RecordingState
    agent_id: UserId | None = None
    class_name: str | None = None


HEARS: dict[Role, frozenset[MediaPart]] = {
    Role.SUPERVISOR: frozenset(MediaPart),
    Role.QUALITY: frozenset(MediaPart) - {MediaPart.CAPTURE},
}


def person(*roles: Role, disabled: bool = False) -> Person:
    return Person(
        id=UserId("u"),
        name="alice",
        roles=frozenset(roles),
        workgroups=frozenset({OWN}),
        below=frozenset({CHILD}),
        disabled=disabled,
    )


def given(permission: Permission, reach: VisibilityScope) -> Person:
    """Return somebody without a role who holds one right."""
    return replace(person(), rights=(HeldRight(permission=permission, reach=reach),))


def over(**members: Any) -> VisibilityScope:
    return VisibilityScope(user_id=UserId("u"), **members)


def session(of: Person, *, expires_ns: int = NOW_NS + 10 * TTL_NS) -> Session:
    return Session(id="s", person=of, kind=SessionKind.BROWSER, expires_ns=expires_ns)


class TestDecide:
    def test_the_whole_matrix(self) -> None:
        """64 sets of roles, enabled or not, 4 parts, 4 workgroups, 8 states."""
        cells = 0
        unexpected = []
        for roles, disabled, part, group, state in product(
            ROLE_SETS,
            (False, True),
            MediaPart,
            (OWN, CHILD, OTHER, None),
            RecordingState,
        ):
            cells += 1
            who = session(person(*roles, disabled=disabled))
            subject = Recording(id=new_recording_id(), workgroup_id=group, state=state)
            may = any(part in HEARS.get(role, ()) for role in roles)
            listens = may and not disabled and group in {OWN, CHILD}
            expected = ANSWER[state] if listens else NotFoundError
            try:
                decide(who, part, subject, now_ns=NOW_NS)
                actual = None
            except VaultError as error:
                actual = type(error)
            if expected is not actual:
                unexpected.append((roles, disabled, part, group, state, actual))

        assert (16_384, []) == (cells, unexpected)

    def test_forbidden_reads_like_missing_whatever_the_reason(self) -> None:
        ready = Recording(
            id=new_recording_id(), workgroup_id=OWN, state=RecordingState.READY
        )
        foreign = Recording(
            id=ready.id, workgroup_id=None, state=RecordingState.SHREDDED
        )
        words = set()
        for who, subject in (
            (person(), ready),
            (person(Role.ADMINISTRATOR), ready),
            (person(Role.OFFICER), ready),
            (person(Role.SUPERVISOR), foreign),
            (person(Role.SUPERVISOR, disabled=True), ready),
        ):
            with pytest.raises(NotFoundError) as caught:
                decide(session(who), MediaPart.AUDIO, subject, now_ns=NOW_NS)
            words.add(str(caught.value))

        assert {"no such recording"} == words

    def test_a_grant_says_who_what_and_by_which_right(self) -> None:
        subject = Recording(
            id=new_recording_id(), workgroup_id=OWN, state=RecordingState.READY
        )
        grant = decide(
            session(person(Role.SUPERVISOR)),
            MediaPart.CAPTURE,
            subject,
            now_ns=NOW_NS,
            origin="192.0.2.1",
            reason="complaint",
        )

        assert (
            subject.id,
            MediaPart.CAPTURE,
            "recording:media:export",
            "user:u",
            "s",
            "192.0.2.1",
            "complaint",
            NOW_NS + TTL_NS,
        ) == (
            grant.recording_id,
            grant.part,
            grant.right,
            str(grant.caller.actor),
            grant.caller.session,
            grant.caller.origin,
            grant.reason,
            grant.expires_ns,
        )

    def test_a_grant_ends_with_its_session(self) -> None:
        subject = Recording(
            id=new_recording_id(), workgroup_id=OWN, state=RecordingState.READY
        )
        grant = decide(
            session(person(Role.SUPERVISOR), expires_ns=NOW_NS + 1),
            MediaPart.AUDIO,
            subject,
            now_ns=NOW_NS,
        )

        assert grant.expires_ns == NOW_NS + 1


class TestScope:
    @pytest.mark.parametrize(
        "roles", ROLE_SETS, ids=lambda roles: "+".join(sorted(roles)) or "none"
    )
    def test_only_who_may_read_metadata_sees_recordings(
        self, roles: frozenset[Role]
    ) -> None:
        reads = bool(roles & {Role.SUPERVISOR, Role.QUALITY})
        expected = frozenset({OWN, CHILD}) if reads else frozenset()

        assert expected == scope_of(person(*roles)).workgroups
        assert scope_of(person(*roles)).is_empty is not reads

    def test_a_disabled_person_sees_nothing(self) -> None:
        who = person(Role.SUPERVISOR, disabled=True)

        assert scope_of(who).is_empty

    def test_a_right_reaches_what_it_says_and_gives_no_other(self) -> None:
        who = given(Permission.RECORDING_MEDIA_PLAY, over(own=True))
        reached = {
            permission
            for permission in Permission
            if not scope_of(who, permission).is_empty
        }

        assert {Permission.RECORDING_MEDIA_PLAY} == reached
        assert scope_of(who, Permission.RECORDING_MEDIA_PLAY).own

    def test_rights_add_to_what_the_roles_reach(self) -> None:
        right = given(
            Permission.RECORDING_METADATA_READ, over(classes=frozenset({"board"}))
        ).rights
        scope = scope_of(replace(person(Role.QUALITY), rights=right))

        assert (frozenset({OWN, CHILD}), frozenset({"board"})) == (
            scope.workgroups,
            scope.classes,
        )

    def test_a_right_counts_for_nothing_with_a_disabled_account(self) -> None:
        who = given(Permission.RECORDING_METADATA_READ, over(everything=True))

        assert not scope_of(who).is_empty
        assert scope_of(replace(who, disabled=True)).is_empty

    def test_a_token_that_may_less_reaches_less(self) -> None:
        who = replace(
            person(Role.SUPERVISOR),
            limited_to=frozenset({Permission.RECORDING_METADATA_READ}),
        )

        assert not scope_of(who).is_empty
        assert scope_of(who, Permission.RECORDING_MEDIA_PLAY).is_empty

    def test_a_token_gives_nothing_that_its_owner_has_not(self) -> None:
        who = replace(
            person(), limited_to=frozenset({Permission.RECORDING_METADATA_READ})
        )

        assert scope_of(who).is_empty

    @pytest.mark.parametrize("everything", [True, False])
    def test_what_has_no_workgroup_yet_is_nobodys(self, *, everything: bool) -> None:
        scope = over(own=True, classes=frozenset({"board"}), everything=everything)

        assert not scope.covers(
            workgroup_id=None, agent_id=UserId("u"), class_name="board"
        )


class TestRequire:
    @pytest.mark.parametrize(
        ("role", "permission"), list(product(Role, Permission)), ids=str
    )
    def test_a_role_has_its_own_rights_and_no_others(
        self, role: Role, permission: Permission
    ) -> None:
        if permission in ROLE_RIGHTS[role]:
            require(person(role), permission)
            return

        with pytest.raises(AccessDeniedError):
            require(person(role), permission)


class TestVocabulary:
    def test_permissions_are_in_alphabetical_order(self) -> None:
        assert sorted(Permission) == list(Permission)

    def test_every_role_and_every_part_has_its_line(self) -> None:
        assert (set(Role), set(MediaPart)) == (set(ROLE_RIGHTS), set(RIGHT_FOR))

    def test_duties_are_apart(self) -> None:
        """Who hears neither administers, nor reads the trail, nor handles keys."""
        hears = {role for role in Role if ROLE_RIGHTS[role].keys() & CONTENT}
        elsewhere = {
            role
            for role in Role
            if any(
                permission.startswith(("access:", "audit:", "key:"))
                for permission in ROLE_RIGHTS[role]
            )
        }

        assert (set(HEARS), set()) == (hears, hears & elsewhere)

    def test_no_role_breaks_the_glass(self) -> None:
        assert not any(
            Permission.ACCESS_EMERGENCY_USE in held for held in ROLE_RIGHTS.values()
        )

    def test_the_roles_are_what_the_design_says(self) -> None:
        assert {
            Role.AGENT: set(),
            Role.SUPERVISOR: {
                "call:live:listen",
                "recording:approval:decide",
                "recording:media:export",
                "recording:media:play",
                "recording:metadata:read",
                "recording:screen:play",
            },
            Role.QUALITY: {
                "recording:media:play",
                "recording:metadata:read",
                "recording:screen:play",
            },
            Role.OFFICER: {
                "access:policy:approve",
                "audit:text:read",
                "audit:trail:export",
                "audit:trail:read",
                "recording:approval:decide",
                "recording:class:edit",
                "recording:hold:place",
                "recording:hold:release",
            },
            Role.ADMINISTRATOR: {
                "access:policy:approve",
                "access:policy:edit",
                "access:session:end",
                "access:user:edit",
                "system:health:read",
            },
            Role.CUSTODIAN: {
                "key:kek:destroy",
                "key:kek:rotate",
                "system:health:read",
            },
        } == {role: {str(p) for p in held} for role, held in ROLE_RIGHTS.items()}

    def test_what_is_over_a_collection_is_over_all_of_it(self) -> None:
        assert {ScopeKind.ALL} == {
            kind
            for held in ROLE_RIGHTS.values()
            for permission, kind in held.items()
            if permission not in OVER_RECORDINGS
        }

    def test_no_role_hears_beyond_its_workgroups(self) -> None:
        assert {ScopeKind.WORKGROUP} == {
            kind
            for held in ROLE_RIGHTS.values()
            for permission, kind in held.items()
            if permission in CONTENT
        }

    def test_what_asks_for_a_fresh_proof(self) -> None:
        assert {
            "access:emergency:use",
            "audit:text:read",
            "audit:trail:export",
            "key:kek:destroy",
            "recording:hold:release",
            "recording:media:export",
        } == {str(permission) for permission in STEP_UP}


def test_the_page_on_permissions_names_every_right_and_who_has_it() -> None:
    from pathlib import Path  # noqa: PLC0415 - only this test reads a file

    page = Path(__file__).parents[3] / "docs" / "reference" / "permissions.md"
    rows = {
        cells[1].strip(" `"): {
            role for role, cell in zip(Role, cells[2:], strict=False) if "yes" in cell
        }
        for line in page.read_text("utf-8").splitlines()
        if line.startswith("| `")
        for cells in [line.split("|")]
        if cells[1].count(":") == 2
    }

    assert {
        str(permission): {
            role for role, held in ROLE_RIGHTS.items() if permission in held
        }
        for permission in Permission
    } == rows
