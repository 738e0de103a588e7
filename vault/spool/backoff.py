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

        All of it is random ("full jitter"): a store that comes back is not met by
        every recording of every tap at once.
        """
        step_s: float = min(
            self._longest_s, self._first_s * float(1 << min(self._failures, 30))
        )
        self._failures += 1
        return step_s * random.random()  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        """Note a success."""
        self._failures = 0
