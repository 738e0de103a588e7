"""What a class asks for besides the right: words, or somebody who agrees."""

from dataclasses import dataclass, replace
from typing import Protocol

import pytest
from sqlalchemy import Engine, insert, select, update

from vault.access.approvals import (
    MAX_PENDING,
    Approval,
    ApprovalConfig,
    ApprovalKind,
    Approvals,
    ApprovalState,
    NewApproval,
)
from vault.access.classes import (
    EVERYTHING_ASKED,
    MAX_CLASSES,
    NOTHING_ASKED,
    Classes,
    Demands,
    RecordingClass,
    put_class,
    remove_class,
)
from vault.access.grants import Grants
from vault.access.people import People
from vault.access.permissions import Permission, Role, ScopeKind
from vault.access.policy import HeldRight, Session
from vault.access.rights import HolderKind, NewRight, Rights
from vault.access.sessions import SessionConfig, Sessions
from vault.access.tables import APPROVAL, WORKGROUP
from vault.access.workgroups import Workgroups, set_workgroup
from vault.catalog.recordings import Recordings
from vault.catalog.tables import RECORDING
from vault.core.errors import (
    ApprovalRequiredError,
    AuditUnavailableError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    ReasonRequiredError,
    VaultError,
)
from vault.core.flow import Actor, ActorKind, MediaPart, RecordingState, VisibilityScope
from vault.core.ids import RecordingId, UserId, WorkgroupId, new_recording_id
from vault.database.engine import transaction

PLAY = Permission.RECORDING_MEDIA_PLAY
AUDIO = MediaPart.AUDIO
WHY = "a complaint"


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


class Desk:
    """A supervisor who plays, and somebody who agrees."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine, self.clock = engine, clock
        people = People(engine)
        sessions = Sessions(
            engine, SessionConfig(idle_s=90_000, absolute_s=90_000), clock=clock
        )
        self.sue = people.add("sue", [Role.SUPERVISOR], ["sales"], "h").person
        self.olga = people.add("olga", [Role.OFFICER], [], "h").person
        self.session: Session = sessions.open(self.sue.id).session
        self.grants = Grants(engine, clock=clock)
        self.approvals = Approvals(
            engine, ApprovalConfig(pending_s=1000, use_s=400), clock=clock
        )
        (self.sales,) = self.sue.workgroups
        self.used: list[str] = []

    def put(self, name: str, *, reason: bool = False, approval: bool = False) -> None:
        with transaction(self.engine) as connection:
            put_class(
                connection,
                RecordingClass(
                    name=name, demands=Demands(reason=reason, approval=approval)
                ),
            )

    def recording(self, class_name: str | None = None) -> Recording:
        return Recording(
            id=new_recording_id(), workgroup_id=self.sales, class_name=class_name
        )

    def ask(self, recording: Recording, permission: Permission = PLAY) -> Approval:
        return self.approvals.ask(
            NewApproval(
                kind=ApprovalKind.PLAY,
                requester_id=self.sue.id,
                permission=permission,
                recording_id=recording.id,
            ),
            tell=lambda _: None,
        )

    def decide(self, asked: Approval, *, approve: bool = True) -> Approval:
        return self.approvals.decide(
            asked.id, by=self.olga.id, approve=approve, tell=lambda _: None
        )

    def open(
        self,
        recording: Recording,
        part: MediaPart = AUDIO,
        *,
        reason: str = "",
        session: Session | None = None,
    ) -> int:
        return self.grants.open(
            session or self.session,
            part,
            recording,
            reason=reason,
            used=lambda approval, _: self.used.append(approval.id),
        ).expires_ns

    def refusal(self, recording: Recording, reason: str = "") -> type[VaultError]:
        with pytest.raises(VaultError) as caught:
            self.open(recording, reason=reason)
        return type(caught.value)


@pytest.fixture
def desk(catalog_engine: Engine, clock: Clock) -> Desk:
    return Desk(catalog_engine, clock)


class TestReason:
    @pytest.mark.parametrize("part", MediaPart)
    def test_every_part_asks_for_it(self, desk: Desk, part: MediaPart) -> None:
        desk.put("strict", reason=True)
        recording = desk.recording("strict")

        with pytest.raises(ReasonRequiredError):
            desk.open(recording, part)
        assert desk.open(recording, part, reason=WHY)
        assert desk.grants.live(desk.session, part, recording) is not None

    @pytest.mark.parametrize("reason", ["", "    ", "abc", " a b ", "x" * 501])
    def test_what_is_no_reason_is_none(self, desk: Desk, reason: str) -> None:
        desk.put("strict", reason=True)

        assert ReasonRequiredError is desk.refusal(desk.recording("strict"), reason)

    def test_a_grant_of_before_asks_when_the_class_does(self, desk: Desk) -> None:
        desk.put("strict")
        recording = desk.recording("strict")
        desk.open(recording)
        desk.put("strict", reason=True)

        with pytest.raises(ReasonRequiredError):
            desk.grants.live(desk.session, AUDIO, recording)

    def test_a_reason_is_of_one_grant_and_not_of_the_next(
        self, desk: Desk, clock: Clock
    ) -> None:
        desk.put("strict", reason=True)
        recording = desk.recording("strict")
        desk.open(recording, reason=WHY)
        clock.advance(300)

        assert desk.grants.live(desk.session, AUDIO, recording) is None
        assert ReasonRequiredError is desk.refusal(recording)

    def test_a_class_asks_nobody_without_the_right(self, desk: Desk) -> None:
        desk.put("strict", reason=True, approval=True)
        foreign = replace(
            desk.recording("strict"), workgroup_id=WorkgroupId("elsewhere")
        )

        assert NotFoundError is desk.refusal(foreign)


class TestApproval:
    def test_somebody_agrees_and_it_plays_until_the_approval_ends(
        self, desk: Desk, clock: Clock
    ) -> None:
        desk.put("board", approval=True)
        recording = desk.recording("board")

        assert ApprovalRequiredError is desk.refusal(recording, WHY)
        asked = desk.ask(recording)
        assert ApprovalRequiredError is desk.refusal(recording, WHY)
        desk.decide(asked)
        ends_ns = clock.now_ns + 400 * 10**9
        assert desk.open(recording) <= ends_ns
        for _ in range(3):
            clock.advance(120)
            found = desk.grants.live(desk.session, AUDIO, recording)
            desk.grants.insist(desk.session, AUDIO, recording)
            assert found is not None
            assert found.expires_ns <= ends_ns
        clock.advance(40)
        assert desk.grants.live(desk.session, AUDIO, recording) is None
        with pytest.raises(ApprovalRequiredError):
            desk.grants.insist(desk.session, AUDIO, recording)
        assert ApprovalRequiredError is desk.refusal(recording)

    def test_its_first_use_is_told_and_only_that(self, desk: Desk) -> None:
        desk.put("board", approval=True)
        recording = desk.recording("board")
        approval = desk.decide(desk.ask(recording))
        desk.open(recording)
        desk.open(recording, MediaPart.PEAKS)

        assert [approval.id] == desk.used
        assert ApprovalState.USED is desk.approvals.get(approval.id).state

    def test_a_use_that_is_not_on_the_trail_is_none(self, desk: Desk) -> None:
        desk.put("board", approval=True)
        recording = desk.recording("board")
        approval = desk.decide(desk.ask(recording))

        def fail(*_: object) -> None:
            raise AuditUnavailableError("no")

        with pytest.raises(AuditUnavailableError):
            desk.grants.open(desk.session, AUDIO, recording, used=fail)
        assert desk.grants.live(desk.session, AUDIO, recording) is None
        assert ApprovalState.APPROVED is desk.approvals.get(approval.id).state

    def test_it_is_for_one_person_one_recording_and_one_right(self, desk: Desk) -> None:
        desk.put("board", approval=True)
        recording = desk.recording("board")
        desk.decide(desk.ask(recording))
        zoe = People(desk.engine).add("zoe", [Role.SUPERVISOR], ["sales"], "h").person
        other = replace(desk.session, person=zoe)

        for session, part, subject in (
            (other, AUDIO, recording),
            (desk.session, MediaPart.CAPTURE, recording),
            (desk.session, MediaPart.SCREEN, recording),
            (desk.session, AUDIO, desk.recording("board")),
        ):
            with pytest.raises(ApprovalRequiredError):
                desk.open(subject, part, session=session)
        assert desk.open(recording, MediaPart.PEAKS)

    def test_a_no_opens_nothing_and_one_may_ask_again(self, desk: Desk) -> None:
        desk.put("board", approval=True)
        recording = desk.recording("board")
        desk.decide(desk.ask(recording), approve=False)

        assert ApprovalRequiredError is desk.refusal(recording)
        desk.decide(desk.ask(recording))
        assert desk.open(recording)

    def test_nobody_decides_their_own(self, desk: Desk) -> None:
        asked = desk.ask(desk.recording())

        with pytest.raises(NotFoundError):
            desk.approvals.decide(
                asked.id, by=desk.sue.id, approve=True, tell=lambda _: None
            )

    @pytest.mark.parametrize("approve", [True, False])
    def test_what_is_decided_stays_decided(self, desk: Desk, *, approve: bool) -> None:
        asked = desk.ask(desk.recording())
        desk.decide(asked, approve=approve)

        with pytest.raises(ConflictError):
            desk.decide(asked)

    def test_what_waits_too_long_is_over(self, desk: Desk, clock: Clock) -> None:
        asked = desk.ask(desk.recording())
        clock.advance(1000)

        with pytest.raises(NotFoundError):
            desk.decide(asked)
        assert ((), ()) == (desk.approvals.list(), desk.approvals.of(desk.sue.id))

    def test_a_decision_that_is_not_on_the_trail_is_none(self, desk: Desk) -> None:
        asked = desk.ask(desk.recording())

        def fail(_: object) -> None:
            raise AuditUnavailableError("no")

        with pytest.raises(AuditUnavailableError):
            desk.approvals.decide(asked.id, by=desk.olga.id, approve=True, tell=fail)
        assert (asked,) == desk.approvals.pending()

    @pytest.mark.parametrize("approval_id", ["", "nothing", "a\0b", "\ud800"])
    def test_what_is_not_there_is_not_found(self, desk: Desk, approval_id: str) -> None:
        with pytest.raises(NotFoundError):
            desk.approvals.get(approval_id)

    def test_one_request_waits_once_and_not_too_many_do(self, desk: Desk) -> None:
        recording = desk.recording()
        desk.ask(recording)
        with pytest.raises(ConflictError):
            desk.ask(recording)
        for _ in range(MAX_PENDING - 1):
            desk.ask(desk.recording())

        with pytest.raises(ConflictError):
            desk.ask(desk.recording())

    def test_what_this_version_does_not_know_opens_nothing(self, desk: Desk) -> None:
        desk.put("board", approval=True)
        recording = desk.recording("board")
        desk.decide(desk.ask(recording))
        with transaction(desk.engine) as connection:
            connection.execute(update(APPROVAL).values(permission="recording:all:do"))

        assert ApprovalRequiredError is desk.refusal(recording)
        assert () == desk.approvals.list()

    def test_both_are_asked_for_where_both_are(self, desk: Desk) -> None:
        desk.put("board", reason=True, approval=True)
        recording = desk.recording("board")

        assert ApprovalRequiredError is desk.refusal(recording)
        assert ApprovalRequiredError is desk.refusal(recording, WHY)
        desk.decide(desk.ask(recording))
        assert ReasonRequiredError is desk.refusal(recording)
        assert desk.open(recording, reason=WHY)

    def test_breaking_the_glass_needs_nobody_but_words(self, desk: Desk) -> None:
        desk.put("board", reason=True, approval=True)
        everything = VisibilityScope(user_id=desk.sue.id, everything=True)
        broken = replace(
            desk.session,
            person=replace(
                desk.sue,
                rights=(
                    HeldRight(permission=PLAY, reach=everything, is_emergency=True),
                ),
            ),
        )
        recording = desk.recording("board")

        with pytest.raises(ReasonRequiredError):
            desk.open(recording, session=broken)
        assert desk.open(recording, session=broken, reason=WHY)
        with pytest.raises(ApprovalRequiredError):
            desk.open(recording, MediaPart.CAPTURE, session=broken, reason=WHY)


class TestClassOfARecording:
    def test_its_own_wins_over_that_of_its_workgroup(self, desk: Desk) -> None:
        desk.put("strict", reason=True)
        desk.put("plain")
        with transaction(desk.engine) as connection:
            set_workgroup(connection, desk.sales, class_name="strict")
        classes = Classes(desk.engine)

        assert [
            Demands(reason=True),
            NOTHING_ASKED,
            Demands(reason=True),
            EVERYTHING_ASKED,
            NOTHING_ASKED,
        ] == [
            classes.demands_on(one)
            for one in (
                desk.recording(),
                desk.recording("plain"),
                desk.recording("strict"),
                desk.recording("removed-by-hand"),
                replace(desk.recording(), workgroup_id=None),
            )
        ]

    def test_a_class_in_use_is_not_removed(
        self, desk: Desk, recordings: Recordings
    ) -> None:
        for name in ("of-group", "of-right", "of-recording", "free"):
            desk.put(name)
        Rights(desk.engine).add(
            NewRight(
                holder_kind=HolderKind.ROLE,
                holder="agent",
                permission=PLAY,
                scope_kind=ScopeKind.CLASS,
                scope_value="of-right",
            ),
            granted_by=Actor(kind=ActorKind.OPERATOR, id="0"),
        )
        with transaction(desk.engine) as connection:
            connection.execute(
                update(WORKGROUP)
                .where(WORKGROUP.c.id == desk.sales)
                .values(class_name="of-group")
            )
            connection.execute(
                insert(RECORDING).values(
                    id=new_recording_id(), state="ready", class_name="of-recording"
                )
            )
        for name in ("of-group", "of-right", "of-recording"):
            with (
                pytest.raises(ConflictError, match=name.removeprefix("of-")),
                transaction(desk.engine) as connection,
            ):
                remove_class(connection, name)
        with transaction(desk.engine) as connection:
            remove_class(connection, "free")

        assert ["of-group", "of-recording", "of-right"] == [
            one.name for one in Classes(desk.engine).list()
        ]

    @pytest.mark.parametrize("name", ["", "A", "a b", "-a", "a" * 33, "ä", "a\0"])
    def test_what_is_no_name_is_refused(self, desk: Desk, name: str) -> None:
        with pytest.raises(InvalidInputError):
            desk.put(name)

    def test_there_is_a_limit(self, desk: Desk) -> None:
        with transaction(desk.engine) as connection:
            for n in range(MAX_CLASSES):
                put_class(
                    connection, RecordingClass(name=f"c{n}", demands=NOTHING_ASKED)
                )

        desk.put("c1", reason=True)
        with pytest.raises(ConflictError):
            desk.put("one-more")


class TestTree:
    def test_a_workgroup_never_stands_below_itself(self, desk: Desk) -> None:
        groups = Workgroups(desk.engine)
        a, b, c = (groups.add(name)[0].id for name in "abc")
        with transaction(desk.engine) as connection:
            set_workgroup(connection, b, parent_id=a)
            before, after = set_workgroup(connection, c, parent_id=b)

        assert (None, b) == (before.parent_id, after.parent_id)
        for child, parent in ((a, a), (a, b), (a, c), (b, c)):
            with (
                pytest.raises(ConflictError),
                transaction(desk.engine) as connection,
            ):
                set_workgroup(connection, child, parent_id=parent)
        with transaction(desk.engine) as connection:
            set_workgroup(connection, b, parent_id="")
            set_workgroup(connection, a, parent_id=c)
        assert {"a": c, "b": None, "c": b} == {
            one.name: one.parent_id for one in groups.list() if one.name in "abc"
        }

    @pytest.mark.parametrize("missing", ["nothing", "a\0b", "\ud800"])
    def test_what_is_not_there_is_not_found(self, desk: Desk, missing: str) -> None:
        for change in (
            {"workgroup_id": WorkgroupId(missing)},
            {"workgroup_id": desk.sales, "parent_id": missing},
            {"workgroup_id": desk.sales, "class_name": missing},
        ):
            with (
                pytest.raises(NotFoundError),
                transaction(desk.engine) as connection,
            ):
                set_workgroup(connection, **change)

    def test_it_is_found_by_any_spelling_of_its_name(self, desk: Desk) -> None:
        groups = Workgroups(desk.engine)

        assert desk.sales == groups.by_name(" SALES ").id
        for name in ("nobody", "\ud800", "a\0"):
            with pytest.raises(NotFoundError):
                groups.by_name(name)


def test_no_reason_is_in_the_table_of_approvals(desk: Desk) -> None:
    desk.ask(desk.recording())
    with transaction(desk.engine) as connection:
        (row,) = connection.execute(select(APPROVAL)).all()

    assert {"id", "kind", "requester_id", "permission", "recording_id"} < set(
        row._mapping
    )
    assert not {"reason", "text", "note"} & set(row._mapping)
