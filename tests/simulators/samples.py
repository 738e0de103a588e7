"""Whether two samples come from one distribution: Kolmogorov and Smirnov's test.

Spec: Press et al., Numerical Recipes, section 14.3 (two samples, asymptotic).
"""

import math
from bisect import bisect_right
from collections.abc import Sequence

_ENOUGH_TERMS = 100


def same_distribution_p(one: Sequence[float], other: Sequence[float]) -> float:
    """Return how likely samples differ so much if nothing but chance does it."""
    first, second = sorted(one), sorted(other)
    distance = max(
        abs(bisect_right(first, x) / len(first) - bisect_right(second, x) / len(second))
        for x in (*first, *second)
    )
    n = math.sqrt(len(first) * len(second) / (len(first) + len(second)))
    scaled = (n + 0.12 + 0.11 / n) * distance
    tail = sum(
        (-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2)
        for k in range(1, _ENOUGH_TERMS)
    )
    return min(1.0, max(0.0, 2 * tail)) if scaled > 0.2 else 1.0
