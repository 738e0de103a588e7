"""Reports of the last minutes: what was counted once is not counted for each reader.

Guarantees: nothing is older than `KEPT_S`; one thread counts while others wait for it.

Left to others: what is counted (`vault.web.trail_report`), who may see it.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from vault.audit.anomalies import Findings
from vault.core.clock import NS_PER_S

KEPT_S: Final = 180


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Findings, and what they were found in."""

    findings: Findings
    since: datetime
    until: datetime
    entries: int
    "How many were looked at."
    is_whole: bool
    "False where there were more entries than one report looks at."


@dataclass(slots=True)
class KeptReports:
    """Reports by window; safe to share between threads."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _kept: dict[str, tuple[int, Report]] = field(default_factory=dict)

    def get(self, window: str, now_ns: int, make: Callable[[], Report]) -> Report:
        """Return the report of *window*, made within the last minutes."""
        with self._lock:
            made_ns, report = self._kept.get(window, (0, None))
            if report is None or not 0 <= now_ns - made_ns < KEPT_S * NS_PER_S:
                report = make()
                self._kept[window] = now_ns, report
            return report
