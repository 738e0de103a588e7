"""Sessions: a person, signed in, until idle, ended or out of time.

Guarantees:
    * The database holds the SHA-256 of a 256-bit secret, never the secret; the
      CSRF token is derived from the secret and stored nowhere.
    * Every look-up reads the person as they are now: roles and workgroups that
      were taken away are gone with the next request, and so is a disabled person.

Left to others: cookies and headers (`vault.web`), checking a password
(`vault.access.signin`), the audit leaf of an opened or ended session.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection, Engine, delete, insert, or_, select, update

from vault.access.credentials import SecretKind, new_secret, secret_digest
from vault.access.names import is_storable
from vault.access.people import read_person
from vault.access.policy import Session, SessionKind
from vault.access.tables import MEDIA_GRANT, SESSION
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import NotAuthenticatedError
from vault.core.ids import UserId, new_id
from vault.database.engine import reading, transaction

_CSRF_CONTEXT: Final = b"callvault/v1\0csrf"
_TOUCH_EVERY_NS: Final = 30 * NS_PER_S
"A session's last use is written this often, not with every request."

_ORIGIN_LENGTH: Final = 64
_REFUSED: Final = "the session is over"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """How long a session lasts."""

    idle_s: float = 15 * 60
    "Seconds without a request after which it is over."

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
    expires_ns: int


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

    def open(
        self,
        user_id: UserId,
        *,
        kind: SessionKind = SessionKind.BROWSER,
        origin: str = "",
    ) -> SessionOpened:
        """Open a session for somebody whose credential was just checked.

        Raises:
            NotAuthenticatedError: The person was disabled meanwhile.
            NotFoundError: Nobody has that id.
        """
        now_ns = self._clock()
        secret = new_secret(SecretKind.SESSION)
        with transaction(self._engine) as connection:
            self._sweep(connection, now_ns)
            person = read_person(connection, user_id)
            if person.disabled:
                raise NotAuthenticatedError(_REFUSED)
            session = Session(
                id=new_id(),
                person=person,
                kind=kind,
                expires_ns=now_ns + int(self._config.absolute_s * NS_PER_S),
                csrf=_csrf(secret),
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
                )
            )
        return SessionOpened(session=session, secret=secret)

    def lookup(self, secret: str) -> Session:
        """Return the session that *secret* opens, and note that it was used.

        Raises:
            NotAuthenticatedError: No such session, or it is over.
        """
        now_ns = self._clock()
        with reading(self._engine) as connection:
            row = connection.execute(
                select(SESSION).where(SESSION.c.secret_sha256 == secret_digest(secret))
            ).first()
            if row is None or not self._lives(row.used_ns, row.expires_ns, now_ns):
                raise NotAuthenticatedError(_REFUSED)
            person = read_person(connection, UserId(row.user_id))
        if person.disabled:
            raise NotAuthenticatedError(_REFUSED)
        if now_ns - row.used_ns >= _TOUCH_EVERY_NS:
            with transaction(self._engine) as connection:
                connection.execute(
                    update(SESSION).where(SESSION.c.id == row.id).values(used_ns=now_ns)
                )
        return Session(
            id=row.id,
            person=person,
            kind=SessionKind(row.kind),
            expires_ns=row.expires_ns,
            csrf=_csrf(secret),
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
            )
            for row in rows
            if self._lives(row.used_ns, row.expires_ns, now_ns)
        )

    def _lives(self, used_ns: int, expires_ns: int, now_ns: int) -> bool:
        return now_ns < expires_ns and now_ns - used_ns < self._idle_ns

    @property
    def _idle_ns(self) -> int:
        return int(self._config.idle_s * NS_PER_S)

    def _sweep(self, connection: Connection, now_ns: int) -> None:
        connection.execute(
            delete(SESSION).where(
                or_(
                    SESSION.c.expires_ns <= now_ns,
                    SESSION.c.used_ns <= now_ns - self._idle_ns,
                )
            )
        )
        connection.execute(
            delete(MEDIA_GRANT).where(MEDIA_GRANT.c.expires_ns <= now_ns)
        )


def _csrf(secret: str) -> str:
    # Whoever holds the secret needs no second one to be told; whoever rides on
    # a cookie does not hold the secret.
    octets = hmac.digest(
        secret.encode("utf-8", "surrogatepass"), _CSRF_CONTEXT, hashlib.sha256
    )
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")
