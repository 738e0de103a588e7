"""Sessions: a person, signed in, until ended or out of time; locked while idle.

    sign-in ──> open ──idle, or "lock now"──> locked ──proof──> open, renewed
                 │                               │
                 └──proof──> open, renewed       └──out of time, ended──> gone

Guarantees:
    * The database holds the SHA-256 of a 256-bit secret, never the secret; the
      CSRF token is derived from the secret and stored nowhere.
    * Every look-up reads the person as they are now: roles and workgroups that
      were taken away are gone with the next request, and so is a disabled person.
    * Every proof of who it is (sign-in, step-up, unlocking) makes a new id and a new
      secret, and the old ones are dead in the same transaction.  Grants move along;
      a stream that runs under the old secret ends at its next check.
    * A locked session opens nothing.  Once seen to be idle it stays locked: a clock
      that is put back lengthens no session.

Left to others: cookies and headers (`vault.web`), checking a password
(`vault.access.signin`), the audit leaf of an opened or ended session.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, Engine, Row, delete, insert, select, update

from vault.access.credentials import (
    SecretKind,
    csrf_token,
    new_secret,
    secret_digest,
)
from vault.access.methods import SECOND_FACTORS, joined_methods
from vault.access.names import is_storable
from vault.access.people import end_surplus_sessions
from vault.access.people_reading import read_person
from vault.access.policy import CLOCK_SLACK_NS, Session, SessionKind
from vault.access.tables import MEDIA_GRANT, SESSION
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import NotAuthenticatedError, SessionLockedError
from vault.core.ids import UserId, new_id
from vault.database.engine import reading, transaction

MOST_OPEN: Final = 100
"Of one person; the one unused for longest gives way."

_TOUCH_EVERY_NS: Final = NS_PER_S
"A session's last use is written this often, not with every request."

_ORIGIN_LENGTH: Final = 64
_REFUSED: Final = "the session is over"
_LOCKED: Final = "the session is locked"


_SessionRow = Row[tuple[object, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """How long a session lasts."""

    idle_s: float = 15 * 60
    "Seconds without activity after which it is locked."

    absolute_s: float = 12 * 3600
    "Seconds after which it is over, whatever happens."


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOpened:
    """A new session and its secret, which is shown this once."""

    session: Session
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionListed:
    """A session as its owner or an administrator sees it in a list."""

    id: str
    user_id: UserId
    kind: SessionKind
    origin: str
    created_ns: int
    used_ns: int
    "Last activity, to the second."
    expires_ns: int
    methods: tuple[str, ...]
    is_locked: bool


class Sessions:
    """The sessions in the database; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        config: SessionConfig | None = None,
        *,
        clock: Clock = system_clock_ns,
    ) -> None:
        self._engine = engine
        self._config = config or SessionConfig()
        self._clock = clock

    @property
    def idle_s(self) -> float:
        """Seconds without activity after which a session is locked."""
        return self._config.idle_s

    def open(
        self,
        user_id: UserId,
        *,
        kind: SessionKind = SessionKind.BROWSER,
        origin: str = "",
        methods: Collection[str] = ("pwd",),
        is_restricted: bool = False,
    ) -> SessionOpened:
        """Open a session for somebody whose credential was just checked.

        Args:
            user_id: Who.
            kind: How the secret will come back.
            origin: Address of the peer, without port.
            methods: How they proved who they are, as RFC 8176 names it.
            is_restricted: A second factor is required, and was not given.

        Raises:
            NotAuthenticatedError: The person was disabled meanwhile.
            NotFoundError: Nobody has that id.
        """
        now_ns = self._clock()
        secret = new_secret(SecretKind.SESSION)
        with transaction(self._engine) as connection:
            self._sweep(connection, now_ns)
            person = read_person(connection, user_id, now_ns=now_ns)
            if not person.may_enter:
                raise NotAuthenticatedError(_REFUSED)
            end_surplus_sessions(connection, user_id, most=MOST_OPEN - 1)
            session = Session(
                id=new_id(),
                person=person,
                kind=kind,
                expires_ns=now_ns + int(self._config.absolute_s * NS_PER_S),
                csrf=csrf_token(secret),
                authenticated_ns=now_ns,
                methods=joined_methods((), methods),
                is_restricted=is_restricted,
            )
            connection.execute(
                insert(SESSION).values(
                    id=session.id,
                    secret_sha256=secret_digest(secret),
                    user_id=user_id,
                    kind=str(kind),
                    origin=origin[:_ORIGIN_LENGTH],
                    created_ns=now_ns,
                    used_ns=now_ns,
                    expires_ns=session.expires_ns,
                    authenticated_ns=now_ns,
                    methods=" ".join(session.methods),
                    is_restricted=is_restricted,
                )
            )
        return SessionOpened(session=session, secret=secret)

    def lookup(
        self, secret: str, *, is_activity: bool = True, even_locked: bool = False
    ) -> Session:
        """Return the session that *secret* opens.

        Args:
            secret: As it came.
            is_activity: Whether somebody is there: what a page asks for by itself
                keeps no browser session open.
            even_locked: Return a locked session too, instead of refusing it.

        Raises:
            NotAuthenticatedError: No such session, or it is over.
            SessionLockedError: It is locked.
        """
        now_ns = self._clock()
        with reading(self._engine) as connection:
            row = connection.execute(
                select(SESSION).where(SESSION.c.secret_sha256 == secret_digest(secret))
            ).first()
            if row is None or now_ns >= row.expires_ns:
                raise NotAuthenticatedError(_REFUSED)
            person = read_person(connection, UserId(row.user_id), now_ns=now_ns)
        if not person.may_enter:
            raise NotAuthenticatedError(_REFUSED)
        locked = self._is_locked(row, now_ns)
        if locked and not row.is_locked:
            self.lock(row.id)
        if locked and not even_locked:
            raise SessionLockedError(_LOCKED)
        if not locked and (is_activity or row.kind == SessionKind.BEARER):
            self._touch(row, now_ns)
        return Session(
            id=row.id,
            person=person,
            kind=SessionKind(row.kind),
            expires_ns=row.expires_ns,
            csrf=csrf_token(secret),
            authenticated_ns=row.authenticated_ns,
            methods=tuple(row.methods.split()),
            is_restricted=row.is_restricted,
            is_locked=locked,
        )

    def step_up(
        self, session_id: str, *, methods: Collection[str], becomes: str | None = None
    ) -> SessionOpened:
        """Renew an open session whose owner just proved again who they are.

        Args:
            session_id: Which session; it has that id no longer.
            methods: How they proved it; a second factor lifts a restriction.
            becomes: The new id, where it already stands in a leaf.

        Raises:
            NotAuthenticatedError: It is over, or another proof was faster.
            SessionLockedError: It is locked: that is for `unlock`.
        """
        return self._renew(session_id, methods, becomes, of_locked=False)

    def unlock(
        self, session_id: str, *, methods: Collection[str], becomes: str | None = None
    ) -> SessionOpened:
        """Renew a session, locked or not, whose owner just proved who they are.

        The arguments are those of `step_up`.

        Raises:
            NotAuthenticatedError: It is over, or another proof was faster.
        """
        return self._renew(session_id, methods, becomes, of_locked=True)

    def lock(self, session_id: str) -> bool:
        """Lock a session; return whether there was one that was not locked."""
        if not is_storable(session_id):
            return False
        with transaction(self._engine) as connection:
            return (
                connection.execute(
                    update(SESSION)
                    .where(SESSION.c.id == session_id, SESSION.c.is_locked.is_(False))
                    .values(is_locked=True)
                ).rowcount
                > 0
            )

    def end(self, session_id: str, *, user_id: UserId | None = None) -> bool:
        """End a session and its grants.

        Args:
            session_id: Which session.
            user_id: If given, only if it is this person's.

        Returns:
            Whether there was one to end.
        """
        if not is_storable(session_id):
            return False
        with transaction(self._engine) as connection:
            mine = delete(SESSION).where(SESSION.c.id == session_id)
            if user_id is not None:
                mine = mine.where(SESSION.c.user_id == user_id)
            ended = connection.execute(mine).rowcount > 0
            if ended:
                connection.execute(
                    delete(MEDIA_GRANT).where(MEDIA_GRANT.c.session_id == session_id)
                )
        return ended

    def list(self, user_id: UserId | None = None) -> tuple[SessionListed, ...]:
        """Return living sessions, newest first: one person's, or everybody's."""
        now_ns = self._clock()
        query = select(SESSION).order_by(SESSION.c.created_ns.desc())
        if user_id is not None:
            query = query.where(SESSION.c.user_id == user_id)
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return tuple(
            SessionListed(
                id=row.id,
                user_id=UserId(row.user_id),
                kind=SessionKind(row.kind),
                origin=row.origin,
                created_ns=row.created_ns,
                used_ns=row.used_ns,
                expires_ns=row.expires_ns,
                methods=tuple(row.methods.split()),
                is_locked=self._is_locked(row, now_ns),
            )
            for row in rows
            if now_ns < row.expires_ns
        )

    def _is_locked(self, row: _SessionRow, now_ns: int) -> bool:
        # A last use in the future means that the clock was put back: how long ago
        # it was is unknown then, and a proof settles it.
        return bool(
            row.is_locked
            or now_ns - row.used_ns >= self._idle_ns
            or now_ns < row.used_ns - CLOCK_SLACK_NS
        )

    @property
    def _idle_ns(self) -> int:
        return int(self._config.idle_s * NS_PER_S)

    def _touch(self, row: _SessionRow, now_ns: int) -> None:
        if now_ns - row.used_ns < _TOUCH_EVERY_NS:
            return
        with transaction(self._engine) as connection:
            connection.execute(
                update(SESSION)
                .where(SESSION.c.id == row.id, SESSION.c.used_ns < now_ns)
                .values(used_ns=now_ns)
            )

    def _renew(
        self,
        session_id: str,
        methods: Collection[str],
        becomes: str | None,
        *,
        of_locked: bool,
    ) -> SessionOpened:
        now_ns = self._clock()
        secret, new = new_secret(SecretKind.SESSION), becomes or new_id()
        with transaction(self._engine) as connection:
            row = _locked_row(connection, session_id)
            if row is None or now_ns >= row.expires_ns:
                raise NotAuthenticatedError(_REFUSED)
            if not of_locked and self._is_locked(row, now_ns):
                raise SessionLockedError(_LOCKED)
            person = read_person(connection, UserId(row.user_id), now_ns=now_ns)
            if not person.may_enter:
                raise NotAuthenticatedError(_REFUSED)
            session = Session(
                id=new,
                person=person,
                kind=SessionKind(row.kind),
                # What a clock that was put back would add is taken off again.
                expires_ns=row.expires_ns - max(0, row.used_ns - now_ns),
                csrf=csrf_token(secret),
                authenticated_ns=now_ns,
                methods=joined_methods(row.methods.split(), methods),
                is_restricted=row.is_restricted and not SECOND_FACTORS & {*methods},
            )
            # Id and secret change in place: there is no moment with both or none.
            connection.execute(
                update(SESSION)
                .where(SESSION.c.id == session_id)
                .values(
                    id=new,
                    secret_sha256=secret_digest(secret),
                    used_ns=now_ns,
                    expires_ns=session.expires_ns,
                    authenticated_ns=now_ns,
                    methods=" ".join(session.methods),
                    is_restricted=session.is_restricted,
                    is_locked=False,
                )
            )
            connection.execute(
                update(MEDIA_GRANT)
                .where(MEDIA_GRANT.c.session_id == session_id)
                .values(session_id=new, session_ends_ns=session.expires_ns)
            )
        return SessionOpened(session=session, secret=secret)

    def _sweep(self, connection: Connection, now_ns: int) -> None:
        connection.execute(delete(SESSION).where(SESSION.c.expires_ns <= now_ns))
        connection.execute(
            delete(MEDIA_GRANT).where(MEDIA_GRANT.c.expires_ns <= now_ns)
        )


def _locked_row(connection: Connection, session_id: str) -> _SessionRow | None:
    if not is_storable(session_id):
        return None
    # Of two proofs at once the second finds no such id any more.
    return connection.execute(
        select(SESSION).where(SESSION.c.id == session_id).with_for_update()
    ).first()
