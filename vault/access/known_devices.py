"""Browsers in which somebody signed in before: they are not locked out with the rest.

Whoever guesses at a name uses up its budget, and would shut its owner out.  So a
browser keeps a secret from the last sign-in; an attempt that shows it, for the same
person, is counted apart (`vault.access.throttle`).  It proves nothing else: who shows
it still needs the password and the code.

Guarantees: the secret is kept as a digest, ends a year after its last use, and speaks
for one person only.  A person has at most 20; the one unused for longest gives way.

Left to others: the cookie (`vault.web`), forgetting a person's devices with their
account (the rows of a disabled person count for nothing).

Spec: OWASP, "Device cookies".
"""

from typing import Final

from sqlalchemy import Engine, delete, insert, select, update

from vault.access.credentials import SecretKind, new_secret, secret_digest
from vault.access.names import name_key
from vault.access.tables import KNOWN_DEVICE, PERSON
from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.ids import UserId, new_id
from vault.database.engine import reading, transaction

TTL_S: Final = 365 * 86_400
MOST_PER_PERSON: Final = 20

_TTL_NS: Final = TTL_S * NS_PER_S


class KnownDevices:
    """The known browsers in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def remember(self, user_id: UserId, secret: str = "") -> str:
        """Note that *user_id* just signed in, and return what the browser keeps.

        Args:
            user_id: Who.
            secret: What the browser showed, if anything: this person's lives on,
                anybody else's makes place for a new one.
        """
        now_ns = self._clock()
        with transaction(self._engine) as connection:
            connection.execute(
                delete(KNOWN_DEVICE).where(KNOWN_DEVICE.c.expires_ns <= now_ns)
            )
            renewed = connection.execute(
                update(KNOWN_DEVICE)
                .where(
                    KNOWN_DEVICE.c.secret_sha256 == secret_digest(secret),
                    KNOWN_DEVICE.c.user_id == user_id,
                )
                .values(used_ns=now_ns, expires_ns=now_ns + _TTL_NS)
            ).rowcount
            if renewed:
                return secret
            surplus = connection.scalars(
                select(KNOWN_DEVICE.c.id)
                .where(KNOWN_DEVICE.c.user_id == user_id)
                .order_by(KNOWN_DEVICE.c.used_ns.desc(), KNOWN_DEVICE.c.id)
                .offset(MOST_PER_PERSON - 1)
                .limit(MOST_PER_PERSON)
            ).all()
            if surplus:
                connection.execute(
                    delete(KNOWN_DEVICE).where(KNOWN_DEVICE.c.id.in_(surplus))
                )
            fresh = new_secret(SecretKind.KNOWN_DEVICE)
            connection.execute(
                insert(KNOWN_DEVICE).values(
                    id=new_id(),
                    secret_sha256=secret_digest(fresh),
                    user_id=user_id,
                    created_ns=now_ns,
                    used_ns=now_ns,
                    expires_ns=now_ns + _TTL_NS,
                )
            )
        return fresh

    def forget(self, user_id: UserId) -> int:
        """Forget every browser of a person; return how many."""
        with transaction(self._engine) as connection:
            return connection.execute(
                delete(KNOWN_DEVICE).where(KNOWN_DEVICE.c.user_id == user_id)
            ).rowcount


def recognised(engine: Engine, name: str, secret: str, *, now_ns: int) -> str | None:
    """Return the id of the browser that shows *secret* for the person called *name*.

    None where it shows nothing, or what is another's, over, or a disabled person's.
    """
    if not secret:
        return None
    with reading(engine) as connection:
        found: str | None = connection.scalar(
            select(KNOWN_DEVICE.c.id)
            .join(PERSON, PERSON.c.id == KNOWN_DEVICE.c.user_id)
            .where(
                KNOWN_DEVICE.c.secret_sha256 == secret_digest(secret),
                KNOWN_DEVICE.c.expires_ns > now_ns,
                PERSON.c.name_key == name_key(name),
                PERSON.c.disabled.is_(False),
            )
        )
    return found
