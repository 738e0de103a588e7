"""infra/prometheus names metrics that exist, with states that exist."""

import re
from pathlib import Path
from typing import Final

from vault.core.flow import RecordingState
from vault.spool.ledger import SpoolState

ROOT: Final = Path(__file__).parents[2]
ALERTS: Final = (ROOT / "infra" / "prometheus" / "alerts.yaml").read_text()
PAGE: Final = (ROOT / "docs" / "reference" / "metrics-and-health.md").read_text()
CODE: Final = "".join(
    path.read_text()
    for path in sorted((ROOT / "vault" / "serving").glob("*metrics.py"))
)
METRIC: Final = re.compile(r"\bcallvault_[a-z_]+")


def test_every_alert_is_on_a_metric_that_is_exported() -> None:
    expressions = re.findall(r"^ +expr: (.+)$", ALERTS, re.MULTILINE)
    named = {name for line in expressions for name in METRIC.findall(line)}

    assert named
    assert set() == named - set(METRIC.findall(CODE))


def test_the_page_lists_every_metric_and_no_other() -> None:
    listed = re.findall(r"^\| `(callvault_[a-z_]+)` \|", PAGE, re.MULTILINE)

    assert set(METRIC.findall(CODE)) == set(listed)
    assert len(listed) == len(set(listed))


def test_states_in_alerts_are_states() -> None:
    known = {str(state) for state in (*RecordingState, *SpoolState)}

    assert set() == set(re.findall(r'state="(\w+)"', ALERTS)) - known
