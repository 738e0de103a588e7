"""Nobody opens a call to themselves alone, whatever way the change takes."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from sqlalchemy import Engine, select, update

from vault.access.approvals import ApprovalConfig, Approvals, ApprovalState
from vault.access.changes import Change, Done, Making, Members
from vault.access.classes import Demands, RecordingClass
from vault.access.people import People, set_roles, set_workgroups
from vault.access.people_reading import read_person
from vault.access.permissions import (
    TAKES_TWO,
    DualControl,
    Permission,
    Role,
    ScopeKind,
)
from vault.access.policy import Person, scope_of
from vault.access.policy_changes import (
    GiveRight,
    PutClass,
    RemoveClass,
    RevokeRight,
    SetWorkgroup,
)
from vault.access.rights import HolderKind, NewRight, Rights
from vault.access.second_person import Asked, SecondPerson
from vault.access.tables import APPROVAL, PERSON
from vault.access.workgroups import Workgroup, Workgroups
from vault.audit.entry import Action
from vault.core.errors import AuditUnavailableError, ConflictError, NotFoundError
from vault.core.flow import Actor, ActorKind
from vault.core.ids import UserId, WorkgroupId
from vault.database.engine import reading, transaction

PLAY = Permission.RECORDING_MEDIA_PLAY
READ = Permission.RECORDING_METADATA_READ
HOUR_NS = 3600 * 10**9


class Clock(Protocol):
    now_ns: int

    def __call__(self) -> int: ...

    def advance(self, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPerson(Change[Person]):
    """Roles and workgroups of somebody, as an administrator sets them."""

    kind = "test.person"

    user_id: UserId
    roles: tuple[Role, ...]
    groups: tuple[str, ...] = ()
    knows_password: bool = False

    def members(self) -> Members:
        return {
            "user_id": self.user_id,
            "roles": " ".join(self.roles),
            "groups": " ".join(self.groups),
        }

    @classmethod
    def parse(cls, members: Members) -> "SetPerson":
        return cls(
            user_id=UserId(members["user_id"]),
            roles=tuple(Role(one) for one in members["roles"].split()),
            groups=tuple(members["groups"].split()),
        )

    def apply(self, making: Making) -> Done[Person]:
        set_roles(making.connection, self.user_id, self.roles)
        set_workgroups(making.connection, self.user_id, self.groups)
        return Done(
            value=read_person(making.connection, self.user_id, now_ns=making.now_ns),
            action=Action.ACCESS_USER_CHANGED,
        )

    def opens(self) -> frozenset[UserId]:
        return frozenset({self.user_id} if self.knows_password else ())


KINDS = (GiveRight, RevokeRight, PutClass, RemoveClass, SetWorkgroup, SetPerson)


@dataclass
class Company:
    """Two administrators, an officer, a supervisor, and a tree of workgroups."""

    engine: Engine
    clock: Clock
    approvals: Approvals
    needed: DualControl = DualControl.SELF
    told: list[Action] = field(default_factory=list)
    ids: dict[str, UserId] = field(default_factory=dict)
    groups: dict[str, Workgroup] = field(default_factory=dict)

    def person(self, name: str, *roles: Role, groups: tuple[str, ...] = ()) -> UserId:
        made = People(self.engine).add(name, roles, groups, "h").person.id
        self.ids[name] = made
        return made

    @property
    def desk(self) -> SecondPerson:
        return SecondPerson(
            self.engine,
            self.approvals,
            KINDS,
            needed=self.needed,
            clock=self.clock,
        )

    def run(self, change: Change[Any], by: str = "adam") -> Done[Any] | Asked:
        return self.desk.run(
            change,
            asker=self.ids[by],
            tell=lambda done: self.told.append(done.action),
            ask=lambda *_: self.told.append(Action.ACCESS_APPROVAL_REQUESTED),
        )

    def asked(self, change: Change[Any], by: str = "adam") -> Asked:
        found = self.run(change, by)
        assert isinstance(found, Asked)
        return found

    def made(self, change: Change[Any], by: str = "adam") -> Done[Any]:
        found = self.run(change, by)
        assert isinstance(found, Done)
        return found

    def approve(self, asked: Asked, by: str) -> Done[Any]:
        return self.desk.approve(
            asked.approval.id,
            by=self.ids[by],
            tell=lambda _, done: self.told.append(done.action),
        )

    def reaches(self, name: str, permission: Permission = PLAY) -> bool:
        with reading(self.engine) as connection:
            person = read_person(connection, self.ids[name], now_ns=self.clock.now_ns)
        return not scope_of(person, permission).is_empty

    def rows(self) -> int:
        with reading(self.engine) as connection:
            return len(connection.execute(select(APPROVAL)).all())


@pytest.fixture
def company(catalog_engine: Engine, clock: Clock) -> Company:
    made = Company(
        engine=catalog_engine,
        clock=clock,
        approvals=Approvals(
            catalog_engine, ApprovalConfig(pending_s=1000, use_s=100), clock=clock
        ),
    )
    groups = Workgroups(catalog_engine)
    for name in ("ours", "sales", "board"):
        made.groups[name] = groups.add(name)[0]
    made.person("adam", Role.ADMINISTRATOR, groups=("ours",))
    made.person("anna", Role.ADMINISTRATOR)
    made.person("olga", Role.OFFICER)
    made.person("sue", Role.SUPERVISOR, groups=("sales",))
    return made


def give(
    company: Company,
    holder: str,
    *,
    kind: HolderKind = HolderKind.USER,
    permission: Permission = PLAY,
    scope: ScopeKind = ScopeKind.ALL,
    value: str = "",
    start: int = 0,
    until: int | None = None,
) -> GiveRight:
    ids: dict[str, str] = dict(company.ids)
    ids |= {name: one.id for name, one in company.groups.items()}
    return GiveRight(
        new=NewRight(
            holder_kind=kind,
            holder=ids.get(holder, holder),
            permission=permission,
            scope_kind=scope,
            scope_value=ids.get(value, value),
            valid_from_ns=start,
            valid_until_ns=until,
        )
    )


def _to_their_workgroup(company: Company) -> Change[Any]:
    return give(company, "ours", kind=HolderKind.WORKGROUP)


def _to_their_role(company: Company) -> Change[Any]:
    return give(company, "administrator", kind=HolderKind.ROLE)


def _from_tomorrow(company: Company) -> Change[Any]:
    return give(company, "adam", start=company.clock.now_ns + 24 * HOUR_NS)


def _by_a_role(company: Company) -> Change[Any]:
    return SetPerson(
        user_id=company.ids["adam"],
        roles=(Role.ADMINISTRATOR, Role.SUPERVISOR),
        groups=("ours",),
    )


def _by_the_role_of_officer(company: Company) -> Change[Any]:
    return SetPerson(
        user_id=company.ids["adam"],
        roles=(Role.ADMINISTRATOR, Role.OFFICER),
        groups=("ours",),
    )


def _what_was_typed(company: Company) -> Change[Any]:
    return give(company, "adam", permission=Permission.AUDIT_TEXT_READ)


def _what_waits_for_a_yes(company: Company) -> Change[Any]:
    return give(company, "adam", permission=Permission.RECORDING_APPROVAL_DECIDE)


def _by_a_workgroup_that_holds_it(company: Company) -> Change[Any]:
    company.made(give(company, "board", kind=HolderKind.WORKGROUP))
    return SetPerson(
        user_id=company.ids["adam"],
        roles=(Role.ADMINISTRATOR,),
        groups=("ours", "board"),
    )


def _with_an_account(company: Company) -> Change[Any]:
    made = company.person("eve")
    return SetPerson(
        user_id=made, roles=(Role.SUPERVISOR,), groups=("sales",), knows_password=True
    )


def _with_a_password(company: Company) -> Change[Any]:
    return SetPerson(
        user_id=company.ids["sue"],
        roles=(Role.SUPERVISOR,),
        groups=("sales",),
        knows_password=True,
    )


def _the_glass(company: Company) -> Change[Any]:
    return give(company, "adam", permission=Permission.ACCESS_EMERGENCY_USE)


WAYS: list[Callable[[Company], Change[Any]]] = [
    lambda company: give(company, "adam"),
    lambda company: give(company, "adam", permission=READ, scope=ScopeKind.OWN),
    _to_their_workgroup,
    _to_their_role,
    _from_tomorrow,
    _by_a_role,
    _by_the_role_of_officer,
    _by_a_workgroup_that_holds_it,
    _with_an_account,
    _with_a_password,
    _the_glass,
    _what_was_typed,
    _what_waits_for_a_yes,
]
NAMES = [
    "a right over all",
    "a right over what is theirs",
    "a right of their workgroup",
    "a right of their role",
    "a right from tomorrow",
    "a role",
    "the role of officer",
    "a membership",
    "an account whose password they know",
    "the password of somebody who hears",
    "breaking the glass",
    "what people typed",
    "deciding over plays",
]


class TestOfThemselves:
    @pytest.mark.parametrize("way", WAYS, ids=NAMES)
    def test_it_waits_whatever_way_it_takes(
        self, company: Company, way: Callable[[Company], Change[Any]]
    ) -> None:
        change = way(company)
        company.told.clear()
        asked = company.asked(change)

        assert asked.gains
        assert asked.gains <= TAKES_TWO
        assert [Action.ACCESS_APPROVAL_REQUESTED] == company.told
        assert not any(company.reaches("adam", one) for one in TAKES_TWO)

    @pytest.mark.parametrize("way", WAYS, ids=NAMES)
    def test_another_person_agrees_and_it_is_made(
        self, company: Company, way: Callable[[Company], Change[Any]]
    ) -> None:
        asked = company.asked(way(company))
        company.approve(asked, "olga")
        company.clock.advance(24 * 3600)

        assert company.told[-1] in {
            Action.ACCESS_RIGHT_GIVEN,
            Action.ACCESS_USER_CHANGED,
        }
        with pytest.raises(NotFoundError):
            company.approvals.get(asked.approval.id)

    def test_a_group_that_moves_below_their_own_opens_its_calls(
        self, company: Company
    ) -> None:
        company.person("both", Role.ADMINISTRATOR, Role.QUALITY, groups=("ours",))
        change = SetWorkgroup(
            workgroup_id=company.groups["board"].id,
            parent_id=company.groups["ours"].id,
        )

        assert {READ, PLAY, Permission.RECORDING_SCREEN_PLAY} == set(
            company.asked(change, "both").gains
        )
        assert isinstance(company.run(change, "anna"), Done)

    def test_a_class_that_asks_for_less_opens_them_to_who_hears(
        self, company: Company
    ) -> None:
        company.person("both", Role.ADMINISTRATOR, Role.QUALITY, groups=("board",))
        strict = RecordingClass(name="secret", demands=Demands(approval=True))
        loose = RecordingClass(name="secret", demands=Demands(reason=True))
        board = company.groups["board"].id
        company.made(PutClass(new=strict))
        company.made(SetWorkgroup(workgroup_id=board, class_name="secret"))

        assert PLAY in company.asked(PutClass(new=loose), "both").gains
        assert (
            PLAY
            in company.asked(
                SetWorkgroup(workgroup_id=board, class_name=""), "both"
            ).gains
        )
        assert isinstance(company.run(PutClass(new=loose), "anna"), Done)

    def test_an_end_that_comes_later_is_a_gain(self, company: Company) -> None:
        soon = company.clock.now_ns + HOUR_NS
        Rights(company.engine, clock=company.clock).add(
            give(company, "adam", until=soon).new,
            granted_by=Actor(kind=ActorKind.OPERATOR, id="0"),
        )

        assert isinstance(company.run(give(company, "adam", until=soon)), Done)
        assert isinstance(company.run(give(company, "adam", until=soon + 1)), Asked)


class TestOfOthers:
    def test_what_opens_nothing_to_who_asks_is_made_at_once(
        self, company: Company
    ) -> None:
        for change in (
            give(company, "olga"),
            give(company, "adam", permission=Permission.AUDIT_TRAIL_READ),
            give(company, "sue", scope=ScopeKind.WORKGROUP, value="sales"),
            PutClass(new=RecordingClass(name="secret", demands=Demands(reason=True))),
            SetWorkgroup(
                workgroup_id=company.groups["sales"].id,
                parent_id=company.groups["ours"].id,
            ),
        ):
            assert isinstance(company.run(change), Done)
        assert company.rows() == 0

    def test_what_somebody_has_already_is_no_gain(self, company: Company) -> None:
        company.person("both", Role.ADMINISTRATOR, Role.QUALITY, groups=("sales",))
        change = give(company, "both", scope=ScopeKind.WORKGROUP, value="sales")

        assert isinstance(company.run(change, "both"), Done)

    def test_a_strict_vault_asks_for_others_too(self, company: Company) -> None:
        company.needed = DualControl.ALWAYS
        asked = company.asked(give(company, "olga"))

        assert not company.reaches("olga")
        with pytest.raises(ConflictError, match="gains"):
            company.approve(asked, "olga")
        company.approve(asked, "anna")
        assert company.reaches("olga")

    def test_a_strict_vault_lets_things_be_taken_away(self, company: Company) -> None:
        given = company.made(give(company, "olga"))
        company.needed = DualControl.ALWAYS

        assert isinstance(company.run(RevokeRight(right_id=given.value.id)), Done)


class TestTheSecondPerson:
    def test_it_is_never_who_asked(self, company: Company) -> None:
        asked = company.asked(give(company, "adam"))

        with pytest.raises(NotFoundError):
            company.approve(asked, "adam")
        assert not company.reaches("adam")

    def test_a_yes_counts_once(self, company: Company) -> None:
        asked = company.asked(give(company, "adam"))
        company.approve(asked, "olga")

        assert company.reaches("adam")
        with pytest.raises(ConflictError):
            company.approve(asked, "anna")

    def test_a_no_is_final(self, company: Company) -> None:
        asked = company.asked(give(company, "adam"))
        refused = company.approvals.decide(
            asked.approval.id, by=company.ids["olga"], approve=False, tell=print
        )

        assert ApprovalState.REFUSED is refused.state
        with pytest.raises(ConflictError):
            company.approve(asked, "anna")

    def test_what_waited_too_long_is_over(self, company: Company) -> None:
        asked = company.asked(give(company, "adam"))
        company.clock.advance(1000)

        with pytest.raises(NotFoundError):
            company.approve(asked, "olga")

    def test_who_may_no_longer_ask_is_not_agreed_with(self, company: Company) -> None:
        asked = company.asked(give(company, "adam"))
        with transaction(company.engine) as connection:
            set_roles(connection, company.ids["adam"], [])

        with pytest.raises(ConflictError):
            company.approve(asked, "olga")

    def test_a_disabled_account_is_not_agreed_with(self, company: Company) -> None:
        asked = company.asked(give(company, "adam"))
        with transaction(company.engine) as connection:
            connection.execute(
                update(PERSON)
                .where(PERSON.c.id == company.ids["adam"])
                .values(disabled=True)
            )

        with pytest.raises(ConflictError):
            company.approve(asked, "olga")

    def test_more_than_was_asked_for_is_not_agreed_to(self, company: Company) -> None:
        company.made(give(company, "board", kind=HolderKind.WORKGROUP, permission=READ))
        asked = company.asked(
            SetPerson(
                user_id=company.ids["adam"],
                roles=(Role.ADMINISTRATOR,),
                groups=("board",),
            )
        )
        company.made(give(company, "board", kind=HolderKind.WORKGROUP))

        with pytest.raises(ConflictError, match="more"):
            company.approve(asked, "olga")

    def test_a_change_that_can_be_made_no_longer_is_not(self, company: Company) -> None:
        company.made(
            PutClass(new=RecordingClass(name="secret", demands=Demands(reason=True)))
        )
        asked = company.asked(
            give(company, "adam", scope=ScopeKind.CLASS, value="secret")
        )
        company.made(RemoveClass(name="secret"))

        with pytest.raises(NotFoundError):
            company.approve(asked, "olga")
        assert ApprovalState.PENDING is company.approvals.get(asked.approval.id).state

    def test_the_same_request_waits_once(self, company: Company) -> None:
        company.asked(give(company, "adam"))

        with pytest.raises(ConflictError):
            company.run(give(company, "adam"))

    def test_a_change_of_another_version_is_not_made(self, company: Company) -> None:
        asked = company.asked(give(company, "adam"))
        for kept in ("", "{}", '{"gains":[],"kind":"x","members":{}}', "[1]", "\u00e9"):
            with transaction(company.engine) as connection:
                connection.execute(update(APPROVAL).values(change=kept))

            with pytest.raises(ConflictError):
                company.approve(asked, "olga")


class TestTheTrail:
    def test_without_it_nothing_is_made_and_nothing_waits(
        self, company: Company
    ) -> None:
        def fail(*_: object) -> None:
            raise AuditUnavailableError("no")

        for change in (give(company, "adam"), give(company, "olga")):
            with pytest.raises(AuditUnavailableError):
                company.desk.run(change, asker=company.ids["adam"], tell=fail, ask=fail)
        asked = company.asked(give(company, "adam"))
        with pytest.raises(AuditUnavailableError):
            company.desk.approve(asked.approval.id, by=company.ids["olga"], tell=fail)

        assert company.rows() == 1
        assert not company.reaches("adam")
        assert not company.reaches("olga")
        assert ApprovalState.PENDING is company.approvals.get(asked.approval.id).state


@pytest.mark.parametrize(
    "change",
    [
        GiveRight(
            new=NewRight(
                holder_kind=HolderKind.ROLE,
                holder="agent",
                permission=PLAY,
                scope_kind=ScopeKind.OWN,
                valid_from_ns=2**62,
                valid_until_ns=2**62 + 1,
            )
        ),
        RevokeRight(right_id="x"),
        PutClass(new=RecordingClass(name="a", demands=Demands(approval=True))),
        RemoveClass(name="a"),
        SetWorkgroup(workgroup_id=WorkgroupId("w")),
        SetWorkgroup(workgroup_id=WorkgroupId("w"), parent_id="", class_name=""),
    ],
    ids=lambda change: change.kind,
)
def test_a_change_is_read_back_as_it_was(change: Change[Any]) -> None:
    assert change == type(change).parse(change.members())
