"""Metrics of witnesses, from what the auditor has written down last.

Guarantees: where no auditor is at work nothing is said to be cosigned lately.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

from vault.core.clock import Clock, system_clock_ns
from vault.serving.standing import read_standing

DUTY: Final = "witnessing"
_SECOND_NS: Final = 1_000_000_000


def witness_metrics(
    status_path: Path, *, clock: Clock = system_clock_ns
) -> Iterator[Metric]:
    """Yield how old the newest cosigned checkpoint is, and who lags."""
    standing = read_standing(status_path)
    duties = standing.duties if standing is not None and standing.is_alive else ()
    duty = next((one for one in duties if one.name == DUTY), None)
    facts = duty.facts if duty else {}
    yield GaugeMetricFamily(
        "callvault_audit_witness_contradicted",
        "1 while a witness says that it saw another log of this name",
        value=float(bool(duty and duty.contradicted)),
    )
    size, time_s = facts.get("cosigned_size"), facts.get("cosigned_time_s")
    if isinstance(size, int) and isinstance(time_s, int) and time_s:
        yield GaugeMetricFamily(
            "callvault_audit_cosigned_entries",
            "Entries of the newest checkpoint that enough witnesses cosigned",
            value=float(size),
        )
        yield GaugeMetricFamily(
            "callvault_audit_cosigned_age_seconds",
            "Time since the last of them did, by its clock",
            value=max(0.0, clock() / _SECOND_NS - time_s),
        )
    working = GaugeMetricFamily(
        "callvault_audit_witness_working",
        "1 while this witness cosigns what it is asked to",
        labels=["witness"],
    )
    witnesses = facts.get("witnesses")
    for name, one in (witnesses if isinstance(witnesses, dict) else {}).items():
        working.add_metric([name], float(one.get("error") == ""))
    yield working
