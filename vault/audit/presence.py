"""One writer of a log among all machines: PostgreSQL's advisory lock.

Two machines do not see each other's lock files.  SQLite is on one machine, where
the lock beside the mark (`vault.audit.mark`) is enough, and nothing is held here.

Guarantees: the lock is on a connection of its own and ends with it; who asks again
after the connection was lost takes it anew or is refused.

Left to others: the comparison of the head at every commit (`vault.audit.commit`).
"""

from contextlib import suppress
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

from vault.core.errors import ConflictError, DatabaseUnavailableError

_ADVISORY_LOCK: Final = 0x0CA11_A0D17


class Presence:
    """The right to write the log behind an engine, held by one process at a time."""

    def __init__(self, engine: Engine) -> None:
        """Know the database; nothing is held yet."""
        self._engine = engine
        self._connection: Connection | None = None

    def take(self) -> None:
        """Hold the lock, anew where the connection was lost.

        Raises:
            ConflictError: Another process writes this log.
            DatabaseUnavailableError: The database failed.
        """
        if self.holds():
            return
        self.leave()
        query = text("SELECT pg_try_advisory_lock(:key)")
        try:
            self._connection = self._engine.connect()
            taken = self._connection.execute(query, {"key": _ADVISORY_LOCK}).scalar()
            self._connection.commit()
        except SQLAlchemyError as exc:
            raise DatabaseUnavailableError(
                f"the database failed ({type(exc).__name__})"
            ) from None
        if not taken:
            self.leave()
            raise ConflictError("another process writes this log")

    def holds(self) -> bool:
        """Tell whether the lock is held; SQLite needs none."""
        if self._connection is None:
            return self._engine.dialect.name != "postgresql"
        try:
            self._connection.execute(text("SELECT 1"))
            self._connection.commit()
        except SQLAlchemyError:
            return False
        return True

    def leave(self) -> None:
        """Let the next writer in."""
        if self._connection is None:
            return
        with suppress(SQLAlchemyError):
            query = text("SELECT pg_advisory_unlock(:key)")
            self._connection.execute(query, {"key": _ADVISORY_LOCK})
        # Not back into the pool, in case the lock lives on there.
        self._connection.invalidate()
        self._connection.close()
        self._connection = None
