"""Wrong answers to "who are you" by devices: ten, then one in half a minute.

For secrets of 256 random bits, in memory: no call waits for a database.  They are not
guessed; what this saves is our time, and a PBX whose token was mistyped gets in soon
after it was put right.  People's passwords are counted elsewhere (`vault.access`).

Guarantees: as `vault.core.budgets`: memory is bounded, and nobody is cut off by what
others do, as long as their keys differ.

Left to others: what a key is: it MUST name a place as well, or strangers could shut
a device out.

Spec: docs/adr/0021-guesses.md
"""

from typing import Final

from vault.core.budgets import Budget

_BURST: Final = 9
_RATE_PER_S: Final = 1 / 30
_CUT_OFF_S: Final = 60.0


class Guesses:
    """Counts wrong answers by key, and says who is not looked at for a minute."""

    def __init__(self, *, times: int = 1) -> None:
        """Bear *times* as many as one key is allowed."""
        self._budget = Budget(
            rate=_RATE_PER_S * times, burst=_BURST * times, cut_off_s=_CUT_OFF_S
        )

    def are_too_many(self, key: str, now_s: float) -> bool:
        """Whether no answer of *key* is looked at now; *now_s* is monotonic."""
        return self._budget.is_cut_off(key, now_s)

    def wrong(self, key: str, now_s: float) -> None:
        """Count a wrong answer of *key*."""
        self._budget.spend(key, now_s)
