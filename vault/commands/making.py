"""How a command makes a change of who may do what, as the operator.

Guarantees: no second person is asked, because whoever may type here may read the keys
as well; the trail says that it was the operator, before the change counts.

Left to others: the changes (`vault.access.policy_changes`).
"""

from typing import TypeVar

from vault.access.changes import Change, Done, carry_out
from vault.audit.entry import Draft
from vault.core.clock import system_clock_ns
from vault.serving.borrowed import operator
from vault.trust.client import WardenClient
from vault.wiring import Installation

R = TypeVar("R")


def make(
    installation: Installation, warden: WardenClient, change: Change[R]
) -> Done[R]:
    """Make *change*, with its leaf.

    Raises:
        VaultError: It can't be made, or the leaf is not durable: nothing was changed.
    """
    return carry_out(
        installation.catalog,
        change,
        by=operator().actor,
        now_ns=system_clock_ns(),
        tell=lambda done: warden.append(leaf_of(done)),
    )


def leaf_of(done: Done[R], **beside: str) -> Draft:
    """Return the leaf of a change that the operator makes."""
    return Draft(
        action=done.action,
        caller=operator(),
        recording=done.recording,
        detail=dict(done.detail) | beside,
        text=done.text,
    )
