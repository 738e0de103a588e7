from collections.abc import Mapping
from pathlib import Path

from vault.auditor.duties import DutyStatus
from vault.core.canonical import JsonValue
from vault.serving.standing import write_standing
from vault.serving.witness_metrics import witness_metrics

NOW_S = 1_795_414_569
FACTS: Mapping[str, JsonValue] = {
    "cosigned_size": 77,
    "cosigned_time_s": NOW_S - 60,
    "witnesses": {"w1": {"error": ""}, "w2": {"error": "it is out of reach"}},
}


def found(path: Path) -> dict[str, float]:
    return {
        "/".join((sample.name, *sample.labels.values())): sample.value
        for metric in witness_metrics(path, clock=lambda: NOW_S * 1_000_000_000)
        for sample in metric.samples
    }


def test_age_and_size_are_told_and_who_lags(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_standing(path, [DutyStatus(name="witnessing", facts=FACTS)])

    assert {
        "callvault_audit_witness_contradicted": 0.0,
        "callvault_audit_cosigned_entries": 77.0,
        "callvault_audit_cosigned_age_seconds": 60.0,
        "callvault_audit_witness_working/w1": 1.0,
        "callvault_audit_witness_working/w2": 0.0,
    } == found(path)


def test_a_contradiction_is_a_figure_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    write_standing(path, [DutyStatus(name="witnessing", contradicted=True)])

    assert {"callvault_audit_witness_contradicted": 1.0} == found(path)


def test_without_an_auditor_nothing_is_cosigned(tmp_path: Path) -> None:
    assert {"callvault_audit_witness_contradicted": 0.0} == found(tmp_path / "none")
