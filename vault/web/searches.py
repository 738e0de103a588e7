"""The searches of the trail that an officer keeps: their own, and nobody else's.

Guarantees: only who may read the trail keeps any; what is kept has ids and no names.

Left to others: keeping them (`vault.access.saved_searches`).
"""

from collections.abc import Sequence

from vault.access.permissions import Permission
from vault.access.saved_searches import SavedSearch
from vault.web.identity import Asker, insist
from vault.web.services import Services
from vault.web.trail import TrailDesk


class SearchDesk:
    """Serves kept searches to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        self._services = services
        self._asker = asker

    def items(self) -> Sequence[SavedSearch]:
        """Return the asker's searches, by name.

        Raises:
            AccessDeniedError: The asker may not read the trail.
        """
        self._insist()
        return self._services.saved_searches.of(self._asker.session.person.id)

    def add(self, name: str, text: str) -> SavedSearch:
        """Keep what *text* asks for under a name.

        Raises:
            AccessDeniedError: The asker may not read the trail.
            InvalidInputError: Not a query, one of nothing, or not a name.
            ConflictError: There is one of that name, or there are 50.
        """
        self._insist()
        reading = TrailDesk(self._services, self._asker).read(text)
        person = self._asker.session.person.id
        return self._services.saved_searches.add(person, name, reading.text)

    def remove(self, search_id: str) -> None:
        """Remove one of the asker's searches.

        Raises:
            AccessDeniedError: The asker may not read the trail.
            NotFoundError: They have none of that id.
        """
        self._insist()
        self._services.saved_searches.remove(self._asker.session.person.id, search_id)

    def _insist(self) -> None:
        insist(self._services, self._asker, Permission.AUDIT_TRAIL_READ)
