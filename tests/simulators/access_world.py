"""A world for tests of access: somebody of every kind, and something of every kind.

Workgroups: ``sales`` with ``sales-north`` below it, ``support`` beside them, and
``board`` whose recordings have the class ``sensitive``.  Everybody's reach stands
here by hand, from docs/reference/permissions.md, and is not asked of the product.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sqlalchemy import delete, insert, update

from tests.simulators.web_vault import Call, WebVault
from vault.access.permissions import Role
from vault.access.policy import SessionKind
from vault.access.tables import (
    GRANTED_RIGHT,
    RECORDING_CLASS,
    SESSION,
    SIGN_IN_ATTEMPT,
    WORKGROUP,
)
from vault.catalog.tables import RECORDING
from vault.core.flow import RecordingState as State
from vault.core.ids import RecordingId, UserId, new_id, new_recording_id
from vault.database.engine import transaction

META, PLAY, SCREEN, EXPORT = (
    "metadata:read",
    "media:play",
    "screen:play",
    "media:export",
)
LIVE, DECIDE = "live:listen", "approval:decide"
PLACE, RELEASE, CLASSIFY = "hold:place", "hold:release", "class:edit"
TRAIL, TRAIL_OUT = "audit:trail:read", "audit:trail:export"
TEXTS = "audit:text:read"
PEOPLE, POLICY, SESSIONS = (
    "access:user:edit",
    "access:policy:edit",
    "access:session:end",
)
APPROVE, BREAK_GLASS = "access:policy:approve", "access:emergency:use"
HEALTH, ROTATE, DESTROY = "system:health:read", "key:kek:rotate", "key:kek:destroy"
CONTENT = frozenset({PLAY, SCREEN, EXPORT, LIVE})
"What a class of recordings may ask more for."
CLASSES = "a list of classes: policy or classifying"
HOLDS = "a list of holds: placing or releasing"
STEP_UP = frozenset({EXPORT, TEXTS, TRAIL_OUT, RELEASE, DESTROY, BREAK_GLASS})
"What asks for a fresh proof of who it is."


class Place(StrEnum):
    """Where a recording is, seen from the workgroup ``sales``."""

    GROUP = "own group"
    CHILD = "child of the own group"
    OTHER = "other group"
    CLASS = "class by itself, other group"
    CLASS_GROUP = "class by its group"
    REASON = "own group, class that asks for a reason"
    APPROVAL = "own group, class that asks for a second person"
    OWN = "own call, other group"
    NOWHERE = "no group yet"
    MISSING = "no such id"
    MALFORMED = "no id at all"


_GROUP: Final = frozenset({Place.GROUP, Place.CHILD, Place.REASON, Place.APPROVAL})
_CLASS: Final = frozenset({Place.CLASS, Place.CLASS_GROUP})
_OWN: Final = frozenset({Place.OWN})
_ALL: Final = frozenset(Place) - {Place.NOWHERE, Place.MISSING, Place.MALFORMED}
_NOTHING: Final[frozenset[Place]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A right beside the roles."""

    permission: str
    scope: str
    value: str = ""
    over: bool = False
    "Whether it has ended."


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of asker, and by hand what they may."""

    roles: tuple[str, ...] = ()
    groups: tuple[str, ...] = ("sales",)
    given: tuple[Given, ...] = ()
    reach: Mapping[str, frozenset[Place]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    "Over recordings: where."
    rights: frozenset[str] = frozenset()
    "Over collections."
    is_in: bool = True
    "Whether their credential counts."
    session: str = ""
    "``locked``, ``restricted`` (half a sign-in) or ``stale`` (an old proof)."


_SUPERVISES: Final = dict.fromkeys((META, PLAY, SCREEN, EXPORT, LIVE, DECIDE), _GROUP)
_JUDGES: Final = dict.fromkeys((META, PLAY, SCREEN), _GROUP)
_OVERSEES: Final = dict.fromkeys((DECIDE, PLACE, RELEASE, CLASSIFY), _ALL)
_OFFICER: Final = frozenset({TRAIL, TRAIL_OUT, TEXTS, APPROVE, CLASSES, HOLDS})
_ADMINISTRATOR: Final = frozenset({PEOPLE, POLICY, CLASSES, SESSIONS, APPROVE, HEALTH})
_CUSTODIAN: Final = frozenset({ROTATE, DESTROY, HEALTH})
_HEAR: Final = (META, PLAY)

KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "agent": Kind(roles=("agent",)),
        "supervisor": Kind(roles=("supervisor",), reach=_SUPERVISES),
        "quality": Kind(roles=("quality",), reach=_JUDGES),
        "officer": Kind(roles=("officer",), reach=_OVERSEES, rights=_OFFICER),
        "administrator": Kind(roles=("administrator",), rights=_ADMINISTRATOR),
        "custodian": Kind(roles=("custodian",), rights=_CUSTODIAN),
        "two roles": Kind(
            roles=("quality", "officer"),
            reach=_JUDGES | _OVERSEES,
            rights=_OFFICER,
        ),
        "supervisor of nothing": Kind(roles=("supervisor",), groups=()),
        "agent hearing themselves": Kind(
            roles=("agent",),
            given=tuple(Given(permission=f"recording:{p}", scope="own") for p in _HEAR),
            reach=dict.fromkeys(_HEAR, _OWN),
        ),
        "auditor of a class": Kind(
            roles=("agent",),
            given=tuple(
                Given(permission=f"recording:{p}", scope="class", value="sensitive")
                for p in _HEAR
            ),
            reach=dict.fromkeys(_HEAR, _CLASS),
        ),
        "seeing all, hearing none": Kind(
            roles=("custodian",),
            given=(Given(permission=f"recording:{META}", scope="all"),),
            reach={META: _ALL},
            rights=_CUSTODIAN,
        ),
        "right that ended": Kind(
            roles=("agent",),
            given=tuple(
                Given(permission=f"recording:{p}", scope="all", over=True)
                for p in _HEAR
            ),
        ),
        "locked": Kind(roles=("supervisor",), reach=_SUPERVISES, session="locked"),
        "half signed in": Kind(
            roles=("supervisor",), reach=_SUPERVISES, session="restricted"
        ),
        "with an old proof": Kind(
            roles=("supervisor", "officer"),
            reach={
                right: _SUPERVISES.get(right, _NOTHING) | _OVERSEES.get(right, _NOTHING)
                for right in (*_SUPERVISES, *_OVERSEES)
            },
            rights=_OFFICER,
            session="stale",
        ),
        "disabled": Kind(roles=("supervisor",), is_in=False),
        "session ended": Kind(roles=("supervisor",), is_in=False),
        "forged": Kind(is_in=False, groups=()),
        "nobody": Kind(is_in=False, groups=()),
    }
)

_CLASS_OF: Final[Mapping[Place, str]] = MappingProxyType(
    {Place.CLASS: "sensitive", Place.REASON: "grave", Place.APPROVAL: "graver"}
)
"Classes of recordings by themselves."
_SESSIONS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "locked": {"is_locked": True},
        "restricted": {"is_restricted": True},
        "stale": {"authenticated_ns": 1},
    }
)
_HELD_BY_A_COURT: Final = "held"
STATES: Final = (*State, _HELD_BY_A_COURT)
_ELSEWHERE: Final = (State.READY, State.SHREDDED, _HELD_BY_A_COURT)
"Of the other group."


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A recording, or the want of one."""

    place: Place
    state: str = str(State.READY)
    owner: str = ""
    "Whose own call it is."

    def is_seen_by(self, asker: str, right: str) -> bool:
        """Whether *right* of the asker reaches it, as the documents say."""
        where = KINDS[asker].reach.get(right, _NOTHING)
        if self.place is Place.OWN and self.owner != asker:
            return Place.OTHER in where
        return self.place in where


class AccessWorld:
    """Everybody and everything, in a vault of its own."""

    def __init__(self, vault: WebVault) -> None:
        self.vault = vault
        self.services = vault.services()
        self.sessions = self.services.sessions
        self.people: dict[str, UserId] = {}
        self._build_groups()
        for name, kind in KINDS.items():
            if kind.is_in or kind.roles:
                self._add_person(name, kind)
        self._build_things()
        self._void: dict[str, str] = {"forged": "cvs_" + "A" * 43}
        for name in ("disabled", "session ended"):
            opened = self.sessions.open(self.people[name], kind=SessionKind.BEARER)
            self._void[name] = opened.secret
            if name == "disabled":
                self.vault.people.disable(self.people[name])
            else:
                self.sessions.end(opened.session.id)

    def secret(self, asker: str, *, cookie: bool = False) -> tuple[str, str]:
        """Return a new session of *asker*, and its CSRF token; both may be empty."""
        if asker in self._void or asker not in self.people:
            return self._void.get(asker, ""), ""
        kind = SessionKind.BROWSER if cookie else SessionKind.BEARER
        opened = self.sessions.open(self.people[asker], kind=kind)
        values = _SESSIONS.get(KINDS[asker].session)
        if values:
            with transaction(self.vault.catalog) as connection:
                connection.execute(
                    update(SESSION)
                    .where(SESSION.c.id == opened.session.id)
                    .values(**values)
                )
        return opened.secret, opened.session.csrf

    def forget_guesses(self) -> None:
        """Let everybody guess at names afresh."""
        with transaction(self.vault.catalog) as connection:
            connection.execute(delete(SIGN_IN_ATTEMPT))

    def group(self, name: str) -> str:
        """Return the id of a workgroup."""
        return self.vault.workgroups.add(name)[0].id

    def _build_groups(self) -> None:
        with transaction(self.vault.catalog) as connection:
            connection.execute(
                insert(RECORDING_CLASS),
                [
                    {"name": name, "needs_reason": reason, "needs_approval": approval}
                    for name, reason, approval in (
                        ("sensitive", False, False),
                        ("grave", True, False),
                        ("graver", False, True),
                    )
                ],
            )
        north, board = self.group("sales-north"), self.group("board")
        sales = self.group("sales")
        with transaction(self.vault.catalog) as connection:
            for group, values in (
                (north, {"parent_id": sales}),
                (board, {"class_name": "sensitive"}),
            ):
                connection.execute(
                    update(WORKGROUP).where(WORKGROUP.c.id == group).values(**values)
                )

    def _add_person(self, name: str, kind: Kind) -> None:
        roles = [Role(one) for one in kind.roles]
        login = name.replace(",", "").replace(" ", "-")
        user_id = self.vault.person(login, *roles, workgroups=kind.groups)
        self.people[name] = user_id
        now_ns = time.time_ns()
        with transaction(self.vault.catalog) as connection:
            for right in kind.given:
                connection.execute(
                    insert(GRANTED_RIGHT).values(
                        id=new_id(),
                        holder_kind="user",
                        holder=user_id,
                        permission=right.permission,
                        scope_kind=right.scope,
                        scope_value=right.value,
                        valid_from_ns=now_ns - 2_000_000_000,
                        valid_until_ns=now_ns - 1_000_000_000 if right.over else None,
                        created_ns=now_ns,
                        granted_by="process:test",
                    )
                )

    def _build_things(self) -> None:
        self.things: dict[Thing, str] = {}
        # What waits for a worker comes last: a worker takes the oldest.
        waiting = (State.RENDERING, State.CAPTURED)
        done = [state for state in STATES if state not in waiting]
        for place in (
            Place.CHILD,
            Place.CLASS,
            Place.CLASS_GROUP,
            Place.REASON,
            Place.APPROVAL,
            Place.NOWHERE,
        ):
            self._record(Thing(place=place))
        for name in self.people:
            self._record(Thing(place=Place.OWN, owner=name))
        for state in (*done, *waiting):
            self._record(Thing(place=Place.GROUP, state=str(state)))
            if state in _ELSEWHERE:
                self._record(Thing(place=Place.OTHER, state=str(state)))
        self.things[Thing(place=Place.MISSING)] = new_recording_id()
        # Somebody's id, spelled as no id is.
        known = self.things[Thing(place=Place.GROUP)]
        self.things[Thing(place=Place.MALFORMED)] = known.upper()

    def _record(self, thing: Thing) -> None:
        group = {
            Place.GROUP: "sales",
            Place.REASON: "sales",
            Place.APPROVAL: "sales",
            Place.CHILD: "sales-north",
            Place.CLASS_GROUP: "board",
        }.get(thing.place, "support")
        made = {
            _HELD_BY_A_COURT: State.READY,
            State.EXPIRED: State.READY,
            State.SHREDDED: State.READY,
        }.get(thing.state, thing.state)
        recording_id = self.vault.record(
            Call(workgroup=group, state=State(made), seconds=0.5)
        )
        values: dict[str, object] = {}
        if thing.state == _HELD_BY_A_COURT:
            values["held"] = True
        elif made != thing.state:
            values["state"] = thing.state
        if thing.place in _CLASS_OF:
            values["class_name"] = _CLASS_OF[thing.place]
        if thing.place is Place.OWN:
            values["agent_id"] = self.people[thing.owner]
        if thing.place is Place.NOWHERE:
            values["workgroup_id"] = None
        self.things[thing] = recording_id
        if values:
            self.change(recording_id, **values)

    def put_right(self, thing: Thing) -> None:
        """Undo what a request may have changed."""
        if thing.place not in {Place.MISSING, Place.MALFORMED}:
            self.change(
                self.things[thing],
                held=thing.state == _HELD_BY_A_COURT,
                class_name=_CLASS_OF.get(thing.place),
            )

    def change(self, recording_id: RecordingId | str, **values: object) -> None:
        """Change a row as other rooms would have."""
        with transaction(self.vault.catalog) as connection:
            connection.execute(
                update(RECORDING).where(RECORDING.c.id == recording_id).values(**values)
            )
