"""Whether this machine's clock can be believed.

A call is dated by it: its month's keys, its retention, its place in the ledger.  A
clock that is behind what has already been written down is wrong, and a call that
would be dated by it is refused.

Guarantees: no call begins more than the tolerance before the newest time that this
installation has durably seen, nor within `SETTLE_S` after the clock was set back.
A clock that was set back and then left alone is believed again, unless it
contradicts what is written.

Left to others: a clock that is ahead.  Nothing here can tell it from time that has
passed; `callvault doctor` says whether the kernel believes it to be synchronised.

Spec: clock_gettime(2); RFC 8633 on why clocks are set back at all
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from vault.core.clock import NS_PER_S, Clock, system_clock_ns
from vault.core.errors import UnavailableError

STEPPED: Final = "clock.set-back"
BELIEVED: Final = "clock.believed"
SETTLE_S: Final = 60

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """Something durable that was made at a known time."""

    name: str
    "For people: ``the roster's signature``."

    newest_ns: Callable[[], int]
    "Nanoseconds since the epoch; 0 for nothing yet."


class ClockCheck:
    """Compares the clock with witnesses and with time that only passes."""

    def __init__(
        self,
        witnesses: Sequence[Witness] = (),
        *,
        tolerance_s: float,
        clock: Clock = system_clock_ns,
        steady_ns: Clock = time.monotonic_ns,
    ) -> None:
        self._newest_call_ns = 0
        own = Witness(name="the newest call", newest_ns=lambda: self._newest_call_ns)
        self._witnesses = (own, *witnesses)
        self._tolerance_ns = round(tolerance_s * NS_PER_S)
        self._clock = clock
        self._steady_ns = steady_ns
        self._offset_ns: int | None = None
        self._set_back_ns: int | None = None
        "By the steady clock: when it was found to have been set back."

    def note_call(self, started_ns: int) -> None:
        """Take note of a call that is durable in the spool."""
        self._newest_call_ns = max(self._newest_call_ns, started_ns)

    def check(self) -> None:
        """Return if calls can be dated.

        Raises:
            UnavailableError: The clock is wrong; the message says against what.
        """
        now_ns = self._clock()
        # 1. Not before what is written.
        for witness in self._witnesses:
            behind_ns = witness.newest_ns() - now_ns
            if behind_ns > self._tolerance_ns:
                raise UnavailableError(
                    f"the clock is {behind_ns // NS_PER_S} s behind {witness.name}",
                    retry_after_s=SETTLE_S,
                )
        # 2. Not just set back: which of the two times is right shows soon.
        self._compare(now_ns, self._steady_ns())

    def _compare(self, now_ns: int, steady_ns: int) -> None:
        offset_ns = now_ns - steady_ns
        back_ns = (self._offset_ns or offset_ns) - offset_ns
        if back_ns <= self._tolerance_ns:
            # Also what a daemon slews, little by little.
            self._offset_ns, self._set_back_ns = offset_ns, None
            return
        if self._set_back_ns is None:
            self._set_back_ns = steady_ns
            _log.error(STEPPED, back_s=back_ns // NS_PER_S)
        if steady_ns - self._set_back_ns < SETTLE_S * NS_PER_S:
            raise UnavailableError(
                f"the clock was set back by {back_ns // NS_PER_S} s",
                retry_after_s=SETTLE_S,
            )
        _log.warning(BELIEVED, back_s=back_ns // NS_PER_S)
        self._offset_ns, self._set_back_ns = offset_ns, None
