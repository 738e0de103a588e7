"""How much an address may send: a budget each, and one for all strangers together.

Addresses that have never been answered with success share one more bucket, so that a
flood from a thousand addresses leaves what the known ones need.

Guarantees: memory is bounded, as `vault.core.budgets` says; no decision reads a
header: an address is what the kernel says.

Left to others: budgets of devices (the application), connections
(`vault.sip.connections`).  A datagram of a sender that is cut off costs 3 µs in all.
"""

from collections import OrderedDict
from typing import Final

from vault.core.budgets import Budget

_KNOWN_S: Final = 86_400.0
_MAX_KNOWN: Final = 8192


class AddressBudget:
    """What one address may send, and what all strangers together may."""

    def __init__(
        self, *, rate: float, burst: float, cut_off_s: float, stranger_rate: float
    ) -> None:
        """Give each address *rate* and *burst*; strangers share *stranger_rate*."""
        self._each = Budget(rate=rate, burst=burst, cut_off_s=cut_off_s)
        self._strangers = Budget(
            rate=stranger_rate, burst=stranger_rate, cut_off_s=0, max_keys=1
        )
        self._known: OrderedDict[str, float] = OrderedDict()
        "When an address was last answered with success; oldest first."

    def spend(self, network: str, now_s: float) -> bool:
        """Take a message's token; return whether it is looked at.

        Args:
            network: As `vault.sip.addresses.network_of` says.
            now_s: Monotonic time.
        """
        if not self._each.spend(network, now_s):
            return False
        if network in self._known:
            return True
        return self._strangers.spend("", now_s)

    def know(self, network: str, now_s: float) -> None:
        """Take *network* for one of ours: a session of its was accepted."""
        self._known[network] = now_s
        self._known.move_to_end(network)
        while len(self._known) > _MAX_KNOWN or (
            next(iter(self._known.values())) < now_s - _KNOWN_S
        ):
            self._known.popitem(last=False)

    def is_known(self, network: str) -> bool:
        """Whether a session of *network* was accepted, not long ago."""
        return network in self._known

    def is_cut_off(self, network: str, now_s: float) -> bool:
        """Whether nothing of *network* is looked at now."""
        return self._each.is_cut_off(network, now_s)

    def cut_off(self, now_s: float) -> int:
        """Return how many addresses are not listened to now."""
        return self._each.cut_off(now_s)
