"""The table of extensions for administrators: read, changed, tried out.

Guarantees: only with the right to change who may do what, because whose a call is
says who may hear it; a change is on the trail before it counts.

Left to others: the table (`vault.access.extensions`), HTTP.
"""

from typing import Final

from vault.access.extensions import Extension, ExtensionChanged
from vault.access.permissions import Permission
from vault.audit.entry import Action, Draft
from vault.web.identity import Asker, insist
from vault.web.services import Services

RIGHT: Final = Permission.ACCESS_POLICY_EDIT


class ExtensionDesk:
    """Serves the table to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        """Take who asks.

        Raises:
            AccessDeniedError: The asker is no administrator.
        """
        insist(services, asker, RIGHT)
        self._services = services
        self._asker = asker

    def list(self) -> tuple[Extension, ...]:
        """Return all entries by pattern."""
        return self._services.extensions.list()

    def match(self, address: str) -> Extension | None:
        """Return whose *address* is."""
        return self._services.extensions.table().match(address)

    def put(self, pattern: str, *, agent: str, workgroup: str) -> ExtensionChanged:
        """Make or replace an entry; see `Extensions.put`.

        Raises:
            ConflictError: The asker would hear calls by it: somebody else does it.
            AuditUnavailableError: The leaf is not durable: nothing was changed.
        """
        return self._services.extensions.put(
            pattern,
            agent=agent,
            workgroup=workgroup,
            asker=self._asker.session.user_id,
            tell=lambda done: self._tell(Action.ACCESS_EXTENSION_SET, done),
        )

    def remove(self, pattern_or_id: str) -> ExtensionChanged:
        """Take an entry away; see `Extensions.remove`.

        Raises:
            ConflictError: The asker would hear calls by it: somebody else does it.
            AuditUnavailableError: The leaf is not durable: nothing was changed.
        """
        return self._services.extensions.remove(
            pattern_or_id,
            asker=self._asker.session.user_id,
            tell=lambda done: self._tell(Action.ACCESS_EXTENSION_REMOVED, done),
        )

    def _tell(self, action: Action, changed: ExtensionChanged) -> None:
        self._services.warden.append(
            Draft(
                action=action,
                caller=self._asker.caller,
                right=RIGHT,
                detail={"extension": changed.entry.id},
                text=changed.texts(),
            )
        )
