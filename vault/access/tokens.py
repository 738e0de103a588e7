"""Personal access tokens: a person's script, without the person's password.

Guarantees: shown once, kept as a digest, always with an end; a token has its
owner's rights as they are now, or those of them that it was made with, and none of
its own.

Left to others: the audit leaves (the caller's room).
"""

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from vault.access.credentials import SecretKind, new_secret, secret_digest
from vault.access.names import checked_title, is_storable
from vault.access.people_reading import read_person
from vault.access.permissions import Permission
from vault.access.policy import Session, SessionKind
from vault.access.tables import MEDIA_GRANT, TOKEN
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import ConflictError, InvalidInputError, NotAuthenticatedError
from vault.core.ids import UserId, new_id
from vault.database.engine import reading, transaction

DEFAULT_TTL_S: Final = 90 * 86_400
MAX_TTL_S: Final = 366 * 86_400
MOST: Final = 100
"Of one person."

_TOUCH_EVERY_NS: Final = 60 * NS_PER_S
_ORIGIN_LENGTH: Final = 64
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
    used_from: str
    "Address of the peer at the last use; empty if never."
    expires_ns: int
    permissions: frozenset[Permission] | None
    "All that it may use of what its owner may; None for everything."

    def __str__(self) -> str:
        """Return it as the trail seals it."""
        limits = (
            "everything"
            if self.permissions is None
            else ", ".join(sorted(self.permissions))
        )
        return f"{self.name}; may: {limits}"


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
        self,
        user_id: UserId,
        name: str,
        *,
        ttl_s: float = DEFAULT_TTL_S,
        permissions: Collection[Permission] | None = None,
    ) -> TokenAdded:
        """Make a token for somebody.

        Args:
            user_id: Whose.
            name: What it is for.
            ttl_s: How long it lives, in seconds.
            permissions: All that it may use; None for whatever the owner may.

        Raises:
            InvalidInputError: Not a name, a life of 0 s or beyond 366 days, or a
                permission that the owner does not hold.
            ConflictError: The person is disabled, or has enough of them.
            NotFoundError: Nobody has that id.
        """
        if permissions is not None and not permissions:
            raise InvalidInputError("a token without permissions is no use")
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
            used_from="",
            expires_ns=now_ns + int(ttl_s * NS_PER_S),
            permissions=None if permissions is None else frozenset(permissions),
        )
        with transaction(self._engine) as connection:
            person = read_person(connection, user_id, now_ns=now_ns)
            if person.disabled:
                raise ConflictError("the account is disabled")
            connection.execute(delete(TOKEN).where(TOKEN.c.expires_ns <= now_ns))
            if _count(connection, user_id) >= MOST:
                raise ConflictError(f"one person has {MOST} tokens at most: revoke one")
            if not all(person.holds(one) for one in listed.permissions or ()):
                raise InvalidInputError("a token may do no more than its owner")
            connection.execute(
                insert(TOKEN).values(
                    id=listed.id,
                    secret_sha256=secret_digest(secret),
                    user_id=user_id,
                    name=listed.name,
                    created_ns=listed.created_ns,
                    expires_ns=listed.expires_ns,
                    permissions=" ".join(sorted(listed.permissions or ())),
                )
            )
        return TokenAdded(listed=listed, secret=secret)

    def lookup(self, secret: str, *, origin: str = "") -> Session:
        """Return the session that *secret* stands for, and note its use from *origin*.

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
            person = read_person(connection, UserId(row.user_id), now_ns=now_ns)
        if not person.may_enter:
            raise NotAuthenticatedError(_REFUSED)
        if row.used_ns is None or now_ns - row.used_ns >= _TOUCH_EVERY_NS:
            with transaction(self._engine) as connection:
                connection.execute(
                    update(TOKEN)
                    .where(TOKEN.c.id == row.id)
                    .values(used_ns=now_ns, used_from=origin[:_ORIGIN_LENGTH])
                )
        return Session(
            id=row.id,
            person=replace(person, limited_to=_limits(row.permissions)),
            kind=SessionKind.TOKEN,
            expires_ns=row.expires_ns,
        )

    def owner_of(self, token_id: str) -> UserId | None:
        """Return whose token it is; None where there is none."""
        if not is_storable(token_id):
            return None
        with reading(self._engine) as connection:
            found = connection.scalar(
                select(TOKEN.c.user_id).where(TOKEN.c.id == token_id)
            )
        return None if found is None else UserId(found)

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
                    used_from=row.used_from,
                    expires_ns=row.expires_ns,
                    permissions=_limits(row.permissions),
                )
                for row in connection.execute(query)
            )


def _count(connection: Connection, user_id: UserId) -> int:
    count = select(func.count()).select_from(TOKEN).where(TOKEN.c.user_id == user_id)
    return connection.execute(count).scalar_one()


def _limits(kept: str) -> frozenset[Permission] | None:
    """Return what a token was limited to; a permission of another version is none."""
    known = {str(one) for one in Permission}
    names = kept.split()
    return (
        frozenset(Permission(name) for name in names if name in known)
        if names
        else None
    )
