"""Searches of the trail that somebody keeps under a name of their own.

Guarantees: everybody has their own and sees no other; a query is kept with ids in
place of names, as whoever keeps it hands it in.

Left to others: what a query means, and who may read the trail (`vault.web`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Engine, delete, func, insert, select

from vault.access.names import checked_title
from vault.access.tables import SAVED_SEARCH
from vault.audit.language import MAX_TEXT
from vault.core.clock import Clock, system_clock_ns
from vault.core.errors import ConflictError, InvalidInputError, NotFoundError
from vault.core.ids import UserId, new_id
from vault.database.engine import reading, transaction

MOST: Final = 50
"Of one person."


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedSearch:
    """One search as its owner sees it."""

    id: str
    name: str
    query: str


class SavedSearches:
    """The searches in the database; safe to share between threads."""

    def __init__(self, engine: Engine, *, clock: Clock = system_clock_ns) -> None:
        self._engine = engine
        self._clock = clock

    def add(self, user_id: UserId, name: str, query: str) -> SavedSearch:
        """Keep a search for somebody.

        Args:
            user_id: Whose.
            name: What they call it.
            query: In the language of the trail, with ids for names.

        Raises:
            InvalidInputError: Not a name, or the query is too long.
            ConflictError: They have one of that name, or 50 of them.
        """
        if len(query) > MAX_TEXT:
            raise InvalidInputError(f"a query has {MAX_TEXT} characters at most")
        added = SavedSearch(id=new_id(), name=checked_title(name), query=query)
        own = SAVED_SEARCH.c.user_id == user_id
        with transaction(self._engine) as connection:
            count = select(func.count()).select_from(SAVED_SEARCH).where(own)
            if connection.execute(count).scalar_one() >= MOST:
                raise ConflictError(f"{MOST} searches are kept: remove one first")
            same = count.where(SAVED_SEARCH.c.name == added.name)
            if connection.execute(same).scalar_one():
                raise ConflictError("a search of that name is kept: take another name")
            connection.execute(
                insert(SAVED_SEARCH).values(
                    id=added.id,
                    user_id=user_id,
                    name=added.name,
                    query=added.query,
                    created_ns=self._clock(),
                )
            )
        return added

    def of(self, user_id: UserId) -> Sequence[SavedSearch]:
        """Return the searches of one person, by name."""
        statement = (
            select(SAVED_SEARCH.c.id, SAVED_SEARCH.c.name, SAVED_SEARCH.c.query)
            .where(SAVED_SEARCH.c.user_id == user_id)
            .order_by(SAVED_SEARCH.c.name)
            .limit(MOST)
        )
        with reading(self._engine) as connection:
            return [
                SavedSearch(id=row.id, name=row.name, query=row.query)
                for row in connection.execute(statement)
            ]

    def remove(self, user_id: UserId, search_id: str) -> None:
        """Remove one of somebody's searches.

        Raises:
            NotFoundError: They have none of that id.
        """
        with transaction(self._engine) as connection:
            removed = connection.execute(
                delete(SAVED_SEARCH).where(
                    SAVED_SEARCH.c.id == search_id, SAVED_SEARCH.c.user_id == user_id
                )
            ).rowcount
        if not removed:
            raise NotFoundError("no such search")
