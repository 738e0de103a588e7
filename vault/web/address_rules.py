"""The rules about addresses for administrators: read and changed.

Guarantees: only with the right to change who may do what; a change is on the trail
before it counts, and none shuts out the address that it comes from.

Left to others: the rules (`vault.access.address_rules`), HTTP.
"""

from typing import Final

from vault.access.address_rules import AddressRule, AddressRuleChanged
from vault.access.permissions import Permission
from vault.audit.entry import Action, Draft
from vault.web.identity import Asker, insist
from vault.web.services import Services

RIGHT: Final = Permission.ACCESS_POLICY_EDIT


class AddressRuleDesk:
    """Serves the rules to one asker."""

    def __init__(self, services: Services, asker: Asker) -> None:
        """Take who asks.

        Raises:
            AccessDeniedError: The asker is no administrator.
        """
        insist(services, asker, RIGHT)
        self._services = services
        self._asker = asker

    def list(self) -> tuple[AddressRule, ...]:
        """Return all rules by listener, verdict and prefix."""
        return self._services.address_rules.list()

    def add(self, listener: str, verdict: str, prefix: str) -> AddressRuleChanged:
        """Make a rule; see `AddressRules.add`.

        Raises:
            AuditUnavailableError: The leaf is not durable: nothing was changed.
        """
        return self._services.address_rules.add(
            listener,
            verdict,
            prefix,
            asker=self._asker.origin,
            tell=lambda done: self._tell(Action.ACCESS_ADDRESS_ADDED, done),
        )

    def remove(self, rule_id: str) -> AddressRuleChanged:
        """Take a rule away; see `AddressRules.remove`.

        Raises:
            AuditUnavailableError: The leaf is not durable: nothing was changed.
        """
        return self._services.address_rules.remove(
            rule_id,
            asker=self._asker.origin,
            tell=lambda done: self._tell(Action.ACCESS_ADDRESS_REMOVED, done),
        )

    def _tell(self, action: Action, changed: AddressRuleChanged) -> None:
        self._services.warden.append(
            Draft(
                action=action,
                caller=self._asker.caller,
                right=RIGHT,
                detail={"rule": changed.rule.id, "listener": changed.rule.listener},
                text=changed.texts(),
            )
        )
