from dataclasses import dataclass
from itertools import chain, combinations, product

import pytest

from vault.access.policy import (
    GRANT_TTL_S,
    PERMISSIONS,
    RIGHT_FOR,
    Permission,
    Person,
    Role,
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
from vault.core.flow import MediaPart, RecordingState
from vault.core.ids import RecordingId, UserId, WorkgroupId, new_recording_id

OWN = WorkgroupId("own")
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


def person(*roles: Role, disabled: bool = False) -> Person:
    return Person(
        id=UserId("u"),
        name="alice",
        roles=frozenset(roles),
        workgroups=frozenset({OWN}),
        disabled=disabled,
    )


def session(of: Person, *, expires_ns: int = NOW_NS + 10 * TTL_NS) -> Session:
    return Session(id="s", person=of, kind=SessionKind.BROWSER, expires_ns=expires_ns)


class TestDecide:
    def test_the_whole_matrix(self) -> None:
        """16 sets of roles, enabled or not, 4 parts, 3 workgroups, 8 states."""
        cells = 0
        unexpected = []
        for roles, disabled, part, group, state in product(
            ROLE_SETS,
            (False, True),
            MediaPart,
            (OWN, WorkgroupId("other"), None),
            RecordingState,
        ):
            cells += 1
            who = session(person(*roles, disabled=disabled))
            subject = Recording(id=new_recording_id(), workgroup_id=group, state=state)
            listens = Role.SUPERVISOR in roles and not disabled and group == OWN
            expected = ANSWER[state] if listens else NotFoundError
            try:
                decide(who, part, subject, now_ns=NOW_NS)
                actual = None
            except VaultError as error:
                actual = type(error)
            if expected is not actual:
                unexpected.append((roles, disabled, part, group, state, actual))

        assert (3072, []) == (cells, unexpected)

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
        expected = frozenset({OWN}) if Role.SUPERVISOR in roles else frozenset()

        assert expected == scope_of(person(*roles)).workgroups

    def test_a_disabled_person_sees_nothing(self) -> None:
        who = person(Role.SUPERVISOR, disabled=True)

        assert frozenset() == scope_of(who).workgroups


class TestRequire:
    @pytest.mark.parametrize(
        ("role", "permission"), list(product(Role, Permission)), ids=str
    )
    def test_a_role_has_its_own_rights_and_no_others(
        self, role: Role, permission: Permission
    ) -> None:
        if permission in PERMISSIONS[role]:
            require(person(role), permission)
            return

        with pytest.raises(AccessDeniedError):
            require(person(role), permission)


class TestVocabulary:
    def test_permissions_are_in_alphabetical_order(self) -> None:
        assert sorted(Permission) == list(Permission)

    def test_every_role_and_every_part_has_its_line(self) -> None:
        assert (set(Role), set(MediaPart)) == (set(PERMISSIONS), set(RIGHT_FOR))

    def test_nobody_who_administers_or_reads_the_trail_listens(self) -> None:
        listening = {p for p in Permission if p.startswith(("recording:", "call:"))}
        for role in (Role.ADMINISTRATOR, Role.OFFICER, Role.AGENT):
            assert not PERMISSIONS[role] & listening

    def test_the_roles_are_what_the_design_says(self) -> None:
        assert {
            Role.AGENT: set(),
            Role.SUPERVISOR: {
                "recording:metadata:read",
                "recording:media:play",
                "recording:screen:play",
                "recording:media:export",
            },
            Role.OFFICER: {"audit:trail:read", "audit:trail:export"},
            Role.ADMINISTRATOR: {
                "access:user:edit",
                "access:policy:edit",
                "system:health:read",
            },
        } == {role: {str(p) for p in held} for role, held in PERMISSIONS.items()}


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
            role for role, held in PERMISSIONS.items() if permission in held
        }
        for permission in Permission
    } == rows
