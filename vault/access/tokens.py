"""Personal access tokens: a person's script, without the person's password.

Guarantees: shown once, kept as a digest, always with an end; a token has its
owner's rights as they are now, and none of its own.

Left to others: the audit leaves (the caller's room).
"""

from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Engine, delete, insert, select, update

from vault.access.credentials import SecretKind, new_secret, secret_digest
from vault.access.names import checked_title, is_storable
from vault.access.people import read_person
from vault.access.policy import Session, SessionKind
from vault.access.tables import MEDIA_GRANT, TOKEN
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import ConflictError, InvalidInputError, NotAuthenticatedError
from vault.core.ids import UserId, new_id
from vault.database.engine import reading, transaction

DEFAULT_TTL_S: Final = 90 * 86_400
MAX_TTL_S: Final = 366 * 86_400

_TOUCH_EVERY_NS: Final = 60 * NS_PER_S
_REFUSED: Final = "the token is not valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenListed:
    """A token as its owner sees it in a list."""

    id: str
    user_id: UserId
    name: str
    created_ns: int
    used_ns: int | None
    "Last use, to the minute; None if never."
    expires_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAdded:
    """A new token and its secret, which is shown this once."""

    listed: TokenListed
    secret: str = field(repr=False)


class Tokens:
    """The tokens in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def add(
        self, user_id: UserId, name: str, *, ttl_s: float = DEFAULT_TTL_S
    ) -> TokenAdded:
        """Make a token for somebody.

        Raises:
            InvalidInputError: Not a name, or a life of 0 s or beyond 366 days.
            ConflictError: The person is disabled.
            NotFoundError: Nobody has that id.
        """
        if not 1 <= ttl_s <= MAX_TTL_S:
            raise InvalidInputError("a token lives 1 second to 366 days")
        now_ns = self._clock()
        secret = new_secret(SecretKind.PERSONAL_TOKEN)
        listed = TokenListed(
            id=new_id(),
            user_id=user_id,
            name=checked_title(name),
            created_ns=now_ns,
            used_ns=None,
            expires_ns=now_ns + int(ttl_s * NS_PER_S),
        )
        with transaction(self._engine) as connection:
            if read_person(connection, user_id).disabled:
                raise ConflictError("the account is disabled")
            connection.execute(
                insert(TOKEN).values(
                    id=listed.id,
                    secret_sha256=secret_digest(secret),
                    user_id=user_id,
                    name=listed.name,
                    created_ns=listed.created_ns,
                    expires_ns=listed.expires_ns,
                )
            )
        return TokenAdded(listed=listed, secret=secret)

    def lookup(self, secret: str) -> Session:
        """Return the session that *secret* stands for, and note its use.

        Raises:
            NotAuthenticatedError: No such token, expired, or its owner disabled.
        """
        now_ns = self._clock()
        with reading(self._engine) as connection:
            row = connection.execute(
                select(TOKEN).where(TOKEN.c.secret_sha256 == secret_digest(secret))
            ).first()
            if row is None or now_ns >= row.expires_ns:
                raise NotAuthenticatedError(_REFUSED)
            person = read_person(connection, UserId(row.user_id))
        if person.disabled:
            raise NotAuthenticatedError(_REFUSED)
        if row.used_ns is None or now_ns - row.used_ns >= _TOUCH_EVERY_NS:
            with transaction(self._engine) as connection:
                connection.execute(
                    update(TOKEN).where(TOKEN.c.id == row.id).values(used_ns=now_ns)
                )
        return Session(
            id=row.id,
            person=person,
            kind=SessionKind.TOKEN,
            expires_ns=row.expires_ns,
        )

    def revoke(self, token_id: str, *, user_id: UserId | None = None) -> bool:
        """End a token and its grants; with *user_id*, only that person's.

        Returns:
            Whether there was one to end.
        """
        if not is_storable(token_id):
            return False
        with transaction(self._engine) as connection:
            mine = delete(TOKEN).where(TOKEN.c.id == token_id)
            if user_id is not None:
                mine = mine.where(TOKEN.c.user_id == user_id)
            revoked = connection.execute(mine).rowcount > 0
            if revoked:
                connection.execute(
                    delete(MEDIA_GRANT).where(MEDIA_GRANT.c.session_id == token_id)
                )
        return revoked

    def list(self, user_id: UserId | None = None) -> tuple[TokenListed, ...]:
        """Return tokens, oldest first: one person's, or everybody's."""
        query = select(TOKEN).order_by(TOKEN.c.created_ns, TOKEN.c.id)
        if user_id is not None:
            query = query.where(TOKEN.c.user_id == user_id)
        with reading(self._engine) as connection:
            return tuple(
                TokenListed(
                    id=row.id,
                    user_id=UserId(row.user_id),
                    name=row.name,
                    created_ns=row.created_ns,
                    used_ns=row.used_ns,
                    expires_ns=row.expires_ns,
                )
                for row in connection.execute(query)
            )
