"""Grants at rest: one listening session of one person to one part of a recording.

A grant is found by who asks (session or token), for what (recording and part);
its id is a reference for the trail and opens nothing.

Guarantees:
    * A grant ends five minutes after its last use, with its session at the
      latest, and at once when the session is ended or the person disabled.
    * Where the class of the recording asks for a reason or for a second person, no
      grant is given, found or renewed without; one that was approved ends with the
      approval.
    * The reason that a person typed, now or when they asked for an approval, goes with
      the grant to the leaf of its key; here it is sealed until then.

Left to others: asking the policy again before each range (`vault.web`), the
leaves (`vault.warden`, with the key; the caller's room where an approval is used).
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)

from vault.access.approvals import Approval, agreed, reason_of, use
from vault.access.classes import demands_on
from vault.access.factor_key import ReasonKey
from vault.access.interfaces import Subject
from vault.access.permissions import RIGHT_FOR
from vault.access.policy import GRANT_TTL_S, Session, decide
from vault.access.reasons import is_reason
from vault.access.tables import MEDIA_GRANT, PERSON, SESSION, TOKEN
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import (
    ApprovalRequiredError,
    ReasonRequiredError,
    SealBrokenError,
)
from vault.core.flow import Actor, ActorKind, Caller, Grant, MediaPart
from vault.core.ids import GrantId
from vault.database.engine import reading, transaction

_TTL_NS = GRANT_TTL_S * NS_PER_S

Used = Callable[[Approval, Grant], object]
"""Is told that an approval is used for the first time, before it counts; what it
raises undoes it."""


class Grants:
    """The living grants in the database; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        *,
        reasons: ReasonKey | None = None,
        clock: Clock = system_clock_ns,
    ) -> None:
        """Keep reasons under *reasons*; without it they reach no later request."""
        self._engine = engine
        self._reasons = reasons
        self._clock = clock

    def open(
        self,
        session: Session,
        part: MediaPart,
        subject: Subject,
        *,
        origin: str = "",
        reason: str = "",
        used: Used = lambda _approval, _grant: None,
    ) -> Grant:
        """Ask the policy and keep the grant that it gives.

        An earlier grant of the session for the same part is replaced.

        Raises:
            ReasonRequiredError: The class asks for a reason, and this is none.
            ApprovalRequiredError: It asks for a second person, and none has agreed.
            NotFoundError: The right or the workgroup is missing.
            NotReadyError: There is nothing to play yet.
            NoMediaError: There is nothing to play and never will be.
            GoneError: It has expired or was shredded.
        """
        now_ns = self._clock()
        grant = decide(
            session, part, subject, now_ns=now_ns, origin=origin, reason=reason
        )
        with transaction(self._engine) as connection:
            approval = self._insist(
                connection,
                session,
                part,
                subject,
                has_reason=is_reason(reason),
                now_ns=now_ns,
            )
            # Who typed it when they asked for the approval does not type it again.
            if approval is not None and not is_reason(reason):
                reason = reason_of(approval, self._reasons)
                grant = replace(grant, reason=reason)
            if approval is not None:
                until_ns = min(grant.expires_ns, approval.expires_ns)
                grant = replace(grant, expires_ns=until_ns)
                if use(connection, approval, now_ns=now_ns):
                    used(approval, grant)
            self._keep(connection, session, part, grant, now_ns=now_ns)
        return grant

    def insist(
        self,
        session: Session,
        part: MediaPart,
        subject: Subject,
        *,
        has_reason: bool = True,
    ) -> None:
        """Insist that somebody who plays may go on: their approval may have ended.

        Args:
            session: Whose.
            part: What they play.
            subject: Of which recording.
            has_reason: Whoever plays has given one when it was asked for.

        Raises:
            ApprovalRequiredError: It has, or the class asks for one now.
            ReasonRequiredError: None was given, not with the approval either.
        """
        with reading(self._engine) as connection:
            self._insist(
                connection,
                session,
                part,
                subject,
                has_reason=has_reason,
                now_ns=self._clock(),
            )

    def live(self, session: Session, part: MediaPart, subject: Subject) -> Grant | None:
        """Return the grant that is in use, renewed, or None.

        Being found is being used: what is left is topped up to five minutes,
        but not beyond the session's end, nor the approval's.

        Raises:
            ReasonRequiredError: There is one, and the class asks for a reason since.
            ApprovalRequiredError: There is one, and nobody agrees any more.
        """
        now_ns = self._clock()
        session_id, recording_id = session.id, subject.id
        with reading(self._engine) as connection:
            row = connection.execute(
                _in_use(now_ns).where(
                    MEDIA_GRANT.c.session_id == session_id,
                    MEDIA_GRANT.c.recording_id == recording_id,
                    MEDIA_GRANT.c.part == str(part),
                )
            ).first()
            if row is None:
                return None
            approval = self._insist(
                connection,
                session,
                part,
                subject,
                has_reason=row.has_reason,
                now_ns=now_ns,
            )
        ends_ns = int(row.session_ends_ns)
        if approval is not None:
            ends_ns = min(ends_ns, approval.expires_ns)
        expires_ns = min(int(row.expires_ns), ends_ns)
        # One write per half-life, not one per range.
        if expires_ns - now_ns < _TTL_NS // 2:
            renewed_ns = min(now_ns + _TTL_NS, ends_ns)
            if renewed_ns > expires_ns:
                expires_ns = renewed_ns
                self._renew(row.id, expires_ns)
        return Grant(
            id=GrantId(row.id),
            recording_id=recording_id,
            part=part,
            caller=Caller(
                actor=Actor(kind=ActorKind.USER, id=row.user_id),
                session=session_id,
                origin=row.origin,
            ),
            right=row.access_right,
            expires_ns=expires_ns,
            reason=self._opened(row.id, row.sealed_reason),
        )

    def forget_reason(self, grant_id: GrantId) -> None:
        """Erase why somebody plays: the leaf of the key carries it now."""
        with transaction(self._engine) as connection:
            connection.execute(
                update(MEDIA_GRANT)
                .where(MEDIA_GRANT.c.id == grant_id)
                .values(sealed_reason=None)
            )

    def end(self, grant_id: GrantId) -> None:
        """End one grant; ending a missing one is fine."""
        with transaction(self._engine) as connection:
            connection.execute(delete(MEDIA_GRANT).where(MEDIA_GRANT.c.id == grant_id))

    def _renew(self, grant_id: str, expires_ns: int) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                update(MEDIA_GRANT)
                .where(MEDIA_GRANT.c.id == grant_id)
                .values(expires_ns=expires_ns)
            )

    def _keep(
        self,
        connection: Connection,
        session: Session,
        part: MediaPart,
        grant: Grant,
        *,
        now_ns: int,
    ) -> None:
        """Write *grant* down in place of the session's earlier one for that part."""
        connection.execute(
            delete(MEDIA_GRANT).where(
                or_(
                    MEDIA_GRANT.c.expires_ns <= now_ns,
                    (MEDIA_GRANT.c.session_id == session.id)
                    & (MEDIA_GRANT.c.recording_id == grant.recording_id)
                    & (MEDIA_GRANT.c.part == str(part)),
                )
            )
        )
        connection.execute(
            insert(MEDIA_GRANT).values(
                id=grant.id,
                session_id=session.id,
                recording_id=grant.recording_id,
                part=str(part),
                user_id=session.user_id,
                access_right=grant.right,
                origin=grant.caller.origin[:64],
                expires_ns=grant.expires_ns,
                session_ends_ns=session.expires_ns,
                has_reason=is_reason(grant.reason),
                sealed_reason=self._sealed(grant.id, grant.reason),
            )
        )

    def _sealed(self, grant_id: str, reason: str) -> bytes | None:
        if not reason.strip() or self._reasons is None:
            return None
        return self._reasons.seal(reason.strip(), grant_id)

    def _opened(self, grant_id: str, sealed: bytes | None) -> str:
        if not sealed or self._reasons is None:
            return ""
        try:
            return self._reasons.open(sealed, grant_id)
        except SealBrokenError:
            return ""  # under another key: what plays was allowed all the same

    def _insist(
        self,
        connection: Connection,
        session: Session,
        part: MediaPart,
        subject: Subject,
        *,
        has_reason: bool,
        now_ns: int,
    ) -> Approval | None:
        """Insist on what the class of *subject* asks for; return the approval, if any.

        The caller has asked the policy: what a class asks for is no secret from those
        who hold the right.

        Raises:
            ApprovalRequiredError: It asks for a second person, and none has agreed.
            ReasonRequiredError: It asks for a reason.
        """
        demands, right = demands_on(connection, subject), RIGHT_FOR[part]
        approval = None
        if demands.approval and not session.person.in_emergency(right):
            approval = agreed(
                connection,
                user_id=session.user_id,
                recording_id=subject.id,
                permission=right,
                now_ns=now_ns,
            )
            # First: who asks for an approval says why, and does so once.
            if approval is None:
                raise ApprovalRequiredError("somebody else has to agree first")
        has_reason = has_reason or bool(approval and reason_of(approval, self._reasons))
        if demands.reason and not has_reason:
            raise ReasonRequiredError(
                "say why: this class of recordings asks for a reason"
            )
        return approval


def _in_use(now_ns: int) -> Select[Any]:
    """Choose the grant that lasts longest, of an account and a session that count."""
    return (
        select(MEDIA_GRANT)
        .join(PERSON, PERSON.c.id == MEDIA_GRANT.c.user_id)
        .where(
            MEDIA_GRANT.c.expires_ns > now_ns,
            PERSON.c.disabled.is_(False),
            or_(
                exists().where(SESSION.c.id == MEDIA_GRANT.c.session_id),
                exists().where(TOKEN.c.id == MEDIA_GRANT.c.session_id),
            ),
        )
        .order_by(MEDIA_GRANT.c.expires_ns.desc())
        .limit(1)
    )
