"""Metrics of the auditor, from what it wrote last.

Guarantees: figures of an auditor that is gone are not shown as if it were there.

Spec: docs/reference/metrics-and-health.md
"""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import GaugeMetricFamily, Metric

from vault.auditor.duties import DutyStatus
from vault.serving.standing import AuditorStanding, read_standing

_FIGURES = (
    ("publishing", "size", "callvault_audit_published_entries",
     "Entries that the newest published checkpoint covers"),
    ("publishing", "locks", "callvault_audit_store_locks",
     "1 if what is published is locked, in a store that was seen to lock"),
    ("monitoring", "seen", "callvault_audit_checked_entries",
     "Entries that the self-monitor has checked"),
    ("stamping", "stamped_size", "callvault_audit_stamped_entries",
     "Entries of the newest checkpoint that bears a time stamp"),
)  # fmt: skip


def auditor_metrics(path: Path) -> Iterator[Metric]:
    """Yield what the auditor at *path* told last, or just that it is gone."""
    standing = read_standing(path)
    alive = standing is not None and standing.is_alive
    yield GaugeMetricFamily(
        "callvault_auditor_alive",
        "1 while the auditor tells how it stands",
        value=float(alive),
    )
    if standing is None or not alive:
        return
    yield from _of_duties(standing)
    named = {duty.name: duty for duty in standing.duties}
    for duty, fact, name, text in _FIGURES:
        if duty in named:
            yield GaugeMetricFamily(name, text, value=_figure(named[duty], fact))


def _of_duties(standing: AuditorStanding) -> Iterator[Metric]:
    broken = GaugeMetricFamily(
        "callvault_audit_broken",
        "1 while this duty finds something that contradicts the trail",
        labels=["duty"],
    )
    failures = GaugeMetricFamily(
        "callvault_audit_duty_failures",
        "Rounds in a row that did not work",
        labels=["duty"],
    )
    success = GaugeMetricFamily(
        "callvault_audit_duty_success_seconds",
        "When this duty last worked, in seconds since the epoch",
        labels=["duty"],
    )
    for duty in standing.duties:
        broken.add_metric([duty.name], float(duty.contradicted))
        failures.add_metric([duty.name], duty.failures)
        success.add_metric([duty.name], (duty.last_success_ns or 0) / 1e9)
    yield broken
    yield failures
    yield success


def _figure(duty: DutyStatus, name: str) -> float:
    found = duty.facts.get(name)
    return float(found) if isinstance(found, bool | int) else 0.0
