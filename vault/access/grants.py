"""Grants at rest: one listening session of one person to one part of a recording.

A grant is found by who asks (session or token), for what (recording and part);
its id is a reference for the trail and opens nothing.

Guarantees:
    * A grant ends five minutes after its last use, with its session at the
      latest, and at once when the session is ended or the person disabled.
    * The reason that a person typed is not kept here: it is text about a call.

Left to others: asking the policy again before each range (`vault.web`), the
leaf (`vault.warden`, with the key).
"""

from sqlalchemy import Engine, delete, exists, insert, or_, select, update

from vault.access.interfaces import Subject
from vault.access.policy import GRANT_TTL_S, Session, decide
from vault.access.tables import MEDIA_GRANT, PERSON, SESSION, TOKEN
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.flow import Actor, ActorKind, Caller, Grant, MediaPart
from vault.core.ids import GrantId, RecordingId
from vault.database.engine import reading, transaction

_TTL_NS = GRANT_TTL_S * NS_PER_S


class Grants:
    """The living grants in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def open(
        self,
        session: Session,
        part: MediaPart,
        subject: Subject,
        *,
        origin: str = "",
        reason: str = "",
    ) -> Grant:
        """Ask the policy and keep the grant that it gives.

        An earlier grant of the session for the same part is replaced.

        Raises:
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
            connection.execute(
                delete(MEDIA_GRANT).where(
                    or_(
                        MEDIA_GRANT.c.expires_ns <= now_ns,
                        (MEDIA_GRANT.c.session_id == session.id)
                        & (MEDIA_GRANT.c.recording_id == subject.id)
                        & (MEDIA_GRANT.c.part == str(part)),
                    )
                )
            )
            connection.execute(
                insert(MEDIA_GRANT).values(
                    id=grant.id,
                    session_id=session.id,
                    recording_id=subject.id,
                    part=str(part),
                    user_id=session.user_id,
                    access_right=grant.right,
                    origin=origin[:64],
                    expires_ns=grant.expires_ns,
                    session_ends_ns=session.expires_ns,
                )
            )
        return grant

    def live(
        self, session_id: str, recording_id: RecordingId, part: MediaPart
    ) -> Grant | None:
        """Return the grant that is in use, renewed, or None.

        Being found is being used: what is left is topped up to five minutes,
        but not beyond the session's end.
        """
        now_ns = self._clock()
        with reading(self._engine) as connection:
            row = connection.execute(
                select(MEDIA_GRANT)
                .join(PERSON, PERSON.c.id == MEDIA_GRANT.c.user_id)
                .where(
                    MEDIA_GRANT.c.session_id == session_id,
                    MEDIA_GRANT.c.recording_id == recording_id,
                    MEDIA_GRANT.c.part == str(part),
                    MEDIA_GRANT.c.expires_ns > now_ns,
                    PERSON.c.disabled.is_(False),
                    or_(
                        exists().where(SESSION.c.id == MEDIA_GRANT.c.session_id),
                        exists().where(TOKEN.c.id == MEDIA_GRANT.c.session_id),
                    ),
                )
                .order_by(MEDIA_GRANT.c.expires_ns.desc())
                .limit(1)
            ).first()
        if row is None:
            return None
        expires_ns = int(row.expires_ns)
        # One write per half-life, not one per range.
        if expires_ns - now_ns < _TTL_NS // 2:
            renewed_ns = min(now_ns + _TTL_NS, row.session_ends_ns)
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
