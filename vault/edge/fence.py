"""Which addresses may come at all: two fences, and both must let one in.

The settings draw one, administrators the other; so an administrator can shut out more
and never let in what the settings keep out.

Guarantees:
    * Rules are at most two seconds old, or as old as the database is away.
    * Nothing of the event loop waits for the database for longer than a second,
      and nobody does while older rules are known.
    * Where rules were never read, nobody comes in but those they would spare.

Left to others: what an address is (`vault.edge.origin`), the rules
(`vault.access.address_rules`).
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

import structlog
from anyio.to_thread import run_sync

from vault.core.errors import VaultError
from vault.core.prefixes import LOOPBACK, AddressLists, Prefixes
from vault.core.problems import Problem
from vault.edge.config import EdgeConfig
from vault.edge.problems import ADDRESS_REFUSED, RULES_UNKNOWN

RulesSource = Callable[[], AddressLists]
"Reads the rules; may block, and raises `VaultError` where it cannot."

RULES_STALE: Final = "edge.rules.stale"
_FRESH_S: Final = 2.0
_PATIENCE_S: Final = 1.0
_FIRST_PATIENCE_S: Final = 10.0
"While there are none to go by: a late answer is better than none."
_log = structlog.get_logger()


class Fence:
    """Lets addresses in; used on the event loop."""

    def __init__(
        self,
        config: EdgeConfig,
        rules: RulesSource | None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take both fences.

        Args:
            config: The settings' fence.
            rules: The administrators'; None where there is none.
            clock: Monotonic seconds.

        Raises:
            InvalidInputError: A prefix of the settings is none.
        """
        self._settings = AddressLists(
            allow=Prefixes.parse(config.allow), deny=Prefixes.parse(config.deny)
        )
        self._spares_loopback = config.spares_loopback
        self._source = rules
        self._clock = clock
        self._rules: AddressLists | None = None if rules else AddressLists()
        self._read_s = float("-inf")

    async def problem(self, address: str) -> Problem | None:
        """Return why *address* may not come, or None."""
        if not self._settings.admits(address):
            return ADDRESS_REFUSED
        if self._spares_loopback and address in LOOPBACK:
            return None
        if self._source and self._clock() - self._read_s > _FRESH_S:
            await self._refresh(self._source)
        if self._rules is None:
            return RULES_UNKNOWN
        return None if self._rules.admits(address) else ADDRESS_REFUSED

    async def _refresh(self, source: RulesSource) -> None:
        # Whoever comes while one reads goes by the older rules; only where there are
        # none yet does everybody read.
        patience_s = _FIRST_PATIENCE_S
        if self._rules is not None:
            self._read_s, patience_s = self._clock(), _PATIENCE_S
        try:
            async with asyncio.timeout(patience_s):
                self._rules = await run_sync(source, abandon_on_cancel=True)
        except (VaultError, TimeoutError) as error:
            _log.warning(RULES_STALE, problem=type(error).__name__)
        else:
            self._read_s = self._clock()
