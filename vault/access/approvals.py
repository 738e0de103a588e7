"""Approvals: what waits for a second person, and what that person said.

Of kind ``play`` it is one part of one recording for one person; of kind ``access`` a
change of who may do what, which is made when it is approved.

    pending ──yes──► approved ──first use──► used
       └─────no────► refused          (an access change is used at once)

Guarantees:
    * Nobody decides what they asked for themselves.
    * Every state ends: an approval that is over is like none.
    * The reason that a person typed is kept sealed, for as long as somebody may have
      to read it or plays by it: a no erases it, and so does the next step of any
      approval once this one is over.

Left to others: who may decide (the caller's room asks the policy), making the change
(`vault.access.second_person`), the leaf of each step (the caller's room).

Spec: docs/reference/permissions.md
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    delete,
    insert,
    select,
    update,
)

from vault.access.factor_key import ReasonKey
from vault.access.hands import insist_on_two
from vault.access.names import is_storable
from vault.access.permissions import Permission
from vault.access.tables import APPROVAL
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import ConflictError, NotFoundError, SealBrokenError
from vault.core.ids import RecordingId, UserId, new_id
from vault.database.engine import reading, transaction

MAX_PENDING: Final = 50
"Of one person."
MAX_LISTED: Final = 200
MAX_READ: Final = 2000
"Of all that wait: beyond, requests of forty people fill the table."
_KEPT_NS: Final = 7 * 24 * 3600 * NS_PER_S
"How long one that is over stays in the table."


@unique
class ApprovalKind(StrEnum):
    """What is asked for."""

    PLAY = "play"
    ACCESS = "access"


@unique
class ApprovalState(StrEnum):
    """Where it stands."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    USED = "used"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalConfig:
    """How long things last."""

    pending_s: float = 24 * 3600
    "Seconds that one waits for somebody to decide."

    use_s: float = 3600
    "Seconds for which a recording may be played once it is approved."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApproval:
    """What somebody asks for."""

    kind: ApprovalKind
    requester_id: UserId
    permission: Permission
    "The right to the part of the recording, or to ask for the change."
    recording_id: RecordingId | None = None
    change: str = ""
    "JSON of ids and slugs, as `vault.access.second_person` writes it."
    reason: str = field(default="", repr=False)
    "What they typed; read back with `Approvals.reason` only."


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One as it stands in the table."""

    id: str
    asked: NewApproval
    state: ApprovalState
    created_ns: int
    expires_ns: int
    decided_by: UserId | None = None
    decided_ns: int | None = None
    sealed_reason: bytes = field(default=b"", repr=False)


Tell = Callable[[Approval], object]
"Is told before it counts; what it raises undoes it."


class Approvals:
    """The approvals in the database; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        config: ApprovalConfig | None = None,
        *,
        reasons: ReasonKey | None = None,
        clock: Clock = system_clock_ns,
    ) -> None:
        """Keep reasons under *reasons*; without it none is kept, or read."""
        self._engine = engine
        self._reasons = reasons
        self._config = config or ApprovalConfig()
        self._clock = clock

    def ask(self, new: NewApproval, *, tell: Tell) -> Approval:
        """Keep a request until somebody decides.

        Raises:
            ConflictError: The person has asked for that already, or for too much.
        """
        with transaction(self._engine) as connection:
            made = self.ask_within(connection, new)
            tell(made)
        return made

    def ask_within(self, connection: Connection, new: NewApproval) -> Approval:
        """Keep a request within a transaction; see `ask`."""
        now_ns = self._clock()
        connection.execute(
            delete(APPROVAL).where(APPROVAL.c.expires_ns <= now_ns - _KEPT_NS)
        )
        _forget_ended(connection, now_ns)
        _refuse_repetition(connection, new, now_ns)
        approval_id = new_id()
        connection.execute(
            insert(APPROVAL).values(
                id=approval_id,
                kind=str(new.kind),
                requester_id=new.requester_id,
                permission=str(new.permission),
                recording_id=new.recording_id,
                change=new.change,
                state=str(ApprovalState.PENDING),
                sealed_reason=self._sealed(approval_id, new.reason),
                created_ns=now_ns,
                expires_ns=now_ns + int(self._config.pending_s * NS_PER_S),
            )
        )
        return self.pending_within(connection, approval_id)

    def get(self, approval_id: str) -> Approval:
        """Return one that is not over.

        Raises:
            NotFoundError: There is none of that id.
        """
        with reading(self._engine) as connection:
            return _one(connection, approval_id, now_ns=self._clock())

    def list(self) -> tuple[Approval, ...]:
        """Return those that are not over, oldest first: `MAX_LISTED` at most."""
        return self._found()

    def of(self, requester_id: UserId) -> tuple[Approval, ...]:
        """Return what one person asked for and is not over, oldest first."""
        return self._found(APPROVAL.c.requester_id == requester_id)

    def pending(self) -> tuple[Approval, ...]:
        """Return those that wait for somebody, oldest first: `MAX_READ` at most."""
        return self._found(
            APPROVAL.c.state == str(ApprovalState.PENDING), limit=MAX_READ
        )

    def reason(self, approval: Approval) -> str:
        """Return what who asked typed; empty where it is not to be had any more."""
        return reason_of(approval, self._reasons)

    def decide(
        self, approval_id: str, *, by: UserId | None, approve: bool, tell: Tell
    ) -> Approval:
        """Say yes or no to one that is not of kind ``access``, or no to one that is.

        Without *by* it is the operator of the host who decides.

        Raises:
            NotFoundError: There is none, or it is the decider's own.
            ConflictError: Somebody has decided already, or who agrees could be who
                asked.
        """
        with transaction(self._engine) as connection:
            found = self.pending_within(connection, approval_id, decider=by)
            if approve and found.asked.kind is ApprovalKind.ACCESS:
                raise RuntimeError("a change is approved where it is made")
            if approve and by is not None:
                insist_on_two(connection, found.asked.requester_id, by)
            decided = self.decided_within(
                connection,
                found,
                by=by,
                state=ApprovalState.APPROVED if approve else ApprovalState.REFUSED,
            )
            tell(decided)
        return decided

    def pending_within(
        self, connection: Connection, approval_id: str, *, decider: UserId | None = None
    ) -> Approval:
        """Return one that waits; nobody else decides in this transaction.

        Raises:
            NotFoundError: There is none, or it is the decider's own.
            ConflictError: Somebody has decided already.
        """
        found = _one(connection, approval_id, now_ns=self._clock())
        if found.asked.requester_id == decider:
            raise NotFoundError("no such approval")
        if found.state is not ApprovalState.PENDING:
            raise ConflictError(f"it is {found.state} already")
        return found

    def decided_within(
        self,
        connection: Connection,
        found: Approval,
        *,
        by: UserId | None,
        state: ApprovalState,
    ) -> Approval:
        """Write down within a transaction what was said."""
        now_ns = self._clock()
        _forget_ended(connection, now_ns)
        until_ns = found.expires_ns
        if state is ApprovalState.APPROVED:
            until_ns = now_ns + int(self._config.use_s * NS_PER_S)
        connection.execute(
            update(APPROVAL)
            .where(APPROVAL.c.id == found.id)
            .values(
                state=str(state),
                expires_ns=until_ns,
                decided_by=by,
                decided_ns=now_ns,
                # Who plays by it says why with these words; nobody else needs them.
                sealed_reason=found.sealed_reason
                if state is ApprovalState.APPROVED
                else None,
            )
        )
        return _one(connection, found.id, now_ns=now_ns)

    def _sealed(self, approval_id: str, reason: str) -> bytes | None:
        if not reason or self._reasons is None:
            return None
        return self._reasons.seal(reason, approval_id)

    def _found(
        self, *where: ColumnElement[bool], limit: int = MAX_LISTED
    ) -> tuple[Approval, ...]:
        query = (
            select(APPROVAL)
            .where(APPROVAL.c.expires_ns > self._clock(), *where)
            .order_by(APPROVAL.c.created_ns, APPROVAL.c.id)
            .limit(limit)
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return tuple(one for one in map(_approval, rows) if one is not None)


def agreed(
    connection: Connection,
    *,
    user_id: UserId,
    recording_id: RecordingId,
    permission: Permission,
    now_ns: int,
) -> Approval | None:
    """Return the approval by which somebody may play a recording now, or None."""
    row = connection.execute(
        select(APPROVAL)
        .where(
            APPROVAL.c.kind == str(ApprovalKind.PLAY),
            APPROVAL.c.requester_id == user_id,
            APPROVAL.c.recording_id == recording_id,
            APPROVAL.c.permission == str(permission),
            APPROVAL.c.state.in_(
                [str(ApprovalState.APPROVED), str(ApprovalState.USED)]
            ),
            APPROVAL.c.expires_ns > now_ns,
        )
        .order_by(APPROVAL.c.expires_ns.desc())
        .limit(1)
    ).first()
    return None if row is None else _approval(row)


def reason_of(approval: Approval, key: ReasonKey | None) -> str:
    """Return what *key* sealed for *approval*; empty where it does not open."""
    if key is None or not approval.sealed_reason:
        return ""
    try:
        return key.open(approval.sealed_reason, approval.id)
    except SealBrokenError:
        # Of another key, from a back-up: whoever plays by it says why once more.
        return ""


def use(connection: Connection, approval: Approval, *, now_ns: int) -> bool:
    """Write down that *approval* is used; return whether it is for the first time."""
    _forget_ended(connection, now_ns)
    return (
        connection.execute(
            update(APPROVAL)
            .where(
                APPROVAL.c.id == approval.id,
                APPROVAL.c.state == str(ApprovalState.APPROVED),
            )
            .values(state=str(ApprovalState.USED))
        ).rowcount
        > 0
    )


def _forget_ended(connection: Connection, now_ns: int) -> None:
    """Erase the reasons of those that are over: nobody decides or plays by them."""
    connection.execute(
        update(APPROVAL)
        .where(APPROVAL.c.expires_ns <= now_ns, APPROVAL.c.sealed_reason.is_not(None))
        .values(sealed_reason=None)
    )


def _refuse_repetition(connection: Connection, new: NewApproval, now_ns: int) -> None:
    rows = connection.execute(
        select(APPROVAL).where(
            APPROVAL.c.requester_id == new.requester_id,
            APPROVAL.c.state == str(ApprovalState.PENDING),
            APPROVAL.c.expires_ns > now_ns,
        )
    ).all()
    if any(
        (row.kind, row.permission, row.recording_id, row.change)
        == (str(new.kind), str(new.permission), new.recording_id, new.change)
        for row in rows
    ):
        raise ConflictError("it was asked for already, and waits for somebody")
    if len(rows) >= MAX_PENDING:
        raise ConflictError(f"{MAX_PENDING} requests of yours wait for somebody")


def _one(connection: Connection, approval_id: str, *, now_ns: int) -> Approval:
    found = None
    if is_storable(approval_id):
        row = connection.execute(
            select(APPROVAL)
            .where(APPROVAL.c.id == approval_id, APPROVAL.c.expires_ns > now_ns)
            .with_for_update()
        ).first()
        found = None if row is None else _approval(row)
    if found is None:
        raise NotFoundError("no such approval")
    return found


def _approval(row: Row[tuple[object, ...]]) -> Approval | None:
    try:
        asked = NewApproval(
            kind=ApprovalKind(row.kind),
            requester_id=UserId(row.requester_id),
            permission=Permission(row.permission),
            recording_id=RecordingId(row.recording_id) if row.recording_id else None,
            change=row.change,
        )
        state = ApprovalState(row.state)
    except ValueError:
        # Of a version that knew more: it allows nothing here.
        return None
    return Approval(
        id=row.id,
        asked=asked,
        state=state,
        created_ns=row.created_ns,
        expires_ns=row.expires_ns,
        decided_by=UserId(row.decided_by) if row.decided_by else None,
        decided_ns=row.decided_ns,
        sealed_reason=row.sealed_reason or b"",
    )
