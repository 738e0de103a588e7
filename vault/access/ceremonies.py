"""What is under way between a browser and us: begun once, finished at most once.

A ceremony is something that we remember between two requests of one browser: the
challenge of a passkey, or the state of a sign-in that another server carries out.
The browser keeps the secret of it in a cookie that no script reads; the database has
the SHA-256 alone.

Guarantees:
    * A ceremony is finished by the browser that began it, for what it was begun, by
      the person for whom it was begun, in time, and once.
    * Whoever finishes one has used it up, also where what they brought was wrong.
    * At most `MAX_OPEN` of a kind are under way: nobody fills the database, and who
      keeps one way in busy leaves the others open.

Left to others: what is in it, the cookie (`vault.web`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import Final

from sqlalchemy import Engine, delete, func, insert, select

from vault.access.credentials import SecretKind, new_secret, secret_digest
from vault.access.tables import CEREMONY
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import NotAuthenticatedError, ThrottledError
from vault.core.ids import UserId
from vault.database.engine import transaction

TTL_S: Final = 300
"Seconds in which a ceremony must be finished, where no other number is named."

MAX_OPEN: Final = 20_000
_WAIT_S: Final = 60
_REFUSED: Final = "it was begun elsewhere, is finished already, or took too long"


@unique
class CeremonyKind(StrEnum):
    """What a ceremony is for; one begun for this is never finished as that."""

    OIDC_SIGN_IN = "oidc-sign-in"
    PASSKEY_ADD = "passkey-add"
    PASSKEY_SIGN_IN = "passkey-sign-in"
    PASSKEY_STEP_UP = "passkey-step-up"
    PASSKEY_UNLOCK = "passkey-unlock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceremony:
    """What was remembered."""

    user_id: UserId | None
    "For whom it was begun; None where that is to be found out."
    content: Mapping[str, str] = field(repr=False)


class Ceremonies:
    """The ceremonies in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def begin(
        self,
        kind: CeremonyKind,
        content: Mapping[str, str],
        *,
        user_id: UserId | None = None,
        ttl_s: int = TTL_S,
    ) -> str:
        """Remember *content* and return the secret for the browser's cookie.

        Args:
            kind: What it is for.
            content: What to remember.
            user_id: Who must finish it; None: whoever holds the secret.
            ttl_s: Seconds in which it must be finished.

        Raises:
            ThrottledError: Too many of this kind are under way.
        """
        now_ns = self._clock()
        secret = new_secret(SecretKind.CEREMONY)
        with transaction(self._engine) as connection:
            connection.execute(delete(CEREMONY).where(CEREMONY.c.expires_ns <= now_ns))
            open_now = connection.scalar(
                select(func.count())
                .select_from(CEREMONY)
                .where(CEREMONY.c.kind == str(kind))
            )
            if open_now is not None and open_now >= MAX_OPEN:
                raise ThrottledError("too many at once", retry_after_s=_WAIT_S)
            connection.execute(
                insert(CEREMONY).values(
                    secret_sha256=secret_digest(secret),
                    kind=str(kind),
                    user_id=user_id,
                    content=json.dumps(dict(content)),
                    expires_ns=now_ns + ttl_s * NS_PER_S,
                )
            )
        return secret

    def finish(
        self, secret: str, kind: CeremonyKind, *, user_id: UserId | None = None
    ) -> Ceremony:
        """Use up a ceremony and return what was remembered.

        Args:
            secret: From the browser's cookie.
            kind: For what.
            user_id: Who finishes it; None where nobody is signed in.

        Raises:
            NotAuthenticatedError: There is none, or it is for something else or
                somebody else; it is used up all the same.
        """
        now_ns = self._clock()
        with transaction(self._engine) as connection:
            # Of two that finish it at once, one gets the row.
            row = connection.execute(
                delete(CEREMONY)
                .where(CEREMONY.c.secret_sha256 == secret_digest(secret))
                .returning(
                    CEREMONY.c.kind,
                    CEREMONY.c.user_id,
                    CEREMONY.c.content,
                    CEREMONY.c.expires_ns,
                )
            ).first()
        if (
            row is None
            or now_ns >= row.expires_ns
            or (row.kind, row.user_id) != (str(kind), user_id)
        ):
            raise NotAuthenticatedError(_REFUSED)
        return Ceremony(user_id=user_id, content=json.loads(row.content))
