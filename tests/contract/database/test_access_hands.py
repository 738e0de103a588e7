"""One person is not two, whatever accounts they made and came in as."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pytest
from sqlalchemy import Connection, Engine, insert

from vault.access.activations import Activations, half_digest, new_half, whole_code
from vault.access.approvals import ApprovalKind, Approvals, NewApproval
from vault.access.changes import Change, Done, carry_out
from vault.access.classes import Demands, RecordingClass
from vault.access.hands import hands_of
from vault.access.people import People
from vault.access.people_changes import AddPerson, GiveCode, SetPerson
from vault.access.permissions import DualControl, Permission, Role, ScopeKind
from vault.access.policy import Person
from vault.access.policy_changes import GiveRight, PutClass
from vault.access.rights import HolderKind, NewRight, Rights
from vault.access.second_person import Asked, SecondPerson
from vault.access.tables import PASSKEY
from vault.core.errors import ConflictError, NotAuthenticatedError
from vault.core.flow import Actor, ActorKind
from vault.core.ids import UserId, new_recording_id
from vault.database.engine import reading, transaction

PLAY = Permission.RECORDING_MEDIA_PLAY
OPERATOR = Actor(kind=ActorKind.OPERATOR, id="0")
SUPERVISOR = frozenset({Role.SUPERVISOR})
ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
OFFICER = frozenset({Role.OFFICER})


class Clock(Protocol):
    now_ns: int

    def __call__(self) -> int: ...


@dataclass
class Office:
    """Two administrators and an officer whom the operator let in."""

    engine: Engine
    clock: Clock
    needed: DualControl = DualControl.SELF
    ids: dict[str, UserId] = field(default_factory=dict)

    @property
    def approvals(self) -> Approvals:
        return Approvals(self.engine, clock=self.clock)

    @property
    def desk(self) -> SecondPerson:
        return SecondPerson(
            self.engine,
            self.approvals,
            (AddPerson, GiveCode, SetPerson, GiveRight, Shown),
            needed=self.needed,
            clock=self.clock,
        )

    def run(self, change: Change[Any], by: str = "adam") -> Done[Any] | Asked:
        return self.desk.run(
            change, asker=self.ids[by], tell=lambda _: None, ask=lambda *_: None
        )

    def approve(self, asked: Done[Any] | Asked, by: str) -> Done[Any]:
        assert isinstance(asked, Asked)
        return self.desk.approve(
            asked.approval.id, by=self.ids[by], tell=lambda *_: None
        )

    def person(self, name: str, *roles: Role) -> UserId:
        self.ids[name] = People(self.engine).add(name, roles, (), "h").person.id
        return self.ids[name]

    def code(self, name: str, by: str = "adam", agrees: str = "") -> str:
        """Return the code that *by* hands over to *name*."""
        first = new_half()
        change = GiveCode(user_id=self.ids[name], first_sha256=half_digest(first).hex())
        if by:
            found = self.run(change, by)
            done = self.approve(found, agrees) if agrees else found
            assert isinstance(done, Done)
        else:
            done = carry_out(
                self.engine,
                change,
                by=OPERATOR,
                now_ns=self.clock.now_ns,
                tell=lambda _: None,
            )
        return whole_code(first, done.value.second)

    def use(self, name: str, code: str) -> None:
        activations = Activations(self.engine, clock=self.clock)
        activations.spend(activations.check(name, code), code)

    def puppet(self, name: str, *roles: Role) -> UserId:
        """Make an account as one administrator does alone, and come in as it."""
        self.person(name, *roles)
        self.use(name, self.code(name))
        return self.ids[name]

    def to_adam(self) -> Asked:
        found = self.run(right_of(self.ids["adam"]))
        assert isinstance(found, Asked)
        return found

    def hands(self, name: str) -> set[str]:
        with reading(self.engine) as connection:
            found = hands_of(connection, self.ids[name])
        return {name for name, user_id in self.ids.items() if user_id in found}


def right_of(user_id: UserId, *, start_ns: int = 0) -> GiveRight:
    return GiveRight(
        new=NewRight(
            holder_kind=HolderKind.USER,
            holder=user_id,
            permission=PLAY,
            scope_kind=ScopeKind.ALL,
            valid_from_ns=start_ns,
        )
    )


def roles_of(user_id: UserId, roles: frozenset[Role]) -> SetPerson:
    return SetPerson(user_id=user_id, roles=roles, workgroups=("sales",))


class Shown(PutClass):
    """A change that shows to whoever hears what no scope tells."""

    kind = "test.shown"

    def also_gained(
        self,
        connection: Connection,
        people: Collection[Person],
    ) -> Mapping[UserId, frozenset[Permission]]:
        return {one.id: frozenset({PLAY}) for one in people if one.holds(PLAY)}


@pytest.fixture(params=list(DualControl))
def office(
    request: pytest.FixtureRequest, catalog_engine: Engine, clock: Clock
) -> Office:
    made = Office(engine=catalog_engine, clock=clock, needed=request.param)
    made.person("adam", Role.ADMINISTRATOR)
    made.person("anna", Role.ADMINISTRATOR)
    made.person("olga", Role.OFFICER)
    return made


class TestOneAdministrator:
    def test_an_account_of_their_making_is_no_second_person(
        self, office: Office
    ) -> None:
        office.puppet("puppet", Role.ADMINISTRATOR)
        asked = office.to_adam()

        with pytest.raises(ConflictError, match="could have come in as you"):
            office.approve(asked, "puppet")
        office.approve(asked, "olga")

    def test_nor_is_one_whose_code_was_not_used_yet(self, office: Office) -> None:
        office.code("anna")

        with pytest.raises(ConflictError, match="could have come in as you"):
            office.approve(office.to_adam(), "anna")

    def test_nor_does_one_ask_and_they_agree(self, office: Office) -> None:
        office.puppet("puppet", Role.ADMINISTRATOR)
        ears = office.person("ears")
        office.needed = DualControl.ALWAYS
        asked = office.run(roles_of(ears, SUPERVISOR), by="puppet")

        with pytest.raises(ConflictError, match="could have come in as you"):
            office.approve(asked, "adam")
        office.approve(asked, "anna")

    def test_the_code_of_an_officer_waits_and_comes_in_two_halves(
        self, office: Office
    ) -> None:
        made = office.run(AddPerson(name="otto", roles=OFFICER, workgroups=()))
        if isinstance(made, Asked):
            made = office.approve(made, "anna")
        office.ids["otto"] = made.value.person.id
        first = half_digest(new_half()).hex()
        asked = office.run(GiveCode(user_id=office.ids["otto"], first_sha256=first))

        assert isinstance(asked, Asked)
        assert {
            Permission.AUDIT_TEXT_READ,
            Permission.RECORDING_APPROVAL_DECIDE,
        } == asked.gains
        office.use("otto", office.code("otto", by="anna", agrees="olga"))

    def test_a_role_for_an_account_that_they_could_come_in_as_waits(
        self, office: Office
    ) -> None:
        asked = office.run(roles_of(office.puppet("ears"), SUPERVISOR))

        assert isinstance(asked, Asked)
        assert PLAY in asked.gains

    def test_one_that_asks_for_another_waits_too(self, office: Office) -> None:
        office.puppet("puppet", Role.ADMINISTRATOR)

        for name in ("adam", "puppet", "ears"):
            user_id = office.ids.get(name) or office.puppet(name)
            assert isinstance(office.run(right_of(user_id), by="puppet"), Asked)

    def test_an_account_under_a_name_elsewhere_that_might_be_theirs_waits(
        self, office: Office
    ) -> None:
        made = AddPerson(
            name="al", roles=SUPERVISOR, workgroups=("sales",), source="ldap"
        )
        later = AddPerson(name="bo", roles=ADMINISTRATOR, workgroups=(), source="ldap")
        asked, done = office.run(made), office.run(later)
        assert isinstance(done, Done)
        office.ids["bo"] = done.value.person.id

        assert isinstance(asked, Asked)
        with pytest.raises(ConflictError, match="could have come in as you"):
            office.approve(asked, "bo")
        office.ids["al"] = office.approve(asked, "olga").value.person.id
        assert {"adam", "bo"} == office.hands("adam")

    def test_a_play_is_not_agreed_to_by_the_same_hands(self, office: Office) -> None:
        office.puppet("sue")
        office.puppet("otto", Role.ADMINISTRATOR)
        asked = office.approvals.ask(
            NewApproval(
                kind=ApprovalKind.PLAY,
                requester_id=office.ids["sue"],
                permission=PLAY,
                recording_id=new_recording_id(),
            ),
            tell=lambda _: None,
        )

        for name in ("adam", "otto"):
            with pytest.raises(ConflictError, match="could have come in as you"):
                office.approvals.decide(
                    asked.id, by=office.ids[name], approve=True, tell=lambda _: None
                )
        office.approvals.decide(
            asked.id, by=office.ids["olga"], approve=True, tell=lambda _: None
        )


class TestHands:
    def test_a_code_of_two_halves_or_of_the_operator_is_nobodys(
        self, office: Office
    ) -> None:
        office.person("sue")
        carry_out(
            office.engine,
            roles_of(office.ids["sue"], SUPERVISOR),
            by=OPERATOR,
            now_ns=office.clock.now_ns,
            tell=lambda _: None,
        )
        office.use("sue", office.code("sue", agrees="olga"))
        office.puppet("otto", Role.ADMINISTRATOR)
        office.use("otto", office.code("otto", by=""))

        assert {"sue"} == office.hands("sue")
        assert {"adam"} == office.hands("adam")
        office.approve(office.to_adam(), "otto")

    def test_they_last_until_another_code_was_used(self, office: Office) -> None:
        office.puppet("otto", Role.ADMINISTRATOR)
        code = office.code("otto", by="anna")
        before = office.hands("otto")
        office.use("otto", code)

        assert {"adam", "anna", "otto"} == before
        assert {"anna", "otto"} == office.hands("otto")

    def test_a_passkey_that_was_left_behind_is_a_way_in(self, office: Office) -> None:
        user_id = office.puppet("otto", Role.ADMINISTRATOR)
        with transaction(office.engine) as connection:
            connection.execute(
                insert(PASSKEY).values(
                    id="p",
                    credential_id=b"p",
                    user_id=user_id,
                    public_key=b"",
                    sign_count=0,
                    name="p",
                    created_ns=0,
                )
            )
        office.use("otto", office.code("otto", by=""))

        assert {"adam", "otto"} == office.hands("otto")

    def test_a_code_of_before_does_not_use_up_the_newest(self, office: Office) -> None:
        user_id = office.person("carl")
        activations = Activations(office.engine, clock=office.clock)
        older = office.code("carl")
        assert user_id == activations.check("carl", older)
        newest = office.code("carl", by="anna")

        with pytest.raises(NotAuthenticatedError):
            activations.spend(user_id, older)
        activations.spend(user_id, newest)


class TestLater:
    def test_what_a_change_shows_to_a_right_from_tomorrow_on_waits(
        self, office: Office
    ) -> None:
        given = right_of(office.ids["olga"], start_ns=office.clock.now_ns + 10**12)
        Rights(office.engine, clock=office.clock).add(given.new, granted_by=OPERATOR)
        change = Shown(new=RecordingClass(name="a", demands=Demands(reason=True)))

        assert isinstance(office.run(change, by="olga"), Asked)

    def test_a_strict_vault_looks_at_everybody_whom_it_shows_something(
        self, office: Office
    ) -> None:
        Rights(office.engine, clock=office.clock).add(
            right_of(office.ids["anna"]).new, granted_by=OPERATOR
        )
        change = Shown(new=RecordingClass(name="a", demands=Demands(reason=True)))
        is_strict = office.needed is DualControl.ALWAYS

        assert is_strict is isinstance(office.run(change), Asked)
