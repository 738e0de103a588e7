"""Signing in with a name and a password, step by step.

Guarantees:
    * Unknown name, disabled account and wrong password are one answer, after the
      same work.
    * The throttle speaks first: whoever guessed too often is told so even with
      the right password.

Left to others: second factors and directories, the cookie (`vault.web`), the
audit leaf (the caller's room, before it answers).
"""

from sqlalchemy import Engine, select, update

from vault.access.names import name_key
from vault.access.passwords import Passwords
from vault.access.policy import SessionKind
from vault.access.sessions import SessionOpened, Sessions
from vault.access.tables import PERSON
from vault.access.throttle import Throttle
from vault.core.errors import NotAuthenticatedError, ThrottledError
from vault.core.ids import UserId
from vault.database.engine import reading, transaction


class SignIn:
    """Turns a name and a password into a session; safe to share between threads."""

    def __init__(
        self,
        engine: Engine,
        *,
        passwords: Passwords,
        throttle: Throttle,
        sessions: Sessions,
    ) -> None:
        self._engine = engine
        self._passwords = passwords
        self._throttle = throttle
        self._sessions = sessions

    def password(
        self,
        name: str,
        password: str,
        origin: str,
        *,
        kind: SessionKind = SessionKind.BROWSER,
    ) -> SessionOpened:
        """Open a session for who knows the password.

        Args:
            name: As typed.
            password: As typed.
            origin: Address of the peer, without port.
            kind: How the session's secret will come back.

        Raises:
            NotAuthenticatedError: No such person, disabled, or wrong password.
            ThrottledError: Too many wrong guesses, or too many at once.
        """
        # 1. Count the attempt before looking at it.
        attempt = self._throttle.admit(name, origin)
        # 2. Whoever it is, or nobody: the work that follows is the same.
        user_id, stored = self._stored(name)
        # 3. Check. What was never looked at is not a wrong guess.
        try:
            better = self._passwords.verify(stored, password)
        except ThrottledError:
            self._throttle.forgive(attempt)
            raise
        if user_id is None:
            raise NotAuthenticatedError("the name or the password is wrong")
        # 4. It was right: take the attempt back, keep a costlier hash if due.
        self._throttle.forgive(attempt)
        if better is not None:
            self._keep(user_id, stored, better)
        # 5. A new secret for every sign-in: an old one never gains rights.
        return self._sessions.open(user_id, kind=kind, origin=origin)

    def _stored(self, name: str) -> tuple[UserId | None, str | None]:
        with reading(self._engine) as connection:
            row = connection.execute(
                select(PERSON.c.id, PERSON.c.password_hash).where(
                    PERSON.c.name_key == name_key(name[:256]),
                    PERSON.c.disabled.is_(False),
                )
            ).first()
        return (None, None) if row is None else (UserId(row.id), row.password_hash)

    def _keep(self, user_id: UserId, old: str | None, new: str) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                update(PERSON)
                # A password changed at this very moment wins.
                .where(PERSON.c.id == user_id, PERSON.c.password_hash == old)
                .values(password_hash=new)
            )
