"""The fault kit in its short form: what every family of faults costs is as promised.

`scripts/faults` is run as anybody would.  A family that cannot run here (no root, no
loop device, no strace) is skipped, with the reason that the kit gives.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.simulators.installation import ROOT

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("faults")]

SEED = "20261123"


def run(output: Path, family: str, *options: str) -> tuple[int, str, dict[str, Any]]:
    command = [sys.executable, str(ROOT / "scripts/fault_kit/run.py"), "--short"]
    command += ["--busy", "--seed", SEED, "--only", family, "--output", str(output)]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=600, check=False
    )
    assert output.exists(), done.stderr[-3000:]
    document: dict[str, Any] = json.loads(output.read_text())
    if reason := document["skipped"].get(family):
        pytest.skip(reason)
    return done.returncode, done.stderr, document


@pytest.mark.parametrize(
    "family",
    # A supervisor killed alone is in tests/system/test_deaths.py.
    ["kill-worker", "kill-both", "power", "syscalls", "store-lies"],
)
def test_a_family_of_faults_costs_no_more_than_is_promised(
    tmp_path: Path, family: str
) -> None:
    status, said, document = run(tmp_path / "found.json", family)

    assert [] == document["missed"], said[-3000:]
    assert 0 == status


@pytest.mark.parametrize(
    ("family", "control"),
    [
        ("power", "unsynced"),
        ("syscalls", "half-written"),
        ("syscalls", "insistent"),
    ],
)
def test_a_product_that_is_broken_on_purpose_is_noticed(
    tmp_path: Path, family: str, control: str
) -> None:
    status, said, document = run(
        tmp_path / "found.json", family, "--controls-alone", "--control", control
    )

    assert {f"{family}/{control}": True} == document["controls"], said[-3000:]
    assert 0 == status
