"""How often one session or token may ask, wherever its requests come from.

Guarantees: a stolen credential gains nothing by coming from many addresses; memory is
bounded; safe to share between threads.

Left to others: the rate of an address (`vault.edge.gate`).
"""

import threading
import time
from collections.abc import Callable
from typing import Final, cast

from fastapi import Request

from vault.core.budgets import Budget
from vault.core.errors import ThrottledError

_MINUTE_S: Final = 60


class ActorRates:
    """Counts requests by the public id of a session or token."""

    def __init__(
        self, *, per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Let each actor ask *per_minute* times; *clock* says monotonic seconds."""
        self._budget = Budget(
            rate=per_minute / _MINUTE_S, burst=per_minute, cut_off_s=0
        )
        self._retry_after_s = max(1, round(_MINUTE_S / per_minute))
        self._clock = clock
        self._lock = threading.Lock()

    def spend(self, actor_id: str) -> None:
        """Count one request.

        Raises:
            ThrottledError: The actor has asked too often.
        """
        with self._lock:
            if not self._budget.spend(actor_id, self._clock()):
                raise ThrottledError(
                    "too many requests of this session or token",
                    retry_after_s=self._retry_after_s,
                )


def rates_of(request: Request) -> ActorRates:
    """Return the rates that the application was made with."""
    return cast("ActorRates", request.app.state.rates)
