"""How the stream stands, as Prometheus reads it."""

from pathlib import Path

from vault.auditor.duties import DutyStatus
from vault.serving.standing import write_standing
from vault.serving.stream_metrics import stream_metrics

WORKING = DutyStatus(
    name="streaming", facts={"lag_entries": 3, "lag_s": 4, "alarms": 0}
)
FAILING = DutyStatus(
    name="streaming", failures=2, last_error="the receiver: dns", facts={"lag_s": 9}
)


def read(path: Path) -> dict[str, float]:
    return {
        sample.name.removeprefix("callvault_audit_stream_"): sample.value
        for metric in stream_metrics(path)
        for sample in metric.samples
    }


def test_a_stream_that_works_says_how_far_it_is_behind(tmp_path: Path) -> None:
    write_standing(tmp_path / "status.json", [WORKING])

    assert {"working": 1.0, "lag_entries": 3.0, "lag_seconds": 4.0, "alarms": 0.0} == (
        read(tmp_path / "status.json")
    )


def test_a_stream_that_fails_does_not_work(tmp_path: Path) -> None:
    write_standing(tmp_path / "status.json", [FAILING])

    assert {"working": 0.0, "lag_seconds": 9.0} == read(tmp_path / "status.json")


def test_without_an_auditor_the_stream_does_not_work(tmp_path: Path) -> None:
    assert {"working": 0.0} == read(tmp_path / "status.json")
