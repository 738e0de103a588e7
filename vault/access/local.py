"""The vault's own people: the source ``local``.

Guarantees: a name that does not exist, one that is another source's, a disabled
account and a wrong password cost the same hash.

Left to others: how often somebody may try (`vault.access.throttle`), rules about new
passwords (`vault.access.password_rules`).
"""

from sqlalchemy import Engine, select, update

from vault.access.authenticators import Verified
from vault.access.names import name_key
from vault.access.passwords import Passwords
from vault.access.policy import LOCAL
from vault.access.tables import PERSON
from vault.core.errors import NotAuthenticatedError
from vault.core.ids import UserId
from vault.database.engine import reading, transaction


class LocalPeople:
    """Checks the passwords that this vault keeps; safe to share between threads."""

    def __init__(self, engine: Engine, passwords: Passwords) -> None:
        self._engine = engine
        self._passwords = passwords

    @property
    def name(self) -> str:
        """The source."""
        return LOCAL

    def authenticate(self, name: str, password: str, origin: str) -> Verified | None:
        """Check *password*; see `vault.access.authenticators.Authenticator`."""
        del origin
        with reading(self._engine) as connection:
            row = connection.execute(
                select(PERSON).where(
                    PERSON.c.name_key == name_key(name), PERSON.c.source == LOCAL
                )
            ).first()
        stored = None if row is None or row.disabled else row.password_hash
        try:
            better = self._passwords.verify(stored, password)
        except NotAuthenticatedError:
            if row is None:
                return None
            raise
        if row is None:
            return None
        if better is not None:
            self._keep(UserId(row.id), row.password_hash, better)
        return Verified(source=LOCAL, external_id=row.id, name=row.name)

    def _keep(self, user_id: UserId, old: str, new: str) -> None:
        with transaction(self._engine) as connection:
            connection.execute(
                update(PERSON)
                # A password changed at this very moment wins.
                .where(PERSON.c.id == user_id, PERSON.c.password_hash == old)
                .values(password_hash=new)
            )
