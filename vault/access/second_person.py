"""Changes that open calls to somebody: made at once, or when a second person agrees.

    1. the change is made on trial, and everybody concerned is looked at
    2. it is taken back, and they are looked at as they are
    3. nobody concerned gains: it is made, told, and committed
    4. somebody does: what was asked for is kept, told, and waits
    5. another person agrees: everything is checked anew, and it is made

Guarantees:
    * Nobody opens a call to themselves alone, whatever way the change takes.
    * Neither who asked nor who gains by it says the second yes, nor an account into
      which who asked had the way (`vault.access.hands`).
    * Changes of policy are made one after another: two that open nothing alone
      can't open something together without being looked at together.

Left to others: who may ask and who may agree (the caller's room), the leaves (it tells
the trail), changes themselves (`vault.access.changes`).

Spec: docs/adr/0017-rights-and-second-person.md
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, select

from vault.access.approvals import (
    Approval,
    ApprovalKind,
    Approvals,
    ApprovalState,
    NewApproval,
)
from vault.access.changes import Change, Done, Making
from vault.access.gains import Standing, read_standing, turning_points
from vault.access.hands import hands_of, insist_on_two, keep_hand
from vault.access.people_reading import read_people, read_person
from vault.access.permissions import DualControl, Permission
from vault.access.tables import PERSON, WORKGROUP
from vault.access.workgroups import DEFAULT_WORKGROUP
from vault.core import canonical
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import ConflictError, InvalidInputError
from vault.core.flow import Actor, ActorKind
from vault.core.ids import UserId
from vault.database.engine import transaction

R = TypeVar("R")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A change that waits, and what it would open."""

    approval: Approval
    change: Change[Any]
    gains: frozenset[Permission]


class SecondPerson:
    """Makes changes, or keeps them until somebody agrees; safe between threads."""

    def __init__(
        self,
        engine: Engine,
        approvals: Approvals,
        kinds: Iterable[type[Change[Any]]],
        *,
        needed: DualControl = DualControl.SELF,
        clock: Clock = system_clock_ns,
    ) -> None:
        """Take what changes there are, to read those back that waited."""
        self._engine = engine
        self._approvals = approvals
        self._kinds = MappingProxyType({one.kind: one for one in kinds})
        self._needed = needed
        self._clock = clock

    def run(
        self,
        change: Change[R],
        *,
        asker: UserId,
        tell: Callable[[Done[R]], object],
        ask: Callable[[Asked, Done[R]], object],
    ) -> Done[R] | Asked:
        """Make *change*, or keep it until somebody agrees.

        Args:
            change: Of a kind that this was made with.
            asker: Who asks; that they may, the caller has checked.
            tell: Is told what was made before it counts; what it raises undoes it.
            ask: Is told what waits before it does; what it raises undoes it.

        Raises:
            VaultError: The change can't be made as things are.
            ConflictError: The same one waits already.
        """
        if change.kind not in self._kinds:
            raise RuntimeError(f"{change.kind} could not be read back")
        with transaction(self._engine) as connection:
            _one_at_a_time(connection)
            would, gains = self._tried(connection, change, asker)
            concerned = frozenset().union(*gains.values())
            if concerned:
                asked = self._kept(connection, change, asker, concerned)
                ask(asked, would)
                return asked
            done = self._applied(connection, change, asker, self._clock())
            tell(done)
        return done

    def approve(
        self,
        approval_id: str,
        *,
        by: UserId | None,
        tell: Callable[[Asked, Done[Any]], object],
    ) -> Done[Any]:
        """Make a change that waited, because *by* agrees; None is the operator.

        Raises:
            NotFoundError: There is none, or it is the decider's own.
            ConflictError: It was decided already, whoever asked may no longer ask,
                *by* gains by it or could be who asked, or it opens more than when it
                was asked for.
            VaultError: The change can't be made as things are now.
        """
        with transaction(self._engine) as connection:
            _one_at_a_time(connection)
            found = self._approvals.pending_within(connection, approval_id, decider=by)
            asked = self._asked(found)
            asker = found.asked.requester_id
            if by is not None:
                insist_on_two(connection, asker, by)
            # Whoever asked may have lost the right to it, or their account.
            if not read_person(connection, asker, now_ns=self._clock()).holds(
                asked.change.right
            ):
                raise ConflictError("whoever asked for it may no longer do so")
            _, gains = self._tried(connection, asked.change, asker, by)
            if by is not None and gains[by]:
                raise ConflictError("whoever gains by it does not agree to it")
            if not frozenset().union(*gains.values()) <= asked.gains:
                raise ConflictError("it opens more now than was asked for")
            done = asked.change.apply(
                Making(connection=connection, by=_actor(asker), now_ns=self._clock())
            )
            used = self._approvals.decided_within(
                connection, found, by=by, state=ApprovalState.USED
            )
            tell(Asked(approval=used, change=asked.change, gains=asked.gains), done)
        return done

    def asked(self, approval: Approval) -> Asked:
        """Return what *approval* is about.

        Raises:
            ConflictError: It is of a version that knew more.
        """
        return self._asked(approval)

    def _concerned(self, connection: Connection, asker: UserId) -> frozenset[UserId]:
        if self._needed is DualControl.SELF:
            return hands_of(connection, asker)
        return frozenset(UserId(one) for one in connection.scalars(select(PERSON.c.id)))

    def _applied(
        self, connection: Connection, change: Change[R], asker: UserId, now_ns: int
    ) -> Done[R]:
        """Make *change* as somebody does it alone."""
        done = change.apply(
            Making(connection=connection, by=_actor(asker), now_ns=now_ns)
        )
        handed = change.hands_over(done)
        if handed is not None:
            keep_hand(connection, handed, keeper=asker)
        return done

    def _tried(
        self,
        connection: Connection,
        change: Change[R],
        asker: UserId,
        decider: UserId | None = None,
    ) -> tuple[Done[R], Mapping[UserId, frozenset[Permission]]]:
        """Return what the change would do, and what each person would gain by it."""
        now_ns = self._clock()
        # 1. Everybody before: also at moments at which something of theirs ends.
        ids = self._concerned(connection, asker) | {asker} | change.opens()
        ids |= {decider} if decider else frozenset()
        moments = turning_points(connection, ids, now_ns=now_ns)
        beside = [
            change.also_gained(
                connection, read_people(connection, sorted(ids), now_ns=moment)
            )
            for moment in moments
        ]
        # 2. Everybody after, on trial.
        with connection.begin_nested() as trial:
            would = self._applied(connection, change, asker, now_ns)
            ids |= self._concerned(connection, asker)
            moments |= turning_points(connection, ids, now_ns=now_ns)
            after = read_standing(connection, ids, moments)
            trial.rollback()
        # 3. And before, at all of those moments.
        before = read_standing(connection, ids, moments)
        return would, {
            one: _gained(change, after, before, one, asker).union(
                *(gained.get(one, frozenset()) for gained in beside)
            )
            for one in ids
        }

    def _kept(
        self,
        connection: Connection,
        change: Change[Any],
        asker: UserId,
        gains: frozenset[Permission],
    ) -> Asked:
        kept = canonical.dumps(
            {
                "kind": change.kind,
                "members": dict(change.members()),
                "gains": sorted(map(str, gains)),
            }
        )
        approval = self._approvals.ask_within(
            connection,
            NewApproval(
                kind=ApprovalKind.ACCESS,
                requester_id=asker,
                permission=change.right,
                change=kept.decode(),
            ),
        )
        return Asked(approval=approval, change=change, gains=gains)

    def _asked(self, approval: Approval) -> Asked:
        try:
            kept = canonical.parse(approval.asked.change.encode())
            members = kept["members"]
            assert isinstance(members, dict)
            gains = kept["gains"]
            assert isinstance(gains, list)
            return Asked(
                approval=approval,
                change=self._kinds[str(kept["kind"])].parse(
                    {name: str(value) for name, value in members.items()}
                ),
                gains=frozenset(Permission(str(one)) for one in gains),
            )
        except (InvalidInputError, KeyError, ValueError, AssertionError):
            raise ConflictError("this version does not know such a change") from None


def _gained(
    change: Change[Any],
    after: Standing,
    before: Standing,
    user_id: UserId,
    asker: UserId,
) -> frozenset[Permission]:
    gained = after.gained(before, user_id)
    if user_id in change.opens() and user_id != asker:
        gained |= after.gained(before, user_id, by=asker)
    return gained


def _one_at_a_time(connection: Connection) -> None:
    connection.execute(
        select(WORKGROUP.c.id)
        .where(WORKGROUP.c.id == DEFAULT_WORKGROUP)
        .with_for_update()
    )


def _actor(user_id: UserId) -> Actor:
    return Actor(kind=ActorKind.USER, id=user_id)
