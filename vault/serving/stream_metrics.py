"""Metrics of the stream to a SIEM, from what the auditor has written down last.

Guarantees: where no auditor is at work the stream does not work, whatever it wrote.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

from vault.auditor.streaming import Streaming
from vault.serving.standing import read_standing

_FIGURES: Final = {
    "lag_entries": (
        "callvault_audit_stream_lag_entries",
        "Entries of the trail that are not known to be in the SIEM",
    ),
    "lag_s": (
        "callvault_audit_stream_lag_seconds",
        "Age of the oldest of them that was or should be on its way",
    ),
    "alarms": (
        "callvault_audit_stream_alarms",
        "Messages sent about entries that are broken or missing, since the start",
    ),
}


def stream_metrics(status_path: Path) -> Iterator[Metric]:
    """Yield how the stream stands, by what the auditor wrote at *status_path*."""
    standing = read_standing(status_path)
    duties = standing.duties if standing is not None and standing.is_alive else ()
    duty = next((one for one in duties if one.name == Streaming.name), None)
    works = duty is not None and not duty.last_error
    yield GaugeMetricFamily(
        "callvault_audit_stream_working",
        "1 while the trail goes to the SIEM",
        value=float(works),
    )
    for fact, (name, text) in _FIGURES.items():
        value = None if duty is None else duty.facts.get(fact)
        if isinstance(value, int):
            yield GaugeMetricFamily(name, text, value=float(value))
