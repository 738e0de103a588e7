"""Sessions that stand on a provider's word: how long, how well proved, and their end.

Guarantees:
    * Such a session ends no later than the settings say, so that roles are asked for
      again; it is no better proved than the provider told.
    * When the provider says that a session of its own, or a person, has gone, every
      session here that stands on that ends in one transaction, with its grants.
    * The same word counts once, however often it is sent.

Left to others: whether the provider has said so (`vault.access.id_tokens`), other
changes of sessions (`vault.access.sessions`), the audit leaves (the caller's room).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Engine, delete, insert, select, update

from vault.access.factor_rows import count_factors
from vault.access.id_tokens import MAX_AGE_S, SKEW_S
from vault.access.jws import refused
from vault.access.methods import SECOND_FACTORS
from vault.access.sessions import SessionOpened
from vault.access.tables import CEREMONY, MEDIA_GRANT, PERSON, SESSION
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import ConflictError
from vault.core.ids import UserId
from vault.database.engine import transaction

_USED_WORD: Final = "oidc-logout"
_REMEMBERED_S: Final = MAX_AGE_S + 3 * SKEW_S
"By then the token is too old to be taken."
_CONTEXT: Final = b"callvault/v1\0oidc-logout\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """One that stood on the provider's word."""

    id: str
    user_id: UserId


class ProviderSessions:
    """Those sessions in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def bind(
        self,
        opened: SessionOpened,
        *,
        provider_session: str,
        authenticated_s: float,
        max_s: float,
    ) -> SessionOpened:
        """Bind a new session to what the provider said, before anybody gets it.

        Args:
            opened: As it was opened.
            provider_session: What the provider calls its own; may be empty.
            authenticated_s: When the person proved it there, in seconds since the
                epoch; 0 where the provider does not tell.
            max_s: Seconds after which the provider is to be asked again.
        """
        now_ns, session = self._clock(), opened.session
        with transaction(self._engine) as connection:
            # Who has set up a factor here does not come in by half, whatever way.
            has_factor = count_factors(connection, session.user_id) > 0
            bound = replace(
                session,
                expires_ns=min(session.expires_ns, now_ns + int(max_s * NS_PER_S)),
                authenticated_ns=min(now_ns, max(0, int(authenticated_s * NS_PER_S))),
                is_restricted=session.is_restricted
                or (has_factor and not SECOND_FACTORS & {*session.methods}),
            )
            connection.execute(
                update(SESSION)
                .where(SESSION.c.id == session.id)
                .values(
                    provider_session=provider_session,
                    expires_ns=bound.expires_ns,
                    authenticated_ns=bound.authenticated_ns,
                    is_restricted=bound.is_restricted,
                )
            )
        return replace(opened, session=bound)

    def end(
        self, *, external_id: str, provider_session: str, source: str
    ) -> Sequence[SessionEnded]:
        """End every session that stood on it.

        Args:
            external_id: Key of the person's account; empty for whoever it was.
            provider_session: The provider's session; empty for all of the person.
            source: Whose people they are.

        Raises:
            ValueError: Neither of them: that would be everybody.
        """
        if not external_id and not provider_session:
            raise ValueError("whose sessions?")
        theirs = select(SESSION.c.id, SESSION.c.user_id).join(
            PERSON, PERSON.c.id == SESSION.c.user_id
        )
        theirs = theirs.where(PERSON.c.source == source)
        if external_id:
            theirs = theirs.where(PERSON.c.external_id == external_id)
        if provider_session:
            theirs = theirs.where(SESSION.c.provider_session == provider_session)
        with transaction(self._engine) as connection:
            found = connection.execute(theirs).all()
            ids = [row.id for row in found]
            connection.execute(delete(SESSION).where(SESSION.c.id.in_(ids)))
            connection.execute(
                delete(MEDIA_GRANT).where(MEDIA_GRANT.c.session_id.in_(ids))
            )
        return [SessionEnded(id=row.id, user_id=UserId(row.user_id)) for row in found]

    def take_once(self, token_id: str) -> None:
        """Take the provider's word whose ``jti`` is *token_id*.

        Raises:
            IdentityRefusedError: It was taken before.
        """
        digest = hashlib.sha256(_CONTEXT + token_id.encode()).digest()
        now_ns = self._clock()
        try:
            with transaction(self._engine) as connection:
                connection.execute(
                    delete(CEREMONY).where(CEREMONY.c.expires_ns <= now_ns)
                )
                connection.execute(
                    insert(CEREMONY).values(
                        secret_sha256=digest,
                        kind=_USED_WORD,
                        content="{}",
                        expires_ns=now_ns + _REMEMBERED_S * NS_PER_S,
                    )
                )
        except ConflictError:
            raise refused("sent-before") from None
