"""How long to wait before trying again: doubling, capped, with jitter."""

import random


class Backoff:
    """Counts failures in a row and says how long to wait after each."""

    def __init__(self, *, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._failures = 0

    @property
    def failing(self) -> bool:
        """Whether the last try failed."""
        return self._failures > 0

    def next_s(self) -> float:
        """Count a failure and return the wait in seconds.

        Half of it is random, so that many taps do not come back in step.
        """
        step_s: float = min(
            self._longest_s, self._first_s * float(1 << min(self._failures, 30))
        )
        self._failures += 1
        return step_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        """Note a success."""
        self._failures = 0
